// What the soaks run on: the services as processes, one backend, the record, and many nodes on bare connections of their own.

import { setTimeout as sleep } from "node:timers/promises";
import type { ApiKeyCreated, IntentAccepted } from "@outcry/protocol";
import { callAs } from "../api-calls.js";
import { type Answer, type Post, send } from "../faults/load.js";
import { openRecord, type RecordReader } from "../faults/record.js";
import { registerNode } from "../in-process.js";
import { type ProcessOptions, type ProcessStack, startProcesses } from "../processes.js";
import type { Place } from "../raw-node.js";

const POST_WITHIN_MS = 60_000;
const POST_AGAIN_MS = 200;

export interface SoakMarket {
  readonly stack: ProcessStack;
  readonly place: Place;
  readonly record: RecordReader;
  /** The backend's request to one of the broadcast processes; status 0 when no answer came. */
  ask<T>(process: number, method: string, route: string, body?: unknown): Promise<Answer<T>>;
  /** Posts an intent to these nodes under one key until it is accepted. */
  broadcast(key: string, targets: readonly string[], deadlineMs: number, more?: object): Promise<Post>;
  stop(): Promise<void>;
}

export async function startSoakMarket(options: ProcessOptions = {}): Promise<SoakMarket> {
  const stack = await startProcesses({ ...options, env: { OUTCRY_LOG_LEVEL: "warn", ...options.env } });
  const admin = callAs(stack.url, stack.adminKey);
  const { body } = await admin<ApiKeyCreated>("POST", "/v1/api-keys", { role: "backend", name: "marketplace" });
  const record = await openRecord(stack.brokers);
  return {
    stack,
    place: {
      as: (secret) => callAs(stack.url, secret),
      register: (description) => registerNode(admin, description),
      brokers: stack.brokers,
    },
    record,
    ask: (process, method, route, content) =>
      send(stack.service("broadcast", process).url, body.secret, method, route, content),
    broadcast: (key, targets, deadlineMs, more) =>
      postUntilAccepted(stack.url, body.secret, { key, targets: [...targets], deadlineMs, more }),
    async stop() {
      await record.close();
      await stack.stop();
    },
  };
}

interface Wanted {
  key: string;
  targets: string[];
  deadlineMs: number;
  more: object | undefined;
}

async function postUntilAccepted(url: string, secret: string, wanted: Wanted): Promise<Post> {
  const { key, targets, deadlineMs, more } = wanted;
  const body = {
    line_items: [{ query: `thing ${key}` }],
    context: { currency: "EUR" },
    routing: { targets },
    quote_deadline: new Date(deadlineMs).toISOString(),
    ...more,
  };
  const untilMs = Date.now() + POST_WITHIN_MS;
  const tries: Post["tries"] = [];
  for (;;) {
    const askedAt = performance.now();
    const answer = await send<IntentAccepted>(url, secret, "POST", "/v1/intents", body, { "idempotency-key": key });
    const tookMs = Math.round(performance.now() - askedAt);
    tries.push({ status: answer.status, retryAfter: answer.headers?.has("retry-after") ?? false, tookMs });
    if (answer.status === 202)
      return { key, body, targets, tries, amendments: [], accepted: answer.body as IntentAccepted };
    if (Date.now() > untilMs || (answer.status >= 400 && answer.status < 500))
      throw new Error(`${key}: ${answer.status} ${JSON.stringify(answer.body)}`);
    await sleep(POST_AGAIN_MS);
  }
}
