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

type ToldProblem = Pick<Problem, "code" | "detail" | "errors"> & Partial<Pick<Problem, "retryable">>;

/** The error a problem describes. A code of a later version keeps its text and whether repeating may help. */
export function errorOfProblem({ code, detail, errors, retryable }: ToldProblem): OutcryError {
  if (Object.hasOwn(ERRORS, code)) return new OutcryError(code as ErrorCode, detail, { pointers: errors });
  return new OutcryError(retryable ? "dependency_unavailable" : "internal", `${code}: ${detail}`, { pointers: errors });
}
