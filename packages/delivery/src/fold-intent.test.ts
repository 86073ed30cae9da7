import { describe, expect, test } from "@jest/globals";
import {
  buildEvent,
  canMove,
  DELIVERY_STATES,
  type DeliveryState,
  derivedId,
  type Event,
  type EventData,
  type EventType,
  intentId,
  quoteId,
  TOPICS,
} from "@outcry/protocol";
import fc from "fast-check";
import { countDeliveries, foldIntent } from "./fold-intent.js";

const intent = intentId("bkd_1", "order-1");
const nodes = ["a", "b", "c"].map((name) => derivedId("nod", name));
const [a, b, c] = nodes as [string, string, string];
const topic = TOPICS.intent("bkd_1", undefined, intent);
const at = (ms: number): string => new Date(Date.UTC(2026, 10, 20) + ms).toISOString();

function event<T extends EventType>(type: T, data: EventData<T>, ms = 0): Event {
  return buildEvent(type, data, { topic, traceId: "1".repeat(32), clock: { now: () => Date.parse(at(ms)) } }) as Event;
}

type Answer = EventData<"NODE_RESPONDED">["responses"][number];
const answer = (node: string, status: Answer["status"], more: Partial<Answer> = {}): Answer => ({
  node_id: node,
  kind: status === "quoted" ? "quote" : "ack",
  status,
  received_at: at(1),
  ...more,
});

const created = event("INTENT_CREATED", {
  intent_id: intent,
  request_digest: `sha256:${"A".repeat(43)}`,
  targets: 3,
  quote_deadline: at(30_000),
  line_items: 1,
});
const broadcasted = event("INTENT_BROADCASTED", { intent_id: intent, attempt: 1, targets: 3, dispatched: 3 });
const responded = (...responses: Answer[]) => event("NODE_RESPONDED", { intent_id: intent, responses });
const retrying = (attempt: number, ...node_ids: string[]) =>
  event("DELIVERY_RETRYING", { intent_id: intent, attempt, node_ids });
const dead = (...node_ids: string[]) =>
  event("DELIVERY_DEAD_LETTERED", { intent_id: intent, cause: "ack_timeout", attempts: 3, node_ids });
const amended = (revision: number) =>
  event("INTENT_AMENDED", {
    intent_id: intent,
    revision,
    request_digest: `sha256:${"C".repeat(43)}`,
    supersedes: `sha256:${"A".repeat(43)}`,
    targets: 3,
    quote_deadline: at(30_000),
    line_items: 1,
  });
const received = (node: string, ordinal = 0) =>
  event("QUOTE_RECEIVED", {
    intent_id: intent,
    quote_id: quoteId(intent, node, ordinal),
    node_id: node,
    quote_type: "firm",
    total: { amount_minor: 100, currency: "EUR" },
    valid_until: at(60_000),
    digest: `sha256:${"B".repeat(43)}`,
    ordinal,
    explanation: { method: "outcry.rank.v1", terms: [], score: 0 },
  });
const expired = event("INTENT_EXPIRED", { intent_id: intent, counts: countDeliveries([]) });

const statesOf = (events: Event[], targets: readonly string[] = nodes): DeliveryState[] =>
  [...foldIntent(targets, events).deliveries.values()].map(({ state }) => state);

