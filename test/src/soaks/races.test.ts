// Every pairing of cancel, close, expiry and a quote, 1,000 times each, at two broadcast processes: one end, one event each,
// everybody told what is recorded, and a quote counted if and only if it was stored in time. Each pairing steers its own start
// so that both sides win about as often.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { newId, type QuotesView } from "@outcry/protocol";
import { checkHistory } from "../faults/check-history.js";
import type { History } from "../faults/history.js";
import type { Post } from "../faults/load.js";
import { isSettled, type RecordCopy } from "../faults/record.js";
import { SEED, seeded, sized } from "../faults/sizes.js";
import { eventually } from "../in-process.js";
import { ack, type BareNode, closeMany, connectMany, HeardIntents, inTurns, registerMany } from "./bare-node.js";
import { checkRaces, type EndVerb, type Round } from "./check-races.js";
import { ask, signQuote } from "./quoting.js";
import { type SoakMarket, startSoakMarket } from "./soak-market.js";

const ROUNDS = sized(30, 1_000); // of each pairing
const AT_ONCE = 24; // rounds
const NEAR_MS = 700; // deadline of the pairings that expire: time enough to be heard
const FAR_MS = 60_000; // of the others
const END_GRACE_MS = 100; // after the deadline, before the intent is ended
const QUOTE_LEAD_MS = 10; // before the deadline: its way into the record
const STEP_MS = 2; // by which the winner of a round starts later in the next one
const SPREAD_MS = 8; // drawn around that, so that rounds differ
const ATTEMPTS_MAX = 3;
const SOAK_MS = 90_000 + 200 * ROUNDS;

type Racer = EndVerb | "expiry" | "quote";
const PAIRINGS: [Racer, Racer][] = [
  ["cancel", "close"],
  ["cancel", "expiry"],
  ["close", "expiry"],
  ["quote", "cancel"],
  ["quote", "close"],
  ["quote", "expiry"],
];

let market: SoakMarket;
let quoter: BareNode;
let nodes: BareNode[] = [];
let history: History;

const random = seeded(SEED);
const heard = new HeardIntents();
const rounds: Round[] = [];

beforeAll(async () => {
  market = await startSoakMarket({
    services: { broadcast: 2 },
    env: { OUTCRY_ATTEMPTS_MAX: String(ATTEMPTS_MAX), OUTCRY_ACK_TIMEOUT_MS: "1000" },
  });
  // Two nodes: one quotes, the other only accepts and so keeps the intent open.
  nodes = await connectMany(market.place, await registerMany(market.place, 2), (node, intent) => {
    ack(node, intent, "accepted");
    heard.put(node, intent);
  });
  quoter = nodes[0]!;
  const posts: Post[] = [];
  for (const pairing of PAIRINGS) posts.push(...(await race(pairing)));
  history = await readHistory(posts);
}, SOAK_MS);

afterAll(async () => {
  await closeMany(nodes);
  await market?.stop();
});

/** All rounds of one pairing. `lead`: by how much the first racer starts before the second; it follows who wins. */
function race([first, second]: [Racer, Racer]): Promise<Post[]> {
  const pairing = `${first} × ${second}`;
  const expires = second === "expiry";
  // A quote races the deadline itself, a verb the moment of the end behind it.
  let leadMs = !expires ? 0 : first === "quote" ? QUOTE_LEAD_MS : -END_GRACE_MS;
  const numbers = Array.from({ length: ROUNDS }, (_, index) => index);
  return inTurns(
    numbers,
    async (index) => {
      const deadlineMs = Date.now() + (expires ? NEAR_MS : FAR_MS);
      const key = `races-${SEED}-${first}-${second}-${index}`;
      const post = await market.broadcast(key, [nodes[0]!.id, nodes[1]!.id], deadlineMs);
      const round: Round = { pairing, intentId: post.accepted!.id, answers: [] };
      rounds.push(round);
      const intent = await heard.of(round.intentId, quoter.id);
      const quote = signQuote(quoter, intent, 0);
      const startMs = expires ? deadlineMs : Date.now() + 50;
      const drawnMs = leadMs + (random() - 0.5) * SPREAD_MS;
      const start = async (racer: Racer, atMs: number) => {
        if (racer === "expiry") return;
        await sleep(Math.max(0, atMs - Date.now()));
        if (racer === "quote")
          round.quote = { quoteId: quote.quoteId, told: (await ask(quoter, quote))?.kind ?? "none" };
        else round.answers.push(await end(racer, round.intentId, index));
      };
      await Promise.all([start(first, startMs - drawnMs), start(second, startMs)]);
      const firstWon = await wonByFirst(first, round);
      leadMs += firstWon ? -STEP_MS : STEP_MS;
      return post;
    },
    AT_ONCE,
  );
}

