import { describe, expect, test } from "@jest/globals";
import {
  buildEvent,
  type EventData,
  type EventType,
  intentId as idOf,
  type KnownEvent,
  newId,
  TOPICS,
} from "@outcry/protocol";
import { NodeBoard } from "./node-board.js";
import { progressLine, startProgress } from "./progress.js";
import { quantile } from "./quantile.js";

const intent = idOf("caller", "key");
const [one, two] = [newId("nod"), newId("nod")];
const at = (ms: number) => new Date(Date.parse("2026-11-20T10:00:00.000Z") + ms).toISOString();

function event<T extends EventType>(type: T, ms: number, data: EventData<T>): KnownEvent {
  const options = {
    topic: TOPICS.anyIntent(intent),
    traceId: "0".repeat(32),
    clock: { now: () => Date.parse(at(ms)) },
  };
  return buildEvent(type, data, options) as KnownEvent;
}
const created = event("INTENT_CREATED", 0, {
  intent_id: intent,
  request_digest: `sha256:${"x".repeat(43)}`,
  targets: 2,
  quote_deadline: at(30_000),
  line_items: 1,
});
const responded = (ms: number, node_id: string, status: "accepted" | "declined" | "quoted", attempt = 1): KnownEvent =>
  event("NODE_RESPONDED", ms, {
    intent_id: intent,
    responses: [{ node_id, kind: status === "quoted" ? "quote" : "ack", status, attempt, received_at: at(ms) }],
  });

describe("the board of node top", () => {
  test("counts an answer once, however often it is told, and a decline behind an accept as both", () => {
    const board = new NodeBoard();
    for (const told of [
      created,
      responded(12, one, "accepted"),
      responded(12, one, "accepted"),
      responded(80, one, "quoted"),
      responded(15, two, "accepted"),
      responded(40, two, "declined"),
    ])
      board.take(told);
    expect(board.rows.get(one)).toMatchObject({ acked: 1, quoted: 1, declined: 0, ackMs: [12], lastSeen: at(80) });
    expect(board.rows.get(two)).toMatchObject({ acked: 1, declined: 1, ackMs: [15] });
  });

  test("measures an ack from the attempt that it answers, and counts retries and dead letters", () => {
    const board = new NodeBoard();
    board.take(created);
    board.take(event("DELIVERY_RETRYING", 500, { intent_id: intent, attempt: 2, node_ids: [one, two] }));
    board.take(responded(520, one, "accepted", 2));
    board.take(
      event("DELIVERY_DEAD_LETTERED", 900, { intent_id: intent, cause: "ack_timeout", attempts: 2, node_ids: [two] }),
    );
    expect(board.rows.get(one)).toMatchObject({ retried: 1, dead: 0, ackMs: [20] });
    expect(board.rows.get(two)).toMatchObject({ retried: 1, dead: 1, ackMs: [] });
  });
});

test("a quantile is the nearest rank, and of nothing there is none", () => {
  const values = [5, 1, 4, 2, 3];
  expect([quantile(values, 0.5), quantile(values, 0.99), quantile(values, 0.01), quantile([], 0.5)]).toEqual([
    3,
    5,
    1,
    undefined,
  ]);
});

test("a bar is drawn on a terminal only, at most ten times a second, and its end", () => {
  const drawn: string[] = [];
  let now = 0;
  const bar = startProgress("replay", 4, { err: (text) => void drawn.push(text), columns: 80, now: () => now });
  for (const done of [1, 2, 3, 4]) {
    now += 60;
    bar.set(done);
  }
  expect(drawn.map((text) => /(\d)\/4/.exec(text)![1])).toEqual(["2", "4"]);
  startProgress("x", 1, { err: (text) => void drawn.push(text), columns: undefined, now: () => now }).set(1);
  expect(drawn).toHaveLength(2);
  expect(progressLine({ label: "x", done: 0, total: 0, note: "" })).toContain("100 %");
});
