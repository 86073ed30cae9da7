// Waiting on an intent: collectAcks (the contract's verb, a long poll in turns) and quotes. Both answer with what there is when the time is up.

import { type AcksView, type Clock, LIMITS, type QuotesView } from "@outcry/protocol";
import { pause } from "./backoff.js";
import { call, type HttpDeps } from "./http.js";
import { CLIENT_LIMITS } from "./limits.js";

export interface WaitDeps {
  readonly http: HttpDeps;
  readonly clock: Clock;
}

/** Per-node status; `complete` is false when the time was up with nodes still pending. */
export async function collectAcks(
  { http, clock }: WaitDeps,
  intentId: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<AcksView> {
  const untilMs = clock.now() + timeoutMs;
  for (;;) {
    const turnMs = Math.max(0, Math.min(untilMs - clock.now(), LIMITS.acksLongPollMaxMs));
    const { value } = await call<AcksView>(http, {
      method: "GET",
      path: `/v1/intents/${encodeURIComponent(intentId)}/acks?timeout_ms=${Math.floor(turnMs)}`,
      repeatable: true,
      timeoutMs: turnMs + CLIENT_LIMITS.longPollSlackMs,
      signal,
    });
    if (value.complete || clock.now() >= untilMs) return value;
    await pause(Math.min(CLIENT_LIMITS.pollPauseMs, Math.max(0, untilMs - clock.now())), signal);
  }
}

export interface QuotesOptions {
  /** How many ranked quotes to wait for, or `closed`: until the intent has ended. Without it the answer is immediate. */
  wait?: number | "closed";
  timeoutMs?: number;
  signal?: AbortSignal;
}

export async function readQuotes(
  { http, clock }: WaitDeps,
  intentId: string,
  options: QuotesOptions = {},
): Promise<QuotesView> {
  const { wait, signal } = options;
  const fromMs = clock.now();
  const untilMs = fromMs + (options.timeoutMs ?? (wait === undefined ? 0 : LIMITS.quoteWindowDefaultMs));
  for (;;) {
    const { value } = await call<QuotesView>(http, {
      method: "GET",
      path: `/v1/intents/${encodeURIComponent(intentId)}/quotes`,
      repeatable: true,
      signal,
    });
    const left = untilMs - clock.now();
    if (left <= 0 || enough(value, wait)) return value;
    const pollMs = clock.now() - fromMs < 1_000 ? CLIENT_LIMITS.quotesPollFastMs : CLIENT_LIMITS.quotesPollMs;
    await pause(Math.min(pollMs, left), signal);
  }
}

/** Quotes that were stored before the end may still be in verification. */
function enough({ status, quotes, unranked }: QuotesView, wait: QuotesOptions["wait"]): boolean {
  if (wait === undefined || (typeof wait === "number" && quotes.length >= wait)) return true;
  return status !== "open" && !unranked.some((quote) => quote.code === "processing");
}
