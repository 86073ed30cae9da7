// Nodes that are nothing but a NATS connection under their own credentials: a process holds hundreds of them.

import { connect, type NatsConnection } from "@nats-io/transport-node";
import { buildAck, canonicalize, digestOf, type DeclineReason, SUBJECTS } from "@outcry/protocol";
import { natsAuthenticator, type SigningKey } from "@outcry/signing";
import { credentialsOf, type Place } from "../raw-node.js";
import type { Registered } from "../in-process.js";

const ID_MARK = Buffer.from('"id":"int_'); // keys are sorted: the envelope's own id is the first one in the bytes
const ID_CHARS = 30;
const AT_ONCE = 8; // registrations and connections under way
const DIAL_TIMEOUT_MS = 5_000;
const KNOWN_MAX = 2_000; // intents whose digest is at hand: all nodes hear the same bytes

export interface BareIntent {
  id: string;
  bytes: Uint8Array;
  digest: string;
  attempt: number;
}

export interface BareNode {
  readonly id: string;
  readonly key: SigningKey;
  readonly nats: NatsConnection;
}

export type OnIntent = (node: BareNode, intent: BareIntent) => void;

/** `count` nodes in the registry. */
export async function registerMany(place: Place, count: number): Promise<Registered[]> {
  return inTurns(Array.from({ length: count }), () => place.register());
}

/** Connects each of them; every intent that one hears goes to `onIntent`. */
export async function connectMany(place: Place, nodes: readonly Registered[], onIntent: OnIntent): Promise<BareNode[]> {
  const known = new Map<string, Omit<BareIntent, "attempt">>();
  return inTurns(nodes, async (registered) => {
    const granted = await credentialsOf(place, registered);
    const nats = await connect({
      servers: place.brokers.nats.url,
      authenticator: natsAuthenticator(() => granted.nats_user_jwt, registered.natsUser.seed),
      inboxPrefix: granted.inbox_prefix,
      waitOnFirstConnect: true, // a busy machine may need more than one try
      timeout: DIAL_TIMEOUT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      ignoreAuthErrorAbort: true,
    });
    const node = { id: registered.id, key: registered.key, nats };
    nats.subscribe(SUBJECTS.nodeIntent(node.id), {
      callback: (_error, { data, headers }) =>
        onIntent(node, { ...readIntent(known, data), attempt: Number(headers?.last("Outcry-Attempt")) }),
    });
    await nats.flush();
    return node;
  });
}

/** Hands each heard intent to whoever waits for it, whichever comes first. */
export class HeardIntents {
  readonly #first = new Map<string, PromiseWithResolvers<BareIntent>>();

  put(node: BareNode, intent: BareIntent): void {
    this.#of(intent.id, node.id).resolve(intent);
  }

  of(intentId: string, nodeId: string): Promise<BareIntent> {
    return this.#of(intentId, nodeId).promise;
  }

  #of(intentId: string, nodeId: string): PromiseWithResolvers<BareIntent> {
    const pair = `${intentId} ${nodeId}`;
    const found = this.#first.get(pair) ?? withResolvers<BareIntent>();
    this.#first.set(pair, found);
    return found;
  }
}

export function ack(
  { id, nats }: BareNode,
  intent: BareIntent,
  status: "accepted" | "declined" | "rejected",
  reason?: DeclineReason,
): void {
  if (nats.isClosed()) return;
  const bytes = canonicalize(buildAck(intent.digest, intent.attempt, status, reason));
  nats.publish(SUBJECTS.ack(id, intent.id), bytes); // dropped while the connection is down
}

export async function closeMany(nodes: readonly BareNode[]): Promise<void> {
  await Promise.all(nodes.map(({ nats }) => nats.close()));
}

function readIntent(known: Map<string, Omit<BareIntent, "attempt">>, data: Uint8Array): Omit<BareIntent, "attempt"> {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const at = bytes.indexOf(ID_MARK);
  if (at < 0) throw new Error("an intent without an id");
  const id = bytes.toString("latin1", at + 6, at + 6 + ID_CHARS);
  const found = known.get(id);
  if (found !== undefined) return found;
  // A copy: what nats.js hands out is part of a buffer that it reads into again.
  const read = { id, bytes: Uint8Array.from(bytes), digest: digestOf(bytes) };
  if (known.size >= KNOWN_MAX) known.delete(known.keys().next().value!);
  known.set(id, read);
  return read;
}

/** All of them, in order, a few at a time. */
export async function inTurns<T, R>(
  list: readonly T[],
  work: (item: T, index: number) => Promise<R>,
  atOnce = AT_ONCE,
): Promise<R[]> {
  const results: R[] = Array.from({ length: list.length });
  let next = 0;
  const turn = async () => {
    while (next < list.length) {
      const index = next++;
      results[index] = await work(list[index]!, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, list.length) }, turn));
  return results;
}

interface PromiseWithResolvers<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
}

function withResolvers<T>(): PromiseWithResolvers<T> {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}
