// The signed word to nodes that an intent was cancelled: no quote will be considered any more.

import Type, { type Static } from "typebox";
import { PROTOCOL, PROTOCOL_VERSION, Reply } from "./envelope.js";
import { IntentId, MessageId } from "./id-schemas.js";
import { newId, newNonce } from "./ids.js";
import type { Intent } from "./intent.js";
import { type Clock, systemClock, toRfc3339 } from "./time.js";

const CancelPayload = Type.Object({
  intent_id: IntentId,
  reason: Type.String({ minLength: 1, maxLength: 256 }),
});

const CANCEL_LIFE_MS = 60_000; // it is sent once, at once: a later copy is a replay

export const Cancel = Reply("cancel", CancelPayload, MessageId);
export type Cancel = Static<typeof Cancel>;

export function buildCancel(intent: Intent, requestDigest: string, reason: string, clock: Clock = systemClock): Cancel {
  const nowMs = clock.now();
  return {
    protocol: PROTOCOL,
    version: PROTOCOL_VERSION,
    type: "cancel",
    id: newId("msg", clock),
    trace_id: intent.trace_id,
    sender: { id: intent.sender.id },
    audience: intent.audience,
    created: toRfc3339(nowMs),
    expires: toRfc3339(nowMs + CANCEL_LIFE_MS),
    nonce: newNonce(),
    in_reply_to: intent.id,
    request_digest: requestDigest,
    payload: { intent_id: intent.id, reason },
  };
}
