// The answers to "why", over HTTP on real servers: why a node was or was not asked, and what happened to an intent when.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { ExplainView, NodeRecord, Quote, TimelineView } from "@outcry/protocol";
import type { Backend, Call } from "./api-calls.js";
import { eventually, type Market, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";

let market: Market;
let backend: Backend;
let operator: Call;
let shoes: RawNode;
let books: RawNode;

beforeAll(async () => {
  market = await startMarket({ ackTimeoutMs: 150 });
  backend = await market.backend();
  operator = await market.operator();
  shoes = await connectRaw(market, { categories: ["fashion/shoes"], regions: ["DE"] });
  books = await connectRaw(market, { categories: ["books"], regions: ["DE"] });
});
afterAll(() => market.stop());

const item = { query: "running shoes", category: "fashion/shoes" };
const asked = { line_items: [item], context: { currency: "EUR", region: "DE-BY" } };

const explain = async (id: string, nodeId: string): Promise<ExplainView> =>
  (await backend.call<ExplainView>("GET", `/v1/intents/${id}/explain?node_id=${nodeId}`)).body;
const timeline = async (id: string, query = ""): Promise<TimelineView> =>
  (await backend.call<TimelineView>("GET", `/v1/intents/${id}/timeline${query}`)).body;

describe("GET /v1/intents/{id}/explain", () => {
  test("gives each filter's verdict, and names the one that decided", async () => {
    const id = await backend.broadcast({ ...asked, routing: { block: [books.id] } });
    const yes = await explain(id, shoes.id);
    expect(yes).toMatchObject({ selected: true, at_selection: { eligible: true }, now: { eligible: true } });
    expect(yes.at_selection!.registry_revision).toBe(yes.registry_revision);

    const no = await explain(id, books.id);
    expect(no).toMatchObject({
      intent_id: id,
      node_id: books.id,
      selected: false,
      reason: "Not addressed: the filter category wanted any of fashion/shoes, found books.",
    });
    expect(no.at_selection!.filters).toEqual([
      { filter: "status", passed: true, wanted: "active", found: "active" },
      { filter: "category", passed: false, wanted: "any of fashion/shoes", found: "books" },
      { filter: "region", passed: true, wanted: "any of de-by", found: "de" },
      { filter: "block", passed: false, wanted: "none of the 1 blocked nodes", found: "blocked" },
    ]);
  });

  test("speaks of the registry as it was, whatever was changed, suspended, deleted or registered since", async () => {
    const changing = await connectRaw(market, { categories: ["toys"], regions: ["DE"] });
    const id = await backend.broadcast(asked);
    const change = await market.admin<NodeRecord>("PATCH", `/v1/nodes/${changing.id}`, { categories: ["fashion"] });
    expect(change.status).toBe(200);
    expect(await explain(id, changing.id)).toMatchObject({
      selected: false,
      at_selection: { eligible: false },
      now: { eligible: true },
    });

    expect((await market.admin("POST", `/v1/nodes/${changing.id}/suspend`, { reason: "test" })).status).toBe(200);
    const suspended = await explain(id, changing.id);
    expect(suspended.at_selection!.filters[0]).toMatchObject({ filter: "status", passed: true });
    expect(suspended.now!.filters[0]).toMatchObject({ filter: "status", passed: false, found: "suspended" });

    expect((await market.admin("DELETE", `/v1/nodes/${changing.id}`)).status).toBeLessThan(300);
    expect(await explain(id, changing.id)).toMatchObject({ at_selection: { eligible: false }, now: null });

    const later = await market.register({ categories: ["fashion/shoes"] });
    expect(await explain(id, later.id)).toMatchObject({
      selected: false,
      at_selection: null,
      reason: "Not addressed: it was not registered when the intent was posted.",
    });
  });

  test("is for the intent's own backend and for operators, and wants a node's id", async () => {
    const id = await backend.broadcast(asked);
    const path = `/v1/intents/${id}/explain?node_id=${shoes.id}`;
    const other = await market.backend("other");
    expect((await other.call("GET", path)).body.code).toBe("intent_not_found");
    expect((await operator("GET", path)).status).toBe(200);
    expect((await backend.call("GET", `/v1/intents/${id}/explain`)).status).toBe(400);
    expect((await backend.call("GET", `/v1/intents/${id}/explain?node_id=nod_x`)).body.code).toBe("request_invalid");
  });
});

describe("GET /v1/intents/{id}/timeline", () => {
  test("tells every stage, and for each node every attempt, answer and quote, in order and with times", async () => {
    const id = await backend.broadcast({ routing: { targets: [shoes.id, books.id] } });
    const heard = await shoes.hears(id);
    shoes.ack(heard);
    expect(await shoes.ask(id, shoes.quote(heard))).toMatchObject({ kind: "stored" });
    const dollars = ({ payload, ...rest }: Quote) => ({
      ...rest,
      payload: { ...payload, total: { ...payload.total, currency: "USD" } },
    });
    const wrong = shoes.quote(heard, { amountMinor: 1 }, dollars, 1);
    expect(await shoes.ask(id, wrong)).toMatchObject({ kind: "stored" });
    await market.ended(backend, id); // the other is silent
    const view = await eventually(async () => {
      const now = await timeline(id);
      return now.nodes.flatMap(({ quotes }) => quotes).every(({ outcome }) => outcome !== "processing") && now;
    });

    expect(view).toMatchObject({ intent_id: id, status: "closed", has_more: false });
    const stages = view.stages.map(({ stage }) => stage);
    expect(stages.slice(0, 2)).toEqual(["RECORDED", "INTENT_CREATED"]);
    expect(stages.filter((stage) => stage === "DELIVERY_RETRYING")).toHaveLength(2);
    expect(stages.slice(-2)).toEqual(["DELIVERY_DEAD_LETTERED", "INTENT_CLOSED"]);
    expect(view.stages.map(({ after_ms }) => after_ms).every((ms, at, all) => at === 0 || ms >= all[at - 1]! - 5)).toBe(
      true,
    );

    const [first, second] = [shoes.id, books.id].map((node) => view.nodes.find(({ node_id }) => node_id === node)!);
    expect(first!.state).toBe("quoted");
    expect(first!.attempts.map(({ attempt }) => attempt)).toEqual([1]);
    expect(first!.answers.map(({ kind, status }) => `${kind} ${status}`)).toEqual(["ack accepted", "quote quoted"]);
    expect(first!.quotes.map(({ outcome, code }) => [outcome, code])).toEqual([
      ["received", undefined],
      ["refused", "quote_currency_mismatch"],
    ]);
    expect(second).toMatchObject({ state: "dead", answers: [], quotes: [] });
    expect(second!.attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    const times = second!.attempts.map(({ after_ms }) => after_ms!);
    expect(times[1]! - times[0]!).toBeGreaterThan(100);
    expect(times).toEqual(times.toSorted((one, other) => one - other));
  });

  test("pages through the targets, or shows one", async () => {
    const nodes = await Promise.all(Array.from({ length: 5 }, () => market.register()));
    const ids = nodes.map(({ id }) => id);
    const id = await backend.broadcast({ routing: { targets: ids } });
    const paged: string[] = [];
    let query = "?limit=2";
    for (;;) {
      const page = await timeline(id, query);
      expect(page.has_more).toBe(page.next_cursor !== undefined);
      paged.push(...page.nodes.map(({ node_id }) => node_id));
      if (!page.has_more) break;
      query = `?limit=2&cursor=${page.next_cursor}`;
    }
    expect(paged).toEqual(ids.toSorted());
    expect((await timeline(id, `?node_id=${ids[3]}`)).nodes.map(({ node_id }) => node_id)).toEqual([ids[3]]);
    for (const cursor of ["0", "-1", "x", "1e9"])
      expect((await backend.call("GET", `/v1/intents/${id}/timeline?cursor=${cursor}`)).body.code).toBe(
        "request_invalid",
      );
  });
});
