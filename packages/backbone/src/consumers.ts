// Durable consumers that come and go with a resource: their place, their names, their end. Running one is consume.ts's work.

import type { Backbone } from "./connect.js";
import { JS, askJetStream, refusal } from "./jetstream.js";

export interface ConsumerPlace {
  /** Everything of the filter below this is acknowledged. */
  readonly nextSeq: number;
  /** The last one that was delivered for the first time. */
  readonly deliveredSeq: number;
  /** Not delivered yet. */
  readonly waiting: number;
  /** Delivered, not acknowledged. */
  readonly inHand: number;
}

interface ConsumerInfo {
  readonly ack_floor: { readonly stream_seq: number };
  readonly delivered: { readonly stream_seq: number };
  readonly num_pending: number;
  readonly num_ack_pending: number;
}

/** Undefined when there is no such consumer. */
export async function consumerPlace(
  backbone: Backbone,
  stream: string,
  durable: string,
): Promise<ConsumerPlace | undefined> {
  const answer = await askJetStream<ConsumerInfo>(backbone, `CONSUMER.INFO.${stream}.${durable}`);
  if (answer.kind === "ok") {
    const { ack_floor, delivered, num_pending, num_ack_pending } = answer.value;
    return {
      nextSeq: ack_floor.stream_seq + 1,
      deliveredSeq: delivered.stream_seq,
      waiting: num_pending,
      inHand: num_ack_pending,
    };
  }
  if (answer.error.err_code === JS.consumerNotFound) return undefined;
  throw refusal(answer.error, `reading consumer ${durable} of ${stream}`);
}

/** One that is gone already is deleted. */
export async function deleteConsumer(backbone: Backbone, stream: string, durable: string): Promise<void> {
  const answer = await askJetStream(backbone, `CONSUMER.DELETE.${stream}.${durable}`);
  if (answer.kind === "refused" && answer.error.err_code !== JS.consumerNotFound)
    throw refusal(answer.error, `deleting consumer ${durable} of ${stream}`);
}

interface NamesPage {
  readonly total: number;
  readonly consumers: readonly string[] | null;
}

/** Durable names on a stream, page by page. */
export async function consumerNames(backbone: Backbone, stream: string): Promise<string[]> {
  const names: string[] = [];
  for (;;) {
    const answer = await askJetStream<NamesPage>(backbone, `CONSUMER.NAMES.${stream}`, { offset: names.length });
    if (answer.kind === "refused") throw refusal(answer.error, `listing consumers of ${stream}`);
    const page = answer.value.consumers ?? [];
    names.push(...page);
    if (page.length === 0 || names.length >= answer.value.total) return names;
  }
}
