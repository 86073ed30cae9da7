// A peer without the SDK that answers well, late, not at all or wrongly: for tests of a marketplace.

import { setTimeout as sleep } from "node:timers/promises";
import { type Backbone, connectBackbone } from "@outcry/backbone";
import {
  buildAck,
  buildQuote,
  canonicalize,
  digestOf,
  type Intent,
  type QuoteAnswer,
  silentLog,
  SUBJECTS,
  systemClock,
} from "@outcry/protocol";
import { signEnvelope, signingKeyOf } from "@outcry/signing";
import type { Seat } from "./seat.js";

/** ok: acks and quotes · slow: the same after delayMs · silent: hears only · forged: its quote is signed by another key · declining: no_inventory. */
export type FakeNodeMode = "ok" | "slow" | "silent" | "forged" | "declining";

export interface FakeNodeOptions {
  /** A test market, or anything else that gives a registered node's id, key and connection. */
  readonly market: { connection(name?: string): Seat | Promise<Seat> };
  readonly mode: FakeNodeMode;
  readonly name?: string;
  readonly amountMinor?: number;
  /** Of `slow`. */
  readonly delayMs?: number;
}

export interface FakeNode {
  readonly id: string;
  /** Every copy. */
  readonly heard: readonly Intent[];
  /** What was said to its quotes. */
  readonly answers: readonly QuoteAnswer[];
  stop(): Promise<void>;
}

export async function fakeNode(options: FakeNodeOptions): Promise<FakeNode> {
  const { mode, amountMinor = 1_000, delayMs = 1_000 } = options;
  const { id, key, connection } = await options.market.connection(options.name ?? mode);
  const backbone = await connectAs(id, connection);
  const heard: Intent[] = [];
  const answers: QuoteAnswer[] = [];
  const signer = mode === "forged" ? signingKeyOf(crypto.getRandomValues(new Uint8Array(32)), key.kid) : key;

  backbone.subscribe(SUBJECTS.nodeIntent(id), async ({ data, headers }) => {
    const intent = JSON.parse(Buffer.from(data).toString()) as Intent;
    const digest = digestOf(data);
    const attempt = Number(headers.last("Outcry-Attempt"));
    heard.push(intent);
    if (mode === "silent") return;
    if (mode === "slow") await sleep(delayMs, undefined, { ref: false });
    const ack =
      mode === "declining"
        ? buildAck(digest, attempt, "declined", "no_inventory")
        : buildAck(digest, attempt, "accepted");
    backbone.publish(SUBJECTS.ack(id, intent.id), canonicalize(ack));
    if (mode !== "declining") answers.push(await quote(intent, digest));
  });

  async function quote(intent: Intent, requestDigest: string): Promise<QuoteAnswer> {
    const bytes = canonicalize(buildQuote(intent, { amountMinor }, { nodeId: id, ordinal: 0, requestDigest }));
    const headers = { "Outcry-Signature": signEnvelope(bytes, "quote", signer).jws };
    const answer = await backbone.request(SUBJECTS.nodeQuote(id, intent.id), bytes, { headers });
    return JSON.parse(Buffer.from(answer.data).toString()) as QuoteAnswer;
  }

  await backbone.flush();
  return { id, heard, answers, stop: () => backbone.close() };
}

function connectAs(id: string, connection: Seat["connection"]): Promise<Backbone> {
  const { natsUrl, userJwt, natsSeed, inboxPrefix } = connection;
  return connectBackbone({
    servers: [natsUrl].flat(),
    name: id,
    inboxPrefix,
    log: silentLog,
    clock: systemClock,
    ...(userJwt === undefined || natsSeed === undefined ? {} : { credentials: { jwt: userJwt, seed: natsSeed } }),
  });
}
