import { describe, expect, test } from "@jest/globals";
import { type ErrorCode, ERRORS, OutcryError } from "./errors.js";
import { errorOfProblem, Problem, problemOf } from "./problem.js";
import { check } from "./validate.js";

const codes = Object.keys(ERRORS) as ErrorCode[];

describe("problems", () => {
  test.each(codes)("%s goes out as a problem and comes back as the same error", (code) => {
    const error = new OutcryError(code, "what happened", { pointers: [{ pointer: "/a", detail: "b" }] });
    const problem = problemOf(error, "req_1");
    expect(check(Problem, problem).kind).toBe("ok");
    expect(problem).toMatchObject({
      type: `/errors/${code}`,
      status: error.httpStatus,
      number: error.number,
      retryable: error.temporary,
      hint: error.hint,
      request_id: "req_1",
    });
    const back = errorOfProblem(JSON.parse(JSON.stringify(problem)) as Problem);
    expect([back.code, back.detail, back.pointers]).toEqual([error.code, error.detail, error.pointers]);
  });

  test("of a later version keep their text, and whether repeating may help", () => {
    const later = { code: "moon_phase_wrong", detail: "wait for it", errors: [] };
    expect(errorOfProblem(later)).toMatchObject({ code: "internal", detail: "moon_phase_wrong: wait for it" });
    expect(errorOfProblem({ ...later, retryable: true })).toMatchObject({
      code: "dependency_unavailable",
      detail: "moon_phase_wrong: wait for it",
    });
  });

  test("never mistake a property of Object for a code", () => {
    expect(errorOfProblem({ code: "constructor", detail: "", errors: [] }).code).toBe("internal");
  });
});
