// 100 nodes × 10,000 intents, a tenth of the nodes dead: every pair is delivered or dead-lettered, once, and the ends, the dead
// letters and the events agree on which. Intents are posted as fast as earlier ones end.

import { credsAuthenticator, connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { packDeliveries, unpackDeliveries } from "@outcry/delivery";
import { type EventData, intentId, newId, SUBJECTS } from "@outcry/protocol";
import type { Post } from "../faults/load.js";
import { partOf, type RecordCopy } from "../faults/record.js";
import { SEED, seeded, sized } from "../faults/sizes.js";
import { eventually } from "../in-process.js";
import { ack, type BareIntent, type BareNode, closeMany, connectMany, inTurns, registerMany } from "./bare-node.js";
import { checkAccounts, type Expected } from "./check-accounts.js";
import { type SoakMarket, startSoakMarket } from "./soak-market.js";

const NODES = sized(40, 100);
const INTENTS = sized(200, 10_000);
const DEAD_SHARE = 0.1;
const ATTEMPTS_MAX = 3;
const OPEN_MAX = 150; // intents: each takes three ack timeouts because of its dead nodes, so about 40/s
const ACK_TIMEOUT_MS = 1_000;
const DEADLINE_MS = 300_000; // never reached: an intent is closed when its last node is dead
const DECIDE_MS = 200; // between "accepted" and "declined"
const SOAK_MS = 60_000 + 120 * INTENTS;

let market: SoakMarket;
let nodes: BareNode[] = [];
let expected: Expected;
let record: RecordCopy;
let part: { record: RecordCopy; expected: Expected };

beforeAll(async () => {
  market = await startSoakMarket({
    env: { OUTCRY_ATTEMPTS_MAX: String(ATTEMPTS_MAX), OUTCRY_ACK_TIMEOUT_MS: String(ACK_TIMEOUT_MS) },
  });
  const registered = await registerMany(market.place, NODES);
  const deadCount = Math.round(NODES * DEAD_SHARE);
  nodes = await connectMany(market.place, registered.slice(deadCount), answer(seeded(SEED)));
  const silent = new Set(registered.slice(0, deadCount).map(({ id }) => id));
  const all = registered.map(({ id }) => id);
  const startedAt = Date.now();
  const posts = await postAll(all);
  const intents = posts.map(({ accepted }) => accepted!.id);
  expected = { intents, nodes: all, silent, attemptsMax: ATTEMPTS_MAX };
  record = await eventually(async () => {
    const read = await market.record.read();
    return read.events.filter(({ value }) => /^INTENT_(CLOSED|EXPIRED)$/.test(value.type)).length >= INTENTS && read;
  }, 60_000);
  console.log(`seed ${SEED}: ${INTENTS} intents in ${Math.round((Date.now() - startedAt) / 1_000)} s`);
  part = firstIntents(5);
}, SOAK_MS);

afterAll(async () => {
  await closeMany(nodes);
  await market?.stop();
});

/** Declines or rejects; of about every tenth intent (3 of 32 last letters) it accepts first. */
function answer(random: () => number) {
  return (node: BareNode, intent: BareIntent) => {
    const declines = () => ack(node, intent, "declined", "no_inventory");
    if (random() < 0.5) ack(node, intent, "rejected", "invalid_intent");
    else if (!/[0-2]$/.test(intent.id)) declines();
    else {
      ack(node, intent, "accepted");
      setTimeout(declines, DECIDE_MS);
    }
  };
}

/** Never more than OPEN_MAX that have not ended. */
async function postAll(targets: readonly string[]): Promise<Post[]> {
  const ended = await watchEnds();
  const numbers = Array.from({ length: INTENTS }, (_, index) => index);
  const posts = await inTurns(
    numbers,
    async (index) => {
      const post = await market.broadcast(`accounting-${SEED}-${index}`, targets, Date.now() + DEADLINE_MS);
      await ended.of(post.accepted!.id);
      return post;
    },
    OPEN_MAX,
  );
  await ended.close();
  return posts;
}

/** What the service appends as an end is heard by whoever listens: cheaper than asking for each. */
async function watchEnds() {
  const { nats, auth } = market.stack.brokers;
  const watch = await connect({
    servers: nats.url,
    authenticator: credsAuthenticator(new TextEncoder().encode(auth.creds.service)),
  });
  const ended = new Set<string>();
  const waiting = new Map<string, () => void>();
  watch.subscribe(SUBJECTS.allEnds, {
    callback: (_error, { subject }) => {
      const id = subject.split(".")[3]!;
      ended.add(id);
      waiting.get(id)?.();
    },
  });
  await watch.flush();
  const of = (id: string) => (ended.has(id) ? Promise.resolve() : new Promise<void>((done) => waiting.set(id, done)));
  return { of, close: () => watch.close() };
}

/** As a history of its own, for the plants. */
function firstIntents(count: number): typeof part {
  const ids = expected.intents.slice(0, count);
  return { expected: { ...expected, intents: ids }, record: partOf(record, new Set(ids)) };
}

describe("every pair of intent and node", () => {
  test("is delivered or dead-lettered, once: ends, dead letters and events agree", () => {
    const { violations, counts } = checkAccounts(record, expected);
    console.log(`seed ${SEED}: ${JSON.stringify(counts)}`);
    expect(violations.slice(0, 20)).toEqual([]);
    expect(counts["delivered"]! + counts["dead-lettered"]!).toBe(NODES * INTENTS);
    expect(counts["letters"]).toBe(Math.round(NODES * DEAD_SHARE) * INTENTS);
  });
});

const PLANTS: Record<string, (history: RecordCopy) => void> = {
  sum: ({ ends }) => restate(ends[0]!, (deliveries) => deliveries.slice(1)),
  pair_once: ({ ends }) => void ends.push(ends[0]!),
  letters_differ: ({ deadLetters }) => void deadLetters.pop(),
  told_differ: ({ events }) => {
    const event = events.find(({ value }) => value.type === "DELIVERY_DEAD_LETTERED")!;
    (event.value.data as EventData<"DELIVERY_DEAD_LETTERED">).node_ids.pop();
  },
  delivered_unanswered: ({ events }) => {
    // Everything that one node ever said: many accept first and decline later.
    const answers = events.flatMap(({ value }) =>
      value.type === "NODE_RESPONDED" ? [value.data as EventData<"NODE_RESPONDED">] : [],
    );
    const { intent_id, responses } = answers[0]!;
    const { node_id } = responses.at(-1)!;
    for (const event of answers)
      if (event.intent_id === intent_id) event.responses = event.responses.filter((one) => one.node_id !== node_id);
  },
  answered_undelivered: ({ events }) => {
    const event = events.find(({ value }) => value.type === "NODE_RESPONDED")!;
    const { responses } = event.value.data as EventData<"NODE_RESPONDED">;
    responses[0] = { ...responses[0]!, node_id: newId("nod") };
  },
  attempts_exceeded: ({ ends }) =>
    restate(ends[0]!, ([first, ...rest]) => [{ ...first!, attempts: ATTEMPTS_MAX + 1 }, ...rest]),
  wrong_fate: ({ ends }) =>
    restate(ends[0]!, (deliveries) =>
      deliveries.map((one) => (one.state === "dead" ? { ...one, state: "acked" } : one)),
    ),
};

type Deliveries = ReturnType<typeof unpackDeliveries>;

function restate({ value }: RecordCopy["ends"][number], change: (deliveries: Deliveries) => Deliveries): void {
  value.deliveries = packDeliveries(change(unpackDeliveries(value.deliveries)));
}

describe("the checker", () => {
  test.each(Object.entries(PLANTS))("finds a planted %s", (rule, plant) => {
    const planted = structuredClone(part.record);
    plant(planted);
    expect(checkAccounts(planted, part.expected).violations.map((violation) => violation.rule)).toContain(rule);
  });

  test("finds an intent that was asked for and is nowhere", () => {
    const intents = [...part.expected.intents, intentId("bkd_none", "none")];
    expect(checkAccounts(part.record, { ...part.expected, intents }).violations[0]?.rule).toBe("sum");
  });
});
