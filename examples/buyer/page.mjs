// The page: posts an intent, follows its channel, shows what happens. All that it shows comes from events, so it begins at the start
// of the channel and keeps its cursor in memory; a page with a store of its own would pass `localStorageCursors()`.

import { createRealtime } from "@outcry/client/realtime";

const $ = (id) => document.getElementById(id);
const quotes = new Map();
let realtime;

$("ask").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  ask().catch(tellFailure);
});

async function ask() {
  const body = { query: $("query").value, budget_minor: Math.round(Number($("budget").value) * 100) };
  const { intent_id: intentId } = await call("POST", "/intents", body);
  history.replaceState(null, "", `?intent=${intentId}`);
  await follow(intentId);
}

async function follow(intentId) {
  await realtime?.close();
  quotes.clear();
  for (const id of ["timeline", "quotes", "notices"]) $(id).replaceChildren();
  $("intent").textContent = intentId;

  const { gateway_url: url } = await call("POST", `/tokens?intent=${intentId}`);
  realtime = createRealtime({
    url,
    getToken: async () => (await call("POST", `/tokens?intent=${intentId}`)).token,
  });
  realtime.on("status", showStatus);

  const channel = realtime.channel(`intent:${intentId}`, { from: "start" });
  channel.on("event", addToTimeline);
  channel.on("QUOTE_RECEIVED", ({ data }) => {
    if (data.supersedes) quotes.delete(data.supersedes);
    quotes.set(data.quote_id, {
      node: data.node_id,
      total: data.total,
      type: data.quote_type,
      score: data.explanation.score,
      ordinal: data.ordinal,
    });
    showQuotes();
  });
  channel.on("INTENT_AMENDED", () => {
    quotes.clear(); // what answered it before counts no more
    showQuotes();
  });
  channel.on("recovered", ({ events }) =>
    notice("recovered", `Caught up: ${events} events came while the line was down.`),
  );
  channel.on("gap", async ({ reason }) => {
    notice("gap", `A gap (${reason}): events may be missing here. The quotes were read again.`);
    await readQuotes(intentId);
  });
  channel.on("end", ({ code }) => notice("gap", `This page may not follow the intent any more (${code}).`));
  channel.on("error", ({ message, temporary }) => notice(temporary ? "trouble" : "gap", message));
}

/** Behind a gap the state comes from the API, not from events. */
async function readQuotes(intentId) {
  const view = await call("GET", `/quotes?intent=${intentId}`);
  quotes.clear();
  for (const { quote_id, node_id, rank, explanation, quote } of view.quotes) {
    const { total, quote_type: type } = quote.payload;
    quotes.set(quote_id, { node: node_id, total, type, score: explanation.score, ordinal: rank });
  }
  showQuotes();
}

const STATES = {
  idle: () => "not connected",
  connecting: () => "connecting …",
  open: () => "live",
  reconnecting: ({ attempt, inMs, reason }) =>
    `connection lost (${reason}), attempt ${attempt} in ${(inMs / 1000).toFixed(1)} s`,
  closed: ({ reason }) => `closed: ${reason}`,
};

function showStatus(status) {
  $("status").dataset.state = status.state;
  $("status").textContent = STATES[status.state](status);
}

function addToTimeline(event) {
  const item = row("li", [
    element("time", event.time.slice(11, 23)),
    element("b", event.type.toLowerCase().replaceAll("_", " ")),
    element("span", summaryOf(event)),
  ]);
  item.dataset.type = event.type;
  item.dataset.id = event.id;
  $("timeline").append(item);
  item.scrollIntoView({ block: "nearest" });
}

function summaryOf({ type, data }) {
  switch (type) {
    case "INTENT_CREATED":
      return `${data.targets} sellers are asked`;
    case "INTENT_BROADCASTED":
      return `sent to ${data.dispatched} of ${data.targets}`;
    case "NODE_RESPONDED":
      return data.responses.map(({ node_id, status }) => `${shortId(node_id)} ${status}`).join(", ");
    case "QUOTE_RECEIVED":
      return `${shortId(data.node_id)} asks ${money(data.total)}`;
    case "INTENT_CLOSED":
    case "INTENT_CANCELLED":
      return data.reason ?? "";
    default:
      return "";
  }
}

/** Best score first, the earlier one at a tie: as GET /v1/intents/{id}/quotes ranks them. */
function showQuotes() {
  const ranked = [...quotes.values()].toSorted((a, b) => b.score - a.score || a.ordinal - b.ordinal);
  $("quotes").replaceChildren(
    ...ranked.map(({ node, total, type, score }, index) =>
      row(
        "tr",
        [index + 1, shortId(node), money(total), type, score.toLocaleString("en")].map((text) => element("td", text)),
      ),
    ),
  );
}

function notice(kind, text) {
  const item = element("li", text);
  item.className = kind;
  $("notices").append(item);
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text; // never as HTML: what sellers write is theirs
  return made;
}

function row(name, children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

const shortId = (id) => id.slice(-6);
const money = ({ amount_minor: minor, currency }) =>
  new Intl.NumberFormat("en", { style: "currency", currency }).format(minor / 100); // EUR: two digits

async function call(method, path, body) {
  const response = await fetch(path, { method, ...(body && { body: JSON.stringify(body) }) });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.detail ?? answer.code), { temporary: response.status >= 500 });
  return answer;
}

const tellFailure = ({ message }) => notice("gap", message);

// A reload shows the same intent again.
const shown = new URLSearchParams(location.search).get("intent");
if (shown !== null) follow(shown).catch(tellFailure);
