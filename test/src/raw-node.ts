// A registered node on a bare NATS connection, which does only what a test says: the hostile one, and the one that must get nothing.

import {
  headers as natsHeaders,
  jwtAuthenticator,
  connect,
  type Msg,
  type NatsConnection,
} from "@nats-io/transport-node";
import {
  buildAck,
  buildQuote,
  canonicalize,
  digestOf,
  type Intent,
  newNonce,
  newTraceId,
  type NodeCredentials,
  PROTOCOL,
  PROTOCOL_VERSION,
  type Quote,
  type QuoteAnswer,
  type QuoteInput,
  SUBJECTS,
} from "@outcry/protocol";
import { signEnvelope, type SigningKey } from "@outcry/signing";
import type { NodeDescription } from "@outcry/node";
import { eventually, inMs, type Market, type Registered } from "./in-process.js";

export interface Heard {
  kind: string;
  data: Uint8Array;
  headers: Record<string, string>;
}

export interface HeardIntent {
  intent: Intent;
  bytes: Uint8Array;
  digest: string;
}

export interface SignedBytes {
  bytes: Uint8Array;
  signature: string;
}

/** What a node needs of a market: services in this process, or in processes of their own. */
export type Place = Pick<Market, "as" | "register"> & { brokers: Pick<Market["brokers"], "nats"> };

/** Registers, gets credentials by the public route and connects. */
export async function connectRaw(market: Place, description: Partial<NodeDescription> = {}): Promise<RawNode> {
  const registered = await market.register(description);
  const granted = await credentialsOf(market, registered);
  const nats = await connect({
    servers: market.brokers.nats.url,
    authenticator: jwtAuthenticator(granted.nats_user_jwt, new TextEncoder().encode(registered.natsUser.seed)),
    inboxPrefix: granted.inbox_prefix,
    reconnect: false,
  });
  const node = new RawNode(registered, nats);
  await nats.flush();
  return node;
}

/** By the public route, as a node gets them. */
export async function credentialsOf(market: Pick<Place, "as">, { id, key }: Registered): Promise<NodeCredentials> {
  const asked = await market.as(undefined)<{ challenge: string }>("POST", `/v1/nodes/${id}/credentials/challenge`);
  const proof = canonicalize({
    protocol: PROTOCOL,
    version: PROTOCOL_VERSION,
    type: "credentials",
    id: newNonce(),
    trace_id: newTraceId(),
    sender: { id },
    audience: "outcry",
    created: inMs(0),
    expires: inMs(60_000),
    nonce: newNonce(),
    payload: { node_id: id, challenge: asked.body.challenge },
  });
  const { jws } = signEnvelope(proof, "credentials", key);
  const body = { envelope: new TextDecoder().decode(proof), signature: jws };
  const granted = await market.as(undefined)<NodeCredentials>("POST", `/v1/nodes/${id}/credentials`, body);
  if (granted.status !== 200) throw new Error(JSON.stringify(granted.body));
  return granted.body;
}

export class RawNode {
  readonly id: string;
  readonly key: SigningKey;
  readonly nats: NatsConnection;
  readonly heard: Heard[] = [];
  /** Publishes and subscriptions that the server refused, in its words. */
  readonly refused: string[] = [];

  constructor({ id, key }: Registered, nats: NatsConnection) {
    this.id = id;
    this.key = key;
    this.nats = nats;
    nats.subscribe(SUBJECTS.nodeAll(id), { callback: (_error, message) => void this.heard.push(heardOf(message)) });
    void this.#watch();
  }

  /** The intent as it arrived. */
  hears(intentId: string): Promise<HeardIntent> {
    return eventually(() => {
      for (const { kind, data } of this.heard) {
        if (kind !== "intent") continue;
        const intent = JSON.parse(new TextDecoder().decode(data)) as Intent;
        if (intent.id === intentId) return { intent, bytes: data, digest: digestOf(data) };
      }
      return undefined;
    });
  }

  heardOf(kind: "intent" | "cancel" | "notice", text: string): Heard[] {
    return this.heard.filter((one) => one.kind === kind && new TextDecoder().decode(one.data).includes(text));
  }

  /** The next of its quotes on an intent, changed before it is signed. */
  quote(
    heard: HeardIntent,
    input: QuoteInput = { amountMinor: 4_200 },
    change: (quote: Quote) => unknown = (quote) => quote,
    ordinal = 0,
  ): SignedBytes {
    const quote = buildQuote(heard.intent, input, { nodeId: this.id, ordinal, requestDigest: heard.digest });
    return this.sign(change(quote));
  }

  sign(message: unknown, type = "quote", key: SigningKey = this.key): SignedBytes {
    const bytes = canonicalize(message);
    return { bytes, signature: signEnvelope(bytes, type, key).jws };
  }

  /** A quote request as any NATS client makes it. */
  async ask(intentId: string, { bytes, signature }: { bytes: Uint8Array; signature?: string }): Promise<QuoteAnswer> {
    const fields = natsHeaders();
    if (signature !== undefined) fields.set("Outcry-Signature", signature);
    const answer = await this.nats.request(SUBJECTS.nodeQuote(this.id, intentId), bytes, {
      timeout: 5_000,
      headers: fields,
    });
    return answer.json<QuoteAnswer>();
  }

  ack(heard: HeardIntent, status: "accepted" | "declined" | "rejected" = "accepted"): void {
    this.publish(SUBJECTS.ack(this.id, heard.intent.id), canonicalize(buildAck(heard.digest, 1, status)));
  }

  /** From now on it acks each intent as it comes. */
  acksAll(): this {
    this.nats.subscribe(SUBJECTS.nodeIntent(this.id), {
      callback: (_error, { data }) => {
        const intent = JSON.parse(new TextDecoder().decode(data)) as Intent;
        this.ack({ intent, bytes: data, digest: digestOf(data) });
      },
    });
    return this;
  }

  publish(
    subject: string,
    data: Uint8Array | string,
    options: { reply?: string; headers?: Record<string, string> } = {},
  ): void {
    const fields = natsHeaders();
    for (const [name, value] of Object.entries(options.headers ?? {})) fields.set(name, value);
    this.nats.publish(subject, data, {
      ...(options.reply === undefined ? {} : { reply: options.reply }),
      ...(options.headers === undefined ? {} : { headers: fields }),
    });
  }

  async #watch(): Promise<void> {
    for await (const status of this.nats.status()) if (status.type === "error") this.refused.push(status.error.message);
  }
}

function heardOf({ subject, data, headers }: Msg): Heard {
  const fields = Object.fromEntries((headers?.keys() ?? []).map((name) => [name, headers!.last(name)]));
  return { kind: subject.slice(subject.lastIndexOf(".") + 1), data: Uint8Array.from(data), headers: fields };
}
