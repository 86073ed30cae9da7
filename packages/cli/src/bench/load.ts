// A small open-loop load: intents are posted on a schedule whatever the answers do, and times run from the schedule (no coordinated
// omission). Acks are heard on one buyer's channel, so both clocks are this process's own.

import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "@outcry/client";
import { type IntentRequest, isOutcryError, type KnownEvent, newNonce, OutcryError } from "@outcry/protocol";
import { ENDS } from "../intent-commands.js";
import type { Progress } from "../progress.js";

const OPEN_MS = 10_000; // for the WebSocket to be subscribed before the first post
const SETTLE_MS = 10_000; // for the last acks after the last post
const IN_FLIGHT_MAX = 256; // posts without an answer; beyond it the service is slower than the rate and the run says so

export interface LoadOptions {
  readonly client: Client;
  readonly request: IntentRequest;
  readonly targets: readonly string[] | undefined;
  readonly ratePerSecond: number;
  readonly durationMs: number;
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

/** Times in ms; of what was measured, one entry per intent. */
export interface Measured {
  readonly posts: number;
  readonly accepted: number;
  /** By error code. */
  readonly failed: Record<string, number>;
  /** From the scheduled moment to the 202. */
  readonly postMs: number[];
  /** From the scheduled moment until the event with the first answer, and with the last target's, was here. */
  readonly firstAckMs: number[];
  readonly lastAckMs: number[];
  /** Accepted intents of which some target was silent for as long as the run waited. */
  readonly incomplete: number;
}

interface Flight {
  readonly dueAt: number;
  readonly targets: number;
  readonly answered: Set<string>;
  firstMs?: number;
  lastMs?: number;
  ended: boolean;
}

export async function runLoad(options: LoadOptions): Promise<Measured> {
  const { client, signal, progress, durationMs, ratePerSecond } = options;
  const buyer = `bench-${newNonce().slice(0, 16)}`;
  const run = new Run(options, buyer);
  const stop = new AbortController();
  const channel = client.realtime.channel(`buyer:${buyer}`, { signal: AbortSignal.any([signal, stop.signal]) });
  const hearing = (async () => {
    for await (const message of channel) if (message.kind === "event") run.hear(message.event, performance.now());
  })();
  try {
    await Promise.race([channel.ready(), hearing, lateAfter(OPEN_MS, signal)]);
    const posts = Math.max(1, Math.round((ratePerSecond * durationMs) / 1_000));
    const startAt = performance.now();
    const pending: Promise<void>[] = [];
    for (let nth = 0; nth < posts; nth++) {
      const dueAt = startAt + (nth * 1_000) / ratePerSecond;
      await sleep(Math.max(0, dueAt - performance.now()), undefined, { signal });
      while (run.inFlight >= IN_FLIGHT_MAX) await sleep(1, undefined, { signal });
      pending.push(run.post(dueAt));
      progress.set(nth + 1, `${run.accepted} accepted`);
    }
    await Promise.all(pending);
    await run.settled(SETTLE_MS, signal);
    return run.measured(posts);
  } finally {
    stop.abort();
    await hearing.catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    });
  }
}

async function lateAfter(ms: number, signal: AbortSignal): Promise<never> {
  await sleep(ms, undefined, { signal, ref: false });
  throw new OutcryError("dependency_unavailable", `the WebSocket was not open after ${ms} ms`);
}

class Run {
  inFlight = 0;
  accepted = 0;
  readonly #options: LoadOptions;
  readonly #buyer: string;
  readonly #postMs: number[] = [];
  readonly #failed: Record<string, number> = {};
  readonly #flights = new Map<string, Flight>();
  /** An event may overtake the answer to the POST. */
  readonly #early = new Map<string, { event: KnownEvent; at: number }[]>();

  constructor(options: LoadOptions, buyer: string) {
    this.#options = options;
    this.#buyer = buyer;
  }

  async post(dueAt: number): Promise<void> {
    const { client, request, targets, signal } = this.#options;
    this.inFlight++;
    try {
      const sent = await client.post({ ...request, buyer_id: this.#buyer }, targets, { signal });
      this.#postMs.push(performance.now() - dueAt);
      this.accepted++;
      this.#flights.set(sent.id, { dueAt, targets: sent.targets, answered: new Set(), ended: false });
      for (const { event, at } of this.#early.get(sent.id) ?? []) this.hear(event, at);
      this.#early.delete(sent.id);
    } catch (error) {
      signal.throwIfAborted();
      const code = isOutcryError(error) ? error.code : String(error);
      this.#failed[code] = (this.#failed[code] ?? 0) + 1;
    } finally {
      this.inFlight--;
    }
  }

  hear(event: KnownEvent, at: number): void {
    const flight = this.#flights.get(event.data.intent_id);
    if (flight === undefined) {
      const early = this.#early.get(event.data.intent_id) ?? [];
      this.#early.set(event.data.intent_id, [...early, { event, at }]);
      return;
    }
    if (ENDS.has(event.type)) flight.ended = true;
    if (event.type !== "NODE_RESPONDED") return;
    for (const { node_id } of event.data.responses) flight.answered.add(node_id);
    flight.firstMs ??= at - flight.dueAt;
    if (flight.answered.size >= flight.targets) flight.lastMs ??= at - flight.dueAt;
  }

  async settled(withinMs: number, signal: AbortSignal): Promise<void> {
    const untilMs = performance.now() + withinMs;
    const open = () => [...this.#flights.values()].some(({ lastMs, ended }) => lastMs === undefined && !ended);
    while (open() && performance.now() < untilMs) await sleep(20, undefined, { signal });
  }

  measured(posts: number): Measured {
    const flights = [...this.#flights.values()];
    return {
      posts,
      accepted: this.accepted,
      failed: this.#failed,
      postMs: this.#postMs,
      firstAckMs: flights.flatMap(({ firstMs }) => firstMs ?? []),
      lastAckMs: flights.flatMap(({ lastMs }) => lastMs ?? []),
      incomplete: flights.filter(({ lastMs }) => lastMs === undefined).length,
    };
  }
}
