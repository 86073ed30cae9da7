// How `outcry` ends. Scripts branch on these.

import { isOutcryError, type OutcryError } from "@outcry/protocol";

export const EXIT = { ok: 0, failed: 1, usage: 2, auth: 3, notFound: 4, unavailable: 5, checkFailed: 6 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The command line is wrong; nothing was sent. */
export class UsageError extends Error {}

/** The command ran to its end and found something wrong: `doctor`, `token inspect`, `bench compare`. */
export class CheckFailed extends Error {}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof CheckFailed) return EXIT.checkFailed;
  if (!isOutcryError(error)) return EXIT.failed;
  const status = statusOf(error);
  if (status === 401 || status === 403) return EXIT.auth;
  if (status === 404) return EXIT.notFound;
  return error.temporary || status === 0 || status >= 502 ? EXIT.unavailable : EXIT.failed;
}

/** What came over the wire, else what the table says. */
const statusOf = (error: OutcryError & { status?: unknown }): number =>
  typeof error.status === "number" ? error.status : error.httpStatus;

/** What each code means, for help and docs. */
export const EXIT_MEANINGS: Readonly<Record<ExitCode, string>> = {
  0: "ok",
  1: "failed: the service refused, or a fault",
  2: "usage: the command line is wrong, nothing was sent",
  3: "auth: the key or token is missing rights",
  4: "not found",
  5: "unavailable: repeat later",
  6: "check failed",
};
