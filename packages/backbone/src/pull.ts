// Durable pull consumers on the wire (ADR-37, ADR-42's request form): making one, and asking it for messages.
// What is done with a message is consume.ts's work.

import { randomBytes } from "node:crypto";
import type { Backbone, Subscription } from "./connect.js";
import type { Incoming } from "./headers.js";
import { askJetStream, refusal } from "./jetstream.js";

const NS_PER_MS = 1_000_000;
const PULL_EXPIRES_MS = 10_000; // an idle pull is renewed this often
const HEARTBEAT_MS = 1_000;
const SILENCE_MS = 3_500; // three heartbeats missed: the consumer or its leader is gone
export const MAX_ACK_PENDING = 256; // over all processes: several times what one holds, so that a stuck one holds up no other

export interface ConsumerShape {
  readonly stream: string;
  readonly durable: string;
  readonly filters: readonly string[];
  readonly ackWaitMs: number;
  readonly ackPendingMax?: number;
  readonly startSeq?: number;
}

/** Creates the consumer, or brings an existing one to this shape without losing its place. */
export async function ensureConsumer(backbone: Backbone, shape: ConsumerShape): Promise<void> {
  const { stream, durable, filters, ackWaitMs, ackPendingMax = MAX_ACK_PENDING, startSeq } = shape;
  const config = {
    durable_name: durable,
    filter_subjects: filters,
    ...(startSeq === undefined
      ? { deliver_policy: "all" }
      : { deliver_policy: "by_start_sequence", opt_start_seq: startSeq }),
    ack_policy: "explicit",
    ack_wait: ackWaitMs * NS_PER_MS,
    max_ack_pending: ackPendingMax,
    max_deliver: -1, // consume.ts counts at receipt, see there
    replay_policy: "instant",
  };
  const answer = await askJetStream(backbone, `CONSUMER.CREATE.${stream}.${durable}`, { stream_name: stream, config });
  if (answer.kind === "refused") throw refusal(answer.error, `creating consumer ${durable} of ${stream}`);
}

/** `again`: pull again at once. `paused`: the server asks for patience. `lost`: the consumer may be gone. */
export type PullEnd = "again" | "paused" | "lost";

/** One subscription that receives the messages of one pull after another. */
export class PullInbox {
  readonly #backbone: Backbone;
  readonly #next: string;
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #onMessage: (message: Incoming) => void;
  #pulls = 0;
  #current: { reply: string; wanted: number; timer: NodeJS.Timeout; end: (how: PullEnd) => void } | undefined;

  constructor(backbone: Backbone, shape: ConsumerShape, onMessage: (message: Incoming) => void) {
    this.#backbone = backbone;
    this.#next = `${backbone.api}.CONSUMER.MSG.NEXT.${shape.stream}.${shape.durable}`;
    this.#inbox = `${backbone.inboxPrefix}.${randomBytes(9).toString("hex")}`;
    this.#onMessage = onMessage;
    this.#subscription = backbone.subscribe(`${this.#inbox}.*`, (message) => this.#receive(message));
  }

  /** Asks for up to `wanted` messages; resolves when they have come, or none will come any more. */
  async pull(wanted: number, signal: AbortSignal): Promise<PullEnd> {
    const reply = `${this.#inbox}.${(this.#pulls++).toString(36)}`;
    const body = { batch: wanted, expires: PULL_EXPIRES_MS * NS_PER_MS, idle_heartbeat: HEARTBEAT_MS * NS_PER_MS };
    this.#backbone.publish(this.#next, Buffer.from(JSON.stringify(body)), { reply });
    return new Promise((resolve) => {
      const onAbort = () => end("again");
      const stopListening = this.#backbone.health.onChange(() => end("again")); // its messages went down with the connection
      const end = (how: PullEnd) => {
        clearTimeout(timer);
        stopListening();
        signal.removeEventListener("abort", onAbort);
        this.#current = undefined;
        resolve(how);
      };
      const timer = setTimeout(() => end("lost"), SILENCE_MS);
      signal.addEventListener("abort", onAbort, { once: true });
      this.#current = { reply, wanted, timer, end };
    });
  }

  /** No more messages are sent; those under way are still handed over before this resolves. */
  async close(): Promise<void> {
    if (this.#backbone.health.up) await this.#subscription.drain();
    else this.#subscription.close();
  }

  #receive(message: Incoming): void {
    const pull = this.#current;
    const isStatus = message.subject.startsWith(this.#inbox);
    if (!isStatus) this.#onMessage(message);
    if (pull === undefined || (isStatus && message.subject !== pull.reply)) return;
    pull.timer.refresh();
    if (isStatus) this.#onStatus(message, pull.end);
    else if (--pull.wanted === 0) pull.end("again");
  }

  #onStatus(message: Incoming, end: (how: PullEnd) => void): void {
    const { status, description } = message.headers;
    if (status === 100) return; // heartbeat
    if (status === 404 || status === 408) end("again"); // expired
    else if (status === 503 || description.includes("Deleted")) end("lost");
    else end("paused"); // 409: leadership change, shutdown, too many pulls
  }
}
