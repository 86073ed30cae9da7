// One ack on its way, signed where the node was told to. At most once: an ack that is lost is earned again when the service repeats the intent.

import { type Ack, canonicalize, SUBJECTS } from "@outcry/protocol";
import { signEnvelope, type SigningKey } from "@outcry/signing";
import type { NatsLink } from "./nats-link.js";

export interface SendAckDeps {
  readonly nodeId: string;
  readonly link: NatsLink;
  /** Looked up for each signature: it rotates. */
  readonly key: () => SigningKey;
  readonly signAcks: boolean;
}

export function sendAck({ nodeId, link, key, signAcks }: SendAckDeps, intentId: string, ack: Ack): void {
  const bytes = canonicalize(ack); // from here on the bytes are the ack
  const subject = SUBJECTS.ack(nodeId, intentId);
  if (signAcks) link.publish(subject, bytes, { "Outcry-Signature": signEnvelope(bytes, "ack", key()).jws });
  else link.publish(subject, bytes);
}
