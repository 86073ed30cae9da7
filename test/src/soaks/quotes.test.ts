// 100,000 signed quotes while Redis and the intake worker are killed in turn, 50 times: each quote that a node was told is
// stored is in the record as sent, has one outcome, and stands once in what GET …/quotes shows.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { QuotesView } from "@outcry/protocol";
import { checkHistory } from "../faults/check-history.js";
import type { CheckReport, History, Violation } from "../faults/history.js";
import type { Post } from "../faults/load.js";
import { PLANTS } from "../faults/plants.js";
import { isSettled, partOf } from "../faults/record.js";
import { SEED, seeded, sized } from "../faults/sizes.js";
import { eventually } from "../in-process.js";
import { ack, type BareNode, closeMany, connectMany, HeardIntents, inTurns, registerMany } from "./bare-node.js";
import { askUntilStored, signQuote } from "./quoting.js";
import { type SoakMarket, startSoakMarket } from "./soak-market.js";

const QUOTES = sized(2_000, 100_000);
const KILLS = sized(2, 50);
const NODES = sized(5, 20); // that quote; one more only accepts and so keeps each intent open
const PER_NODE = 10; // quotes of one node on one intent
const INTENTS = QUOTES / (NODES * PER_NODE);
const OPEN_MAX = 8; // intents at a time: 160 quotes on the way
const FORGED_SHARE = 0.01; // signed by another's key: stored, and refused
const EARLY_SHARE = 0.1; // of the intents are closed with half of their quotes under way: the rest is refused
const DEADLINE_MS = 600_000; // nothing expires
const ATTEMPTS_MAX = 3;
const SETTLE_MS = 180_000;
const SETTLE_POLL_MS = 1_000; // each reads on and looks at the whole record
const SOAK_MS = 120_000 + 12 * QUOTES;

let market: SoakMarket;
let nodes: BareNode[] = [];
let history: History;
let report: CheckReport;
let repeated = 0;

const random = seeded(SEED);
const heard = new HeardIntents();

beforeAll(async () => {
  market = await startSoakMarket({ env: { OUTCRY_ATTEMPTS_MAX: String(ATTEMPTS_MAX), OUTCRY_ACK_TIMEOUT_MS: "1000" } });
  nodes = await connectMany(market.place, await registerMany(market.place, NODES + 1), (node, intent) => {
    ack(node, intent, "accepted");
    heard.put(node, intent);
  });
  const startedAt = Date.now();
  const stored: History["stored"] = [];
  const posts: Post[] = [];
  const killing = killInTurn(stored);
  const numbers = Array.from({ length: INTENTS }, (_, index) => index);
  await inTurns(numbers, async (index) => posts.push(await quoteAll(index, stored)), OPEN_MAX);
  await killing;
  console.log(`seed ${SEED}: ${stored.length} quotes stored in ${Math.round((Date.now() - startedAt) / 1_000)} s`);
  history = await readHistory(posts, stored);
  report = checkHistory(history);
}, SOAK_MS);

afterAll(async () => {
  await closeMany(nodes);
  await market?.stop();
});

/** Posts an intent, sends every node's quotes on it, and closes it: early, or when the last one is stored. */
async function quoteAll(index: number, stored: History["stored"]): Promise<Post> {
  const early = random() < EARLY_SHARE;
  const targets = nodes.map(({ id }) => id);
  const post = await market.broadcast(`quotes-${SEED}-${index}`, targets, Date.now() + DEADLINE_MS, {
    quotes_per_node_max: PER_NODE,
  });
  const { id } = post.accepted!;
  let closing: Promise<void> | undefined;
  const quoteFrom = async (node: BareNode) => {
    const intent = await heard.of(id, node.id);
    for (let ordinal = 0; ordinal < PER_NODE; ordinal++) {
      const quote = signQuote(node, intent, ordinal, random() < FORGED_SHARE);
      const { tries, ...told } = await askUntilStored(node, quote);
      stored.push(told);
      if (tries > 1) repeated++;
      if (early && ordinal === PER_NODE / 2) closing ??= close(id);
    }
  };
  await Promise.all(nodes.slice(1).map(quoteFrom));
  await (closing ?? close(id));
  return { ...post, ended: "close" };
}

/** Until it is answered: Redis may be away. */
async function close(id: string): Promise<void> {
  await eventually(async () => {
    const { status } = await market.ask(0, "POST", `/v1/intents/${id}/close`);
    return status === 200;
  }, 60_000);
}

/** Spread over the load by what is stored, whatever its speed: killed in the middle of it, started again at once. */
async function killInTurn(stored: History["stored"]): Promise<void> {
  const { redis } = market.stack.brokers;
  const intake = market.stack.service("intake");
  for (let kill = 1; kill <= KILLS; kill++) {
    await eventually(() => stored.length >= (kill * QUOTES) / (KILLS + 1), SOAK_MS);
    if (kill % 2 === 0) {
      await redis.kill9();
      await redis.restart();
    } else {
      await intake.kill9();
      await intake.start();
    }
  }
}

