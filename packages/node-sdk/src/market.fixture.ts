// The service as a node sees it: signs and sends intents, hears acks, answers quotes as it is told to. A protocol peer for tests, over a real server.

import { connect, headers as natsHeaders, type NatsConnection } from "@nats-io/transport-node";
import {
  type Ack,
  amendedRequest,
  buildCancel,
  buildIntent,
  canonicalize,
  digestOf,
  type Intent,
  type IntentRequest,
  newId,
  parseAnswer,
  type Quote,
  type QuoteAnswer,
  SUBJECTS,
  toRfc3339,
} from "@outcry/protocol";
import { generateKey, publicJwk, signEnvelope, type SigningKey } from "@outcry/signing";
import { createNode, type SellerNode } from "./seller-node.js";
import type { NodeOptions } from "./options.js";

export interface SeenAck extends Ack {
  node: string;
  intent: string;
}
export interface SeenQuote {
  node: string;
  bytes: Uint8Array;
  text: string;
  quote: Quote;
  signature: string | undefined;
  traceparent: string | undefined;
  requestId: string | undefined;
  answered: boolean;
}

/** What the service says to the n-th quote request (from 0); undefined is silence. */
export type QuoteRule = (quote: Quote, nth: number) => QuoteAnswer | undefined;

export const stored: QuoteRule = (quote) => ({
  kind: "stored",
  quote_id: quote.id,
  digest: digestOf(canonicalize(quote)),
});
export const silent: QuoteRule = () => undefined;

export interface SendOptions {
  attempt?: number;
  timeLeftMs?: number;
  bytes?: Uint8Array;
  key?: SigningKey;
  type?: string;
  signature?: string;
  headers?: Record<string, string>;
}

export const bag: IntentRequest = {
  line_items: [{ query: "canvas bag", category: "bags", quantity: 2 }],
  context: { currency: "EUR", region: "DE" },
};

export class Market {
  readonly serviceId = "outcry";
  key = generateKey();
  readonly acks: SeenAck[] = [];
  readonly quotes: SeenQuote[] = [];
  rule: QuoteRule = stored;
  readonly #natsUrl: string;
  #nc!: NatsConnection;
  readonly #nodes: SellerNode[] = [];

  constructor(natsUrl: string) {
    this.#natsUrl = natsUrl;
  }

  async open(options: Parameters<typeof connect>[0] = {}): Promise<this> {
    this.#nc = await connect({
      servers: this.#natsUrl,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      ignoreAuthErrorAbort: true,
      ...options,
    });
    this.#nc.subscribe(SUBJECTS.allAcks, {
      callback: (_, message) => void this.acks.push({ ...message.json<Ack>(), ...parseAnswer(message.subject)! }),
    });
    this.#nc.subscribe(SUBJECTS.allNodeQuotes, {
      callback: (_, message) => {
        const quote = message.json<Quote>();
        const answer = this.rule(quote, this.quotes.length);
        const header = (name: string) => message.headers?.get(name) || undefined;
        this.quotes.push({
          node: parseAnswer(message.subject)!.node,
          bytes: message.data.slice(),
          text: message.string(),
          quote,
          signature: header("Outcry-Signature"),
          traceparent: header("traceparent"),
          requestId: header("X-Request-Id"),
          answered: answer !== undefined,
        });
        if (answer !== undefined) message.respond(canonicalize(answer));
      },
    });
    await this.#nc.flush();
    return this;
  }

  /** A node with a direct connection, not started. */
  node(options: Partial<NodeOptions> = {}): { node: SellerNode; nodeId: string; key: SigningKey } {
    const nodeId = newId("nod");
    const key = generateKey();
    const node = createNode({
      id: nodeId,
      key,
      natsSeed: "SUAKYRHVIOREXV7EUZTBHUHL7NUMHPMAS7QMDU3GTIUWEI5LDNOXD43IZY", // of the NATS documentation; unused without authentication
      connection: {
        natsUrl: this.#natsUrl,
        inboxPrefix: `_INBOX.${nodeId}`,
        serviceKeys: [publicJwk(this.key)],
        serviceId: this.serviceId,
      },
      ...options,
    });
    this.#nodes.push(node);
    return { node, nodeId, key };
  }

  intent(request: Partial<IntentRequest> = {}, windowMs = 20_000): Intent {
    return buildIntent(
      { ...bag, quote_deadline: toRfc3339(Date.now() + windowMs), ...request },
      { sender: this.serviceId },
    );
  }

  /** Sends and waits until the server has it. */
  /** Its next revision. */
  amended(intent: Intent, request: Partial<IntentRequest> = {}): Intent {
    const { revision = 0 } = intent.payload;
    return buildIntent(amendedRequest(intent.payload, request), {
      id: intent.id,
      sender: intent.sender.id,
      amends: { revision: revision + 1, supersedes: digestOf(canonicalize(intent)) },
    });
  }

  async send(nodeId: string, intent: unknown, options: SendOptions = {}): Promise<void> {
    await this.#publish(SUBJECTS.nodeIntent(nodeId), intent, { type: "intent", ...options });
  }

  async cancel(nodeId: string, intent: Intent, reason: string, options: SendOptions = {}): Promise<void> {
    const cancel = buildCancel(intent, digestOf(canonicalize(intent)), reason);
    await this.#publish(SUBJECTS.nodeCancel(nodeId), cancel, { type: "cancel", ...options });
  }

  async notice(nodeId: string, body: unknown): Promise<void> {
    this.#nc.publish(SUBJECTS.nodeNotice(nodeId), canonicalize(body));
    await this.#nc.flush();
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.drain({ timeoutMs: 0 })));
    await this.#nc.close();
  }

  async #publish(subject: string, message: unknown, options: SendOptions): Promise<void> {
    const bytes = options.bytes ?? canonicalize(message);
    const { jws } = signEnvelope(bytes, options.type!, options.key ?? this.key);
    const headers = natsHeaders();
    headers.set("Outcry-Signature", options.signature ?? jws);
    headers.set("Outcry-Attempt", String(options.attempt ?? 1));
    headers.set("Outcry-Time-Left-Ms", String(options.timeLeftMs ?? 20_000));
    for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value);
    this.#nc.publish(subject, bytes, { headers });
    await this.#nc.flush();
  }
}
