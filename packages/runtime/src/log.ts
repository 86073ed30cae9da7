// JSON logs by pino, one object per line. Every field and message passes the redaction before it is written.

import type { Log } from "@outcry/protocol";
import { type DestinationStream, pino } from "pino";
import { fieldKey, redact, redactText } from "./redact.js";

export interface LogOptions {
  level?: "debug" | "info" | "warn" | "error";
  /** On every line, such as the service's name. */
  base?: Record<string, unknown>;
  /** Names of fields that are sensitive besides the usual ones. */
  sensitiveFields?: readonly string[];
  /** Where lines go; stdout without it. */
  destination?: DestinationStream;
}

/** A Log that can be narrowed: a child adds its fields to each of its lines. */
export interface ServiceLog extends Log {
  child(fields: Record<string, unknown>): ServiceLog;
}

export function createLog({
  level = "info",
  base = {},
  sensitiveFields = [],
  destination,
}: LogOptions = {}): ServiceLog {
  const extra = new Set(sensitiveFields.map(fieldKey));
  const clean = (fields: Record<string, unknown>): Record<string, unknown> =>
    redact(fields, extra) as Record<string, unknown>;
  const logger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    destination ?? pino.destination(1),
  );
  const within = (bound: Record<string, unknown>): ServiceLog => {
    const write =
      (severity: "debug" | "info" | "warn" | "error"): Log["info"] =>
      (fields, message) => {
        if (!logger.isLevelEnabled(severity)) return;
        logger[severity]({ ...bound, ...clean(fields) }, message === undefined ? undefined : redactText(message));
      };
    return {
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
      child: (fields) => within({ ...bound, ...clean(fields) }),
    };
  };
  return within(clean(base));
}
