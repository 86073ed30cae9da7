// RFC 9457 problem details, built from the error table alone.

import Type, { type Static } from "typebox";
import { ERRORS, type ErrorCode, OutcryError } from "./errors.js";

export const Problem = Type.Object({
  type: Type.String({ description: "page of the error: /errors/<code>" }),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.String(),
  number: Type.Integer(),
  retryable: Type.Boolean(),
  hint: Type.String(),
  request_id: Type.String(),
  errors: Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() })),
});
export type Problem = Static<typeof Problem>;

export function problemOf(error: OutcryError, requestId: string): Problem {
  const entry = ERRORS[error.code];
  return {
    type: `/errors/${error.code}`,
    title: entry.meaning,
    status: entry.httpStatus,
    detail: error.detail,
    code: error.code,
    number: entry.number,
    retryable: entry.temporary,
    hint: entry.whatToDo,
    request_id: requestId,
    errors: error.pointers,
  };
}

/** The error a problem describes; a code that this version does not know becomes `internal` with the text kept. */
export function errorOfProblem(problem: Pick<Problem, "code" | "detail" | "errors">): OutcryError {
  const known = Object.hasOwn(ERRORS, problem.code);
  return new OutcryError(
    known ? (problem.code as ErrorCode) : "internal",
    known ? problem.detail : `${problem.code}: ${problem.detail}`,
    {
      pointers: problem.errors,
    },
  );
}
