import { describe, expect, test } from "@jest/globals";
import {
  canMove,
  DELIVERY_STATES,
  DELIVERY_TRANSITIONS,
  type DeliveryState,
  FINAL_STATES,
  packDelivery,
  stateAtEnd,
  stateCode,
  unpackDelivery,
} from "./delivery.js";
import { LIMITS } from "./limits.js";

// DESIGN "Delivery states", written down a second time.
const moves = [
  "pending → acked",
  "pending → quoted",
  "pending → declined",
  "pending → rejected",
  "pending → dead",
  "pending → timed_out",
  "pending → cancelled",
  "acked → quoted",
  "acked → declined",
  "acked → timed_out",
  "acked → cancelled",
  "dead → acked",
  "dead → quoted",
];

describe("the table of delivery states", () => {
  test("allows exactly the designed moves", () => {
    const allowed = DELIVERY_STATES.flatMap((from) =>
      DELIVERY_STATES.filter((to) => canMove(from, to)).map((to) => `${from} → ${to}`),
    );
    expect(allowed.toSorted()).toEqual(moves.toSorted());
  });

  test("has codes that never change, because rows on disk hold them", () => {
    expect(Object.fromEntries(DELIVERY_STATES.map((state) => [state, stateCode(state)]))).toEqual({
      pending: 0,
      acked: 1,
      quoted: 2,
      declined: 3,
      rejected: 4,
      dead: 5,
      timed_out: 6,
      cancelled: 7,
    });
  });

  test("lets a final state move no further, but for the dead that answer", () => {
    const moving = [...FINAL_STATES].filter((state) => DELIVERY_TRANSITIONS[state].length > 0);
    expect(moving).toEqual(["dead"]);
    expect(DELIVERY_STATES.filter((state) => !FINAL_STATES.has(state))).toEqual(["pending", "acked"]);
  });

  test.each<["closed" | "expired" | "cancelled", DeliveryState]>([
    ["closed", "timed_out"],
    ["expired", "timed_out"],
    ["cancelled", "cancelled"],
  ])("leaves no delivery open when its intent is %s", (outcome, last) => {
    for (const state of DELIVERY_STATES) {
      const ended = stateAtEnd(state, outcome);
      expect(FINAL_STATES.has(ended)).toBe(true);
      expect(ended).toBe(FINAL_STATES.has(state) ? state : last);
      if (ended !== state) expect(canMove(state, ended)).toBe(true);
    }
  });
});

describe("the packed byte", () => {
  const all = DELIVERY_STATES.flatMap((state) =>
    Array.from({ length: LIMITS.attemptsCeiling + 1 }, (_, attempts) => ({ state, attempts })),
  );

  test("holds each of the 8 × 16 deliveries, each in a byte of its own", () => {
    expect(all).toHaveLength(128);
    expect(all.map((delivery) => unpackDelivery(packDelivery(delivery)))).toEqual(all);
    const bytes = all.map(packDelivery);
    expect(new Set(bytes).size).toBe(128);
    expect(bytes.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255)).toBe(true);
    expect(packDelivery({ state: "quoted", attempts: 3 })).toBe(0x32);
  });

  test.each([-1, 16, 1.5, Number.NaN])("never wraps round: %p attempts are refused", (attempts) => {
    expect(() => packDelivery({ state: "acked", attempts })).toThrow(RangeError);
  });

  test("refuses a state that no version has written", () => {
    for (let code = DELIVERY_STATES.length; code < 16; code++) expect(() => unpackDelivery(code)).toThrow(RangeError);
  });
});
