// A stored quote on its way to being judged: what the BullMQ job carries, so that no worker has to read it again.

import type { Stored } from "@outcry/backbone";
import type { IntakeJob } from "@outcry/jobs";
import { isId } from "@outcry/protocol";

export interface IntakeJobData {
  /** Place in QUOTES: the end's `quotes_through` is compared with it. */
  seq: number;
  /** When QUOTES stored it, by the server's clock. */
  storedMs: number;
  /** `quotes.<intent>.<node>.<quote>`: the node in it was authenticated by its connection. */
  subject: string;
  /** The signed bytes as text: they were checked to be canonical, hence valid UTF-8. */
  envelope: string;
  signature: string;
  /** Put back by a rebuild: an earlier job may have done part of the work. */
  requeued?: true;
}

export const QUOTE_SIGNATURE_HEADER = "Outcry-Signature";

const decoder = new TextDecoder();

/** Throws TypeError for a message that no intake of ours has stored: the caller sets it aside. */
export function intakeJob(stored: Stored, options: { requeued?: boolean } = {}): IntakeJob<IntakeJobData> {
  const [, intent, node, quote] = stored.subject.split(".");
  if (!isId("int", intent) || !isId("nod", node) || !isId("quo", quote)) {
    throw new TypeError(`not the subject of a quote: ${stored.subject}`);
  }
  return {
    id: quote,
    data: {
      seq: stored.seq,
      storedMs: stored.time,
      subject: stored.subject,
      envelope: decoder.decode(stored.data),
      signature: stored.headers.last(QUOTE_SIGNATURE_HEADER) ?? "",
      ...(options.requeued ? { requeued: true } : {}),
    },
  };
}
