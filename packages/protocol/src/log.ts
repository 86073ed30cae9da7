// The part of a pino logger that packages use, so that none of them depends on one.

type LogLine = (fields: Record<string, unknown>, message?: string) => void;

export interface Log {
  debug: LogLine;
  info: LogLine;
  warn: LogLine;
  error: LogLine;
}

const drop: LogLine = () => undefined;

/** For callers that want no log: tests and short scripts. */
export const silentLog: Log = { debug: drop, info: drop, warn: drop, error: drop };
