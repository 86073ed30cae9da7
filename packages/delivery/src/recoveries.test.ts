import { describe, expect, test } from "@jest/globals";
import { type Event, type EventData, type EventType, buildEvent } from "@outcry/protocol";
import { recoveriesOf } from "./recoveries.js";

const [intent_id, node, other] = ["int_1", "nod_1", "nod_2"];
const event = <T extends EventType>(type: T, data: Omit<EventData<T>, "intent_id">): Event =>
  buildEvent(type, { intent_id, ...data } as unknown as EventData<T>, { topic: "rt.x", traceId: "t" }) as Event;

const retried = (attempt: number) => event("DELIVERY_RETRYING", { attempt, node_ids: [node, other] });
const died = event("DELIVERY_DEAD_LETTERED", { cause: "ack_timeout", attempts: 3, node_ids: [node] });
const replayed = event("DELIVERY_REPLAYED", { node_ids: [node], attempt: 4, replay_id: "rpl_1", dead_letter_ids: [] });
const told = event("DELIVERY_RECOVERED", { node_ids: [node], by: "ack", attempts: 3 });
const answered = (kind: "ack" | "quote", of = node) =>
  event("NODE_RESPONDED", {
    responses: [
      { node_id: of, kind, status: kind === "ack" ? "accepted" : "quoted", received_at: "2026-11-20T12:00:00.000Z" },
    ],
  });

const of = (events: Event[], nodes = [node, other], quoted: string[] = []) =>
  recoveriesOf(events, new Set(nodes), new Set(quoted));
const recovered = { nodeId: node, by: "ack", attempts: 3, told: false };

describe("recoveriesOf", () => {
  test("finds who was dead and answered, by what came first, with the attempts made until then", () => {
    expect(of([retried(2), retried(3), died, answered("ack"), answered("quote")])).toEqual([recovered]);
    expect(of([retried(2), retried(3), died, answered("quote"), answered("ack")])).toEqual([
      { ...recovered, by: "quote" },
    ]);
  });

  test("knows the replay that reached it, and none that came behind its answer", () => {
    const history = [retried(2), retried(3), died, replayed, answered("ack")];
    expect(of(history)).toEqual([{ ...recovered, attempts: 4, replayId: "rpl_1" }]);
    expect(of([...history.filter((one) => one !== replayed), replayed])).toEqual([recovered]);
  });

  test("says whether it is told", () => {
    expect(of([retried(3), died, answered("ack"), told])).toEqual([{ ...recovered, told: true }]);
  });

  test("finds nobody who never died, died behind its answer, or never answered", () => {
    expect(of([retried(3), answered("ack")])).toEqual([]);
    expect(of([retried(3), answered("ack"), died])).toEqual([]);
    expect(of([retried(3), died, answered("ack", other)])).toEqual([]);
  });

  test("takes a quote that counts for an answer before its judge has told it", () => {
    expect(of([retried(3), died], [node], [node])).toEqual([{ ...recovered, by: "quote" }]);
  });

  test("speaks of nobody but those asked for", () => {
    expect(of([retried(3), died, answered("ack")], [other])).toEqual([]);
  });
});