describe("an intent's history", () => {
  test("of nothing leaves all targets pending, in their order", () => {
    const folded = foldIntent(nodes, []);
    expect(folded).toMatchObject({ created: false, broadcasted: false, attempt: 0, quotes: [], ended: false });
    expect([...folded.deliveries]).toEqual(nodes.map((node) => [node, { state: "pending", attempts: 0 }]));
  });

  test("tells how far the dispatch came", () => {
    expect(foldIntent(nodes, [created])).toMatchObject({ created: true, broadcasted: false, attempt: 0 });
    const folded = foldIntent(nodes, [created, broadcasted]);
    expect(folded).toMatchObject({ created: true, broadcasted: true, attempt: 1 });
    expect([...folded.deliveries.values()].map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
  });

  test("keeps the first answer of a node", () => {
    expect(statesOf([responded(answer(a, "declined")), responded(answer(a, "accepted"), answer(a, "quoted"))])[0]).toBe(
      "declined",
    );
    expect(statesOf([responded(answer(a, "rejected"), answer(a, "accepted"))])[0]).toBe("rejected");
    expect(statesOf([responded(answer(a, "quoted")), responded(answer(a, "accepted"))])[0]).toBe("quoted");
  });

  test("lets an accepting node quote or decline, once", () => {
    expect(
      statesOf([
        responded(answer(a, "accepted"), answer(b, "accepted"), answer(c, "accepted")),
        responded(answer(a, "quoted"), answer(b, "declined")),
        responded(answer(a, "declined"), answer(b, "quoted")),
      ]),
    ).toEqual(["quoted", "declined", "acked"]);
  });

  test("is the same when NODE_RESPONDED stands there twice", () => {
    const first = responded(answer(a, "accepted"), answer(b, "declined", { reason: "capacity" }));
    const once = foldIntent(nodes, [created, first, broadcasted]);
    expect(foldIntent(nodes, [created, first, broadcasted, first])).toEqual(once);
    expect(once.deliveries.get(b)).toEqual({ state: "declined", attempts: 1, reason: "capacity", respondedAt: at(1) });
  });

  test("may tell an answer before the broadcast", () => {
    const folded = foldIntent(nodes, [created, responded(answer(a, "accepted")), broadcasted]);
    expect(folded.deliveries.get(a)).toEqual({ state: "acked", attempts: 1, respondedAt: at(1) });
  });

  test("does not change by an answer after the end", () => {
    const events = [created, broadcasted, responded(answer(a, "accepted")), expired];
    const folded = foldIntent(nodes, [...events, responded(answer(a, "quoted"), answer(b, "accepted"))]);
    expect(folded).toEqual(foldIntent(nodes, events));
    expect(folded.ended).toBe(true);
  });

  test.each(["INTENT_CLOSED", "INTENT_EXPIRED", "INTENT_CANCELLED"] as const)("is over with %s", (type) => {
    expect(foldIntent(nodes, [event(type, { intent_id: intent, counts: countDeliveries([]) })]).ended).toBe(true);
  });

  test("begins anew with an amendment, and takes nothing more of what it superseded", () => {
    const before = [created, broadcasted, responded(answer(a, "declined")), received(b), dead(c)];
    const folded = foldIntent(nodes, [...before, amended(1)]);
    expect(folded).toMatchObject({ created: true, revision: 1, broadcasted: false, attempt: 0, quotes: [] });
    expect([...folded.deliveries.values()]).toEqual(nodes.map(() => ({ state: "pending", attempts: 0 })));
    const stale = [responded(answer(a, "accepted")), retrying(2, b), dead(b), received(c)];
    expect(foldIntent(nodes, [...before, amended(1), ...stale])).toEqual(folded);
    expect(foldIntent(nodes, [...before, amended(1), amended(1)])).toEqual(folded);
  });

  test("reads answers of the newest revision alone", () => {
    const of = (revision: number, one: Answer) =>
      event("NODE_RESPONDED", { intent_id: intent, revision, responses: [one] });
    const events = [
      created,
      broadcasted,
      amended(1),
      amended(2),
      of(1, answer(a, "declined")),
      of(2, answer(b, "accepted")),
    ];
    expect([...foldIntent(nodes, events).deliveries.values()].map(({ state }) => state)).toEqual([
      "pending",
      "acked",
      "pending",
    ]);
  });

  test("counts the highest attempt of the intent and of each node, in any order", () => {
    const folded = foldIntent(nodes, [created, broadcasted, retrying(3, a), retrying(2, a, b), retrying(2, b)]);
    expect(folded.attempt).toBe(3);
    expect(nodes.map((node) => folded.deliveries.get(node)!.attempts)).toEqual([3, 2, 1]);
  });

  test("lets the dead come back by an ack or a quote, and by nothing else", () => {
    expect(
      statesOf([dead(...nodes), responded(answer(a, "accepted"), answer(b, "quoted"), answer(c, "declined"))]),
    ).toEqual(["acked", "quoted", "dead"]);
    expect(statesOf([dead(a), responded(answer(a, "accepted")), received(a)])[0]).toBe("quoted");
  });

  test("gives reason and time to the state they belong to", () => {
    const lost = foldIntent(nodes, [created, broadcasted, dead(b)]).deliveries.get(b)!;
    expect(lost).toMatchObject({ state: "dead", reason: "ack_timeout" });
    expect(lost.respondedAt).toBeUndefined();
    const back = foldIntent(nodes, [created, broadcasted, dead(b), responded(answer(b, "accepted"))]).deliveries.get(
      b,
    )!;
    expect(back).toMatchObject({ state: "acked", respondedAt: at(1) });
    expect(back.reason).toBeUndefined();
  });

  test("calls nobody dead who has answered", () => {
    expect(statesOf([responded(answer(a, "accepted"), answer(b, "declined")), dead(...nodes)])).toEqual([
      "acked",
      "declined",
      "dead",
    ]);
    expect(foldIntent(nodes, [dead(c)]).deliveries.get(c)).toMatchObject({ state: "dead", reason: "ack_timeout" });
  });

  test("gathers quotes as they were announced, late ones included", () => {
    const folded = foldIntent(nodes, [received(a), received(b), received(a, 1), expired, received(c)]);
    expect(folded.quotes.map(({ quote_id }) => quote_id)).toEqual([
      quoteId(intent, a, 0),
      quoteId(intent, b, 0),
      quoteId(intent, a, 1),
      quoteId(intent, c, 0),
    ]);
    expect([...folded.deliveries.values()].map(({ state }) => state)).toEqual(["quoted", "quoted", "quoted"]);
  });

  test("knows only its targets, and passes over events of tomorrow", () => {
    const stranger = derivedId("nod", "stranger");
    const later = { ...created, type: "INTENT_AMENDED", data: { node_ids: nodes } } as unknown as Event;
    const events = [
      later,
      responded(answer(stranger, "accepted")),
      dead(stranger),
      retrying(2, stranger),
      received(stranger),
    ];
    const folded = foldIntent(nodes, events);
    expect(statesOf(events)).toEqual(["pending", "pending", "pending"]);
    expect([...folded.deliveries.keys()]).toEqual(nodes);
    const unknown = responded({ ...answer(a, "accepted"), status: "pondering" as Answer["status"] });
    expect(statesOf([unknown])[0]).toBe("pending");
  });
});

type Step =
  | { kind: "answers"; answers: { node: number; status: Answer["status"] }[] }
  | { kind: "quote" | "dead"; node: number }
  | { kind: "retry"; node: number; attempt: number }
  | { kind: "broadcast" | "end" };

const anyNode = fc.nat({ max: nodes.length - 1 });
const status = fc.constantFrom<Answer["status"]>("accepted", "declined", "rejected", "quoted");
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("answers" as const),
      answers: fc.array(fc.record({ node: anyNode, status }), { minLength: 1, maxLength: 4 }),
    }),
  },
  fc.record({ kind: fc.constantFrom("quote" as const, "dead" as const), node: anyNode }),
  fc.record({ kind: fc.constant("retry" as const), node: anyNode, attempt: fc.integer({ min: 2, max: 5 }) }),
  fc.record({ kind: fc.constantFrom("broadcast" as const, "end" as const) }),
);

