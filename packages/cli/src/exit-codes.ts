// How `outcry` ends. Scripts branch on these.

import { isOutcryError, type OutcryError } from "@outcry/protocol";

export const EXIT = { ok: 0, failed: 1, usage: 2, auth: 3, notFound: 4, unavailable: 5 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The command line is wrong; nothing was sent. */
export class UsageError extends Error {}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError) return EXIT.usage;
  if (!isOutcryError(error)) return EXIT.failed;
  const status = statusOf(error);
  if (status === 401 || status === 403) return EXIT.auth;
  if (status === 404) return EXIT.notFound;
  return error.temporary || status === 0 || status >= 502 ? EXIT.unavailable : EXIT.failed;
}

/** What came over the wire, else what the table says. */
const statusOf = (error: OutcryError & { status?: unknown }): number =>
  typeof error.status === "number" ? error.status : error.httpStatus;
