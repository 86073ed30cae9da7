// What holds of every HTTP answer, whatever was asked: no 5xx, a problem from the error table, nothing of the inside in it. Pure.

import { type ErrorCode, ERRORS } from "@outcry/protocol";
import type { Violation } from "../faults/history.js";

const SLOW_MS = 10_000; // hostile or not, an answer that takes longer holds up its connection
const INSIDE = /node_modules|\.(?:js|ts):\d+|\/dist\/|\bat [\w.<>]+ \(/; // of a stack trace or a path

export interface RawAnswer {
  /** 0 = none came. */
  status: number;
  contentType: string;
  requestId: string;
  text: string;
  tookMs: number;
}

/** A code of the table; `refused`: any of them; undefined: the handler may take it, too. */
export type Expected = ErrorCode | "refused" | undefined;

export function judgeAnswer(answer: RawAnswer, expected: Expected): Violation[] {
  const { status, text, tookMs } = answer;
  const violation = (rule: string) => ({ rule, detail: `${status} ${text.slice(0, 200)}` });
  if (status === 0) return [violation("no_answer")];
  const found: Violation[] = [];
  if (status >= 500) found.push(violation("server_error"));
  if (tookMs > SLOW_MS) found.push(violation("slow"));
  if (status < 400) return expected === undefined ? found : [...found, violation("accepted")];
  return [...found, ...judgeProblem(answer, expected, violation)];
}

function judgeProblem(
  { status, contentType, requestId, text }: RawAnswer,
  expected: Expected,
  violation: (rule: string) => Violation,
): Violation[] {
  const problem = contentType.startsWith("application/problem+json") ? parsed(text) : undefined;
  if (problem === undefined) return [violation("not_a_problem")];
  const found: Violation[] = [];
  const row = Object.hasOwn(ERRORS, problem.code) ? ERRORS[problem.code as ErrorCode] : undefined;
  if (row === undefined) found.push(violation("unknown_code"));
  else if (row.httpStatus !== status || problem.status !== status) found.push(violation("wrong_status"));
  if (requestId === "" || problem.request_id !== requestId) found.push(violation("no_request_id"));
  if (INSIDE.test(text)) found.push(violation("inside_shown"));
  if (expected !== undefined && expected !== "refused" && problem.code !== expected)
    found.push({ rule: "another_code", detail: `${problem.code} instead of ${expected}: ${text.slice(0, 160)}` });
  return found;
}

function parsed(text: string): { code: string; status: number; request_id: string } | undefined {
  try {
    return JSON.parse(text) as { code: string; status: number; request_id: string };
  } catch {
    return undefined;
  }
}