function eventOf(one: Step): Event {
  if (one.kind === "answers") return responded(...one.answers.map((each) => answer(nodes[each.node]!, each.status)));
  if (one.kind === "retry") return retrying(one.attempt, nodes[one.node]!);
  if (one.kind === "quote") return received(nodes[one.node]!);
  if (one.kind === "dead") return dead(nodes[one.node]!);
  return one.kind === "broadcast" ? broadcasted : expired;
}

/** What the words of the design say of one node: what it heard of, in order; then the first that decides. */
function modelOf(steps: Step[], node: number): { state: DeliveryState; attempts: number } {
  const over = steps.findIndex(({ kind }) => kind === "end");
  const heard = steps.flatMap((one, position): (Answer["status"] | "dead")[] => {
    if (one.kind === "quote" && one.node === node) return ["quoted"];
    if (one.kind === "dead" && one.node === node) return ["dead"];
    if (one.kind !== "answers" || (over !== -1 && position > over)) return [];
    return one.answers.filter((each) => each.node === node).map((each) => each.status);
  });
  const attempts = steps.map((one) => {
    if (one.kind === "broadcast") return 1;
    return one.kind === "retry" && one.node === node ? one.attempt : 0;
  });
  return { state: decided(heard), attempts: Math.max(0, ...attempts) };
}

