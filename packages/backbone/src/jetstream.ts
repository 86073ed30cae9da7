// The JetStream API as request and JSON reply, with its refusals as typed errors. No @nats-io/jetstream: its calls wait out
// their timeouts after a disconnect, and its batches and Direct Gets hide what the server answered.

import { OutcryError } from "@outcry/protocol";
import type { Backbone } from "./connect.js";

/** Numbers from nats-server's server/errors.json. */
export const JS = {
  insufficientResources: 10023,
  memoryResourcesExceeded: 10028,
  storageResourcesExceeded: 10047,
  accountResourcesExceeded: 10002,
  streamNotFound: 10059,
  noMessageFound: 10037,
  streamNameInUse: 10058,
  consumerNotFound: 10014,
  wrongLastSequence: 10071,
  /** The same without the sequence: a conflict with a message that is still being written. */
  wrongLastSequenceInFlight: 10164,
  storeFailed: 10077,
} as const;

const FULL = new Set<number>([
  JS.insufficientResources,
  JS.memoryResourcesExceeded,
  JS.storageResourcesExceeded,
  JS.accountResourcesExceeded,
]);
const FULL_TEXT = /^maximum (?:bytes|messages) exceeded/; // 10077 carries the store's own words

export interface ApiError {
  readonly code: number;
  readonly err_code?: number;
  readonly description: string;
}

/** JetStream's refusal as one of our errors: full, temporarily unable, or a fault of ours. */
export function refusal(error: ApiError, doing: string): OutcryError {
  const detail = `nats: ${doing}: ${error.description} (${error.err_code ?? error.code})`;
  const number = error.err_code ?? 0;
  if (FULL.has(number) || FULL_TEXT.test(error.description)) return new OutcryError("record_full", detail);
  // 500 and 503 are said of a server or cluster state: no leader, no quorum, still starting.
  return new OutcryError(error.code >= 500 ? "dependency_unavailable" : "internal", detail);
}

export type ApiAnswer<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "refused"; readonly error: ApiError };

/** `verb` such as `STREAM.INFO.EVENTS`. */
export async function askJetStream<T>(
  backbone: Backbone,
  verb: string,
  body?: object,
  timeoutMs?: number,
): Promise<ApiAnswer<T>> {
  const data = body === undefined ? new Uint8Array(0) : Buffer.from(JSON.stringify(body));
  const reply = await backbone.request(`${backbone.api}.${verb}`, data, timeoutMs === undefined ? {} : { timeoutMs });
  const answer = JSON.parse(Buffer.from(reply.data).toString()) as T & { error?: ApiError };
  return answer.error === undefined ? { kind: "ok", value: answer } : { kind: "refused", error: answer.error };
}