async function readHistory(posts: Post[], stored: History["stored"]): Promise<History> {
  const ids = posts.map(({ accepted }) => accepted!.id);
  await settled(ids);
  const quoteViews: History["quoteViews"] = {};
  await inTurns(ids, async (id) => {
    const { status, body } = await market.ask<QuotesView>(0, "GET", `/v1/intents/${id}/quotes`);
    if (status !== 200) throw new Error(`GET quotes of ${id}: ${status}`);
    quoteViews[id] = readView(body as QuotesView);
  });
  const record = await market.record.read();
  const healthy = nodes.map(({ id }) => id);
  return { posts, unaccepted: [], stored, record, quoteViews, attemptsMax: ATTEMPTS_MAX, healthy, stalls: [] };
}

/** Until every intent has its end and every stored quote its outcome; what is missing then, the checker says. */
async function settled(ids: readonly string[]): Promise<void> {
  for (const untilMs = Date.now() + SETTLE_MS; Date.now() < untilMs; await sleep(SETTLE_POLL_MS))
    if (isSettled(await market.record.read(), ids)) return;
}

/** Each quote of a view once: one that stands there twice is no rank and no code. */
function readView({ quotes, unranked }: QuotesView): History["quoteViews"][string] {
  const shown: History["quoteViews"][string] = {};
  const put = (id: string, what: number | string) => void (shown[id] = id in shown ? "processing" : what);
  for (const { quote_id, rank } of quotes) put(quote_id, rank);
  for (const { quote_id, code } of unranked) put(quote_id, code);
  return shown;
}

/**
 * An end waits for the quotes that are being judged, but only so long (finish-intent.ts): behind a killed judge some are announced
 * after it. They count all the same, and are told apart here.
 */
function behindEnd({ violations }: CheckReport) {
  const isLate = ({ rule, detail }: Violation) => rule === "event_behind_end" && /^\S+: QUOTE_RECEIVED;/.test(detail);
  const others = violations.filter((violation) => !isLate(violation));
  return { late: violations.length - others.length, others };
}

const byRule = (violations: readonly Violation[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { rule } of violations) counts[rule] = (counts[rule] ?? 0) + 1;
  return counts;
};

describe("quotes that were told to be stored, while Redis and the intake worker are killed", () => {
  test("are recorded as sent, judged once and shown once", () => {
    console.log(`seed ${SEED}: ${KILLS} kills, ${repeated} quotes sent again, ${JSON.stringify(report.counts)}`);
    const { late, others } = behindEnd(report);
    console.log(`${late} quotes announced behind their intent's end; ${JSON.stringify(byRule(others))}`);
    expect(others.slice(0, 20)).toEqual([]);
    expect(new Set(history.stored.map(({ quoteId }) => quoteId)).size).toBe(QUOTES);
    expect(history.record.quotes).toHaveLength(QUOTES);
    expect(report.counts["QUOTE_RECEIVED"]! + report.counts["QUOTE_REFUSED"]!).toBe(QUOTES);
  });

  test("are ranked and refused, both", () => {
    expect(report.counts["QUOTE_RECEIVED"]).toBeGreaterThan(QUOTES / 2);
    expect(report.counts["QUOTE_REFUSED"]).toBeGreaterThan(0);
    expect(repeated).toBeGreaterThan(0); // the kills were felt
  });
});

describe("the checker", () => {
  const rules = Object.keys(PLANTS).filter((rule) => /quote/.test(rule) && rule !== "superseded_quote_counted"); // nothing is amended here

  test.each(rules)("finds a planted %s", (rule) => {
    const planted = structuredClone(part());
    PLANTS[rule]!(planted);
    expect(checkHistory(planted).violations.map((violation) => violation.rule)).toContain(rule);
  });

  test("finds a quote that is shown twice", () => {
    const view = { quotes: [{ quote_id: "quo_1", rank: 1 }], unranked: [{ quote_id: "quo_1", code: "superseded" }] };
    expect(readView(view as unknown as QuotesView)).toEqual({ quo_1: "processing" });
  });
});

/** Of two intents: enough for every rule. */
function part(): History {
  const posts = history.posts.slice(0, 2);
  const ids = new Set(posts.map(({ accepted }) => accepted!.id));
  const stored = history.stored.filter(({ intentId }) => ids.has(intentId));
  const quoteViews = Object.fromEntries([...ids].map((id) => [id, history.quoteViews[id]!]));
  return { ...history, posts, stored, quoteViews, record: partOf(history.record, ids) };
}