function decided([first, ...rest]: (Answer["status"] | "dead")[]): DeliveryState {
  if (first === undefined) return "pending";
  if (first === "accepted") return rest.find((word) => word === "quoted" || word === "declined") ?? "acked";
  if (first !== "dead") return first;
  const back = rest.findIndex((word) => word === "quoted" || word === "accepted");
  return back === -1 ? "dead" : decided(rest.slice(back));
}

describe("for any order of events", () => {
  const steps = fc.array(step, { maxLength: 14 });

  test("the fold is what the design's words say", () => {
    fc.assert(
      fc.property(steps, (history) => {
        const folded = foldIntent(nodes, history.map(eventOf));
        nodes.forEach((node, index) => expect(folded.deliveries.get(node)).toMatchObject(modelOf(history, index)));
      }),
      { numRuns: 1_000 },
    );
  });

  test("each state is reached by allowed moves alone", () => {
    fc.assert(
      fc.property(steps, (history) => {
        const events = history.map(eventOf);
        let before = statesOf([]);
        for (let length = 1; length <= events.length; length++) {
          const after = statesOf(events.slice(0, length));
          const single = history[length - 1]!.kind !== "answers";
          after.forEach((state, index) => {
            if (single && state !== before[index]) expect(canMove(before[index]!, state)).toBe(true);
          });
          before = after;
        }
      }),
    );
  });

  // What nodes can say: one word that decides, perhaps after an ack, perhaps after having been given up.
  const honest = fc.constantFrom<Answer["status"][]>(
    ["accepted"],
    ["accepted", "quoted"],
    ["accepted", "declined"],
    ["declined"],
    ["rejected"],
    ["quoted"],
  );

  test("repetitions of NODE_RESPONDED change nothing, wherever they stand", () => {
    const repeats = fc.array(fc.record({ of: fc.nat(), behind: fc.nat() }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.tuple(honest, honest, honest), fc.subarray(nodes), repeats, (words, given, copies) => {
        const answers = words.flatMap((said, index) => said.map((word) => responded(answer(nodes[index]!, word))));
        const events: Event[] = [created, broadcasted, dead(...given), ...answers];
        const once = foldIntent(nodes, events);
        for (const { of, behind } of copies) {
          const copy = answers[of % answers.length]!;
          const first = events.indexOf(copy);
          events.splice(first + 1 + (behind % (events.length - first)), 0, copy);
        }
        expect(foldIntent(nodes, events)).toEqual(once);
      }),
      { numRuns: 500 },
    );
  });
});

test("deliveries are counted by state, every state named", () => {
  const counts = countDeliveries([
    { state: "acked", attempts: 1 },
    { state: "quoted", attempts: 1 },
    { state: "acked", attempts: 2 },
  ]);
  expect(Object.keys(counts)).toEqual([...DELIVERY_STATES]);
  expect(counts).toMatchObject({ acked: 2, quoted: 1, pending: 0, dead: 0 });
});