/** At one of the two processes in turn, so that two verbs on one intent never meet in the same. */
async function end(verb: EndVerb, intentId: string, index: number): Promise<Round["answers"][number]> {
  const process = (index + (verb === "close" ? 1 : 0)) % 2;
  const { status, code, body } = await market.ask<{ status: string }>(
    process,
    "POST",
    `/v1/intents/${intentId}/${verb}`,
  );
  if (code !== undefined) return { verb, status, code };
  return { verb, status, outcome: (body as { status: string }).status };
}

/** As far as it can be told at once; only the start of the next rounds depends on it. */
async function wonByFirst(first: Racer, { answers, intentId }: Round): Promise<boolean> {
  if (first !== "quote") return answers.find(({ verb }) => verb === first)!.status === 200;
  const view = await eventually(async () => {
    const { body } = await market.ask<QuotesView>(0, "GET", `/v1/intents/${intentId}/quotes`);
    const { quotes, unranked, status } = body as QuotesView;
    return status !== "open" && unranked.every(({ code }) => code !== "processing") && { quotes };
  }, 30_000);
  return view.quotes.length > 0;
}

async function readHistory(posts: Post[]): Promise<History> {
  const ids = posts.map(({ accepted }) => accepted!.id);
  await eventually(async () => isSettled(await market.record.read(), ids), 120_000);
  const record = await market.record.read();
  const healthy = nodes.map(({ id }) => id);
  return { posts, unaccepted: [], stored: [], record, quoteViews: {}, attemptsMax: ATTEMPTS_MAX, healthy, stalls: [] };
}

describe("racing ends and quotes", () => {
  test("come to one end each, and everybody is told what is recorded", () => {
    const { violations, counts } = checkRaces(history.record, rounds);
    console.log(`seed ${SEED}: ${JSON.stringify(counts)}`);
    expect(violations.slice(0, 20)).toEqual([]);
    expect(checkHistory(history).violations.slice(0, 20)).toEqual([]);
    expect(rounds).toHaveLength(ROUNDS * PAIRINGS.length);
  });

  test("were real races: each side won some", () => {
    const { counts } = checkRaces(history.record, rounds);
    for (const [first, second] of PAIRINGS) {
      const ways = Object.keys(counts).filter((name) => name.startsWith(`${first} × ${second}:`));
      expect([first, second, ways.length > 1]).toEqual([first, second, true]);
    }
  });
});

const counted = ({ events }: RecordCopy) =>
  events.find(({ value }) => value.type === "QUOTE_RECEIVED")!.value.data as { intent_id: string; quote_id: string };

const PLANTS: Record<string, (record: RecordCopy, planted: Round[]) => void> = {
  end_missing: ({ ends }) => void ends.pop(),
  answer_differs: ({ ends }) => {
    const cancelled = ends.find(({ value }) => value.outcome === "cancelled")!;
    cancelled.value.outcome = "closed";
  },
  told_differs: (_, planted) => void (planted.find(({ quote }) => quote?.told === "stored")!.quote!.told = "refused"),
  outcome_once: ({ events }) => void events.push(events.find(({ value }) => value.type === "QUOTE_REFUSED")!),
  late_counted: (record) => {
    const { intent_id } = counted(record);
    record.ends.find(({ subject }) => subject.includes(intent_id))!.value.quotes_through = 0;
  },
  timely_refused: ({ events }) => {
    for (const event of events) if (event.value.type === "QUOTE_RECEIVED") event.value.type = "QUOTE_REFUSED";
  },
};

describe("the checker", () => {
  test.each(Object.entries(PLANTS))("finds a planted %s", (rule, plant) => {
    const [record, planted] = structuredClone([history.record, rounds] as const);
    plant(record, planted);
    expect(checkRaces(record, planted).violations.map((violation) => violation.rule)).toContain(rule);
  });

  test("finds a race whose intent was never recorded", () => {
    const lost = { pairing: "cancel × close", intentId: newId("int"), answers: [] };
    expect(checkRaces(history.record, [lost]).violations.map(({ rule }) => rule)).toEqual(["end_missing"]);
  });
});
