import { describe, expect, test } from "@jest/globals";
import { ERROR_RANGES, type ErrorCode, ERRORS, isOutcryError, isTemporary, OutcryError } from "./errors.js";

const rows = Object.entries(ERRORS);
const codes = Object.keys(ERRORS) as ErrorCode[];

describe("the error table", () => {
  test("gives every code its own number, in order", () => {
    const numbers = rows.map(([, { number }]) => number);
    expect(new Set(numbers).size).toBe(rows.length);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  });

  test("puts every number into a range that has a title, and leaves none empty", () => {
    const ranges = new Set(rows.map(([, { number }]) => String(Math.floor(number / 1_000))));
    expect([...ranges].toSorted()).toEqual(Object.keys(ERROR_RANGES).toSorted());
  });

  test.each(rows)("%s says in whole sentences what it means and what to do", (code, row) => {
    expect(code).toMatch(/^[a-z0-9]+(_[a-z0-9]+)*$/);
    expect(row.meaning).toMatch(/^\S.*[.]$/u);
    expect(row.whatToDo).toMatch(/^\S.*[.]$/u);
    expect(row.httpStatus).toBeGreaterThanOrEqual(400);
    expect(row.httpStatus).toBeLessThan(600);
  });

  test("never says two things with one sentence", () => {
    expect(new Set(rows.map(([, { meaning }]) => meaning)).size).toBe(rows.length);
  });

  test("lets no caller repeat what a repetition cannot mend", () => {
    const temporary = rows.filter(([, row]) => row.temporary);
    expect(temporary.map(([code]) => code)).toEqual([
      "node_changed",
      "replays_too_many",
      "dependency_unavailable",
      "record_full",
      "shutting_down",
      "timed_out",
      "rate_limited",
    ]);
    expect(temporary.every(([, { httpStatus }]) => [409, 429, 503, 504].includes(httpStatus))).toBe(true);
  });
});

describe("OutcryError", () => {
  test.each(codes)("%s carries its row", (code) => {
    const error = new OutcryError(code);
    const row = ERRORS[code];
    expect(error).toMatchObject({ name: "OutcryError", code, detail: row.meaning, pointers: [] });
    expect([error.number, error.httpStatus, error.temporary, error.hint]).toEqual([
      row.number,
      row.httpStatus,
      row.temporary,
      row.whatToDo,
    ]);
    expect(error.message).toBe(`${code}: ${row.meaning}`);
    expect(isTemporary(error)).toBe(row.temporary);
  });

  test("keeps cause and pointers", () => {
    const cause = new Error("socket closed");
    const error = new OutcryError("dependency_unavailable", "nats: gone", {
      cause,
      pointers: [{ pointer: "/a", detail: "b" }],
    });
    expect(error.cause).toBe(cause);
    expect(error.pointers).toEqual([{ pointer: "/a", detail: "b" }]);
    expect("cause" in new OutcryError("internal")).toBe(false);
  });

  test("is told from other errors, and by its code", () => {
    const error = new OutcryError("intent_ended");
    expect([isOutcryError(error), isOutcryError(error, "intent_ended"), isOutcryError(error, "quote_late")]).toEqual([
      true,
      true,
      false,
    ]);
    expect([isOutcryError(new Error("x")), isTemporary(new Error("x")), isTemporary(undefined)]).toEqual([
      false,
      false,
      false,
    ]);
  });
});
