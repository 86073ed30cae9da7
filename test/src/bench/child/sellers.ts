// Many nodes on few connections: they hear intents, ack at once, and keep what they heard for quoting. Both sides of a row talk
// to the same sellers, which do the same work for either.

import { type MsgHdrs, type NatsConnection, headers } from "@nats-io/transport-node";
import { type NodeRecord, SUBJECTS, buildAck, canonicalize, digestOf, newId } from "@outcry/protocol";
import { type SigningKey, generateKey, publicJwk, signEnvelope } from "@outcry/signing";
import { BARE, type Place, connectBare } from "./place.js";

const ID_MARK = Buffer.from('"id":"int_'); // keys are sorted: the envelope's own id is the first one in the bytes
const ID_CHARS = 30;
const KEPT_MAX = 5_000; // intents whose ack is at hand

export interface Seller {
  id: string;
  key: SigningKey;
  connection: number;
}

export interface Heard {
  id: string;
  bytes: Uint8Array;
  ack: Uint8Array;
}

export function makeSellers(count: number, connections: number): Seller[] {
  return Array.from({ length: count }, (_, index) => ({
    id: newId("nod"),
    key: generateKey(),
    connection: index % connections,
  }));
}

/** As the registry holds it: takes everything, everywhere. */
export const recordOf = ({ id, key }: Seller): NodeRecord => ({
  id,
  name: id,
  categories: ["*"],
  regions: ["*"],
  capabilities: [],
  public_keys: [publicJwk(key)],
  nats_public_key: `U${"A".repeat(55)}`,
  status: "active",
  created: "2026-01-01T00:00:00.000Z",
  changed: "2026-01-01T00:00:00.000Z",
});

/** Each seller's signature of one ack, as the header that carries it. */
export function signAcks(sellers: readonly Seller[], digest: string): Map<string, MsgHdrs> {
  const bytes = canonicalize(buildAck(digest, 1, "accepted"));
  return new Map(
    sellers.map(({ id, key }) => {
      const fields = headers();
      fields.set("Outcry-Signature", signEnvelope(bytes, "ack", key).jws);
      return [id, fields];
    }),
  );
}

export class SellerFleet {
  readonly heard = new Map<string, Heard>();
  /** By intent and node; an ack that is not among them goes out plain. */
  signedAcks = new Map<string, Map<string, MsgHdrs>>();
  onIntent: () => void = () => undefined;
  onNotice: (data: Uint8Array) => void = () => undefined;
  readonly #connections: NatsConnection[] = [];

  async open(place: Place, sellers: readonly Seller[], connections: number): Promise<void> {
    for (let index = 0; index < connections; index++) {
      const connection = await connectBare(place, `sellers${index}`);
      this.#connections.push(connection);
      for (const seller of sellers) if (seller.connection === index) this.#listen(connection, seller.id);
      await connection.flush();
    }
  }

  connection(index: number): NatsConnection {
    return this.#connections[index]!;
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
  }

  #listen(connection: NatsConnection, node: string): void {
    connection.subscribe(SUBJECTS.nodeAll(node), {
      callback: (_, { subject, data }) => {
        if (subject.endsWith(".notice")) return this.onNotice(data);
        const { id, ack } = this.#hear(data);
        const signature = this.signedAcks.get(id)?.get(node);
        connection.publish(SUBJECTS.ack(node, id), ack, signature && { headers: signature });
        this.onIntent();
      },
    });
    connection.subscribe(BARE.node(node), {
      callback: (_, { data }) => {
        const { id, ack } = this.#hear(data);
        connection.publish(BARE.ack(node, id), ack);
        this.onIntent();
      },
    });
  }

  /** A thousand nodes of one process hear the same bytes: one of them reads them. */
  #hear(data: Uint8Array): Heard {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const at = bytes.indexOf(ID_MARK);
    const id = at < 0 ? "none" : bytes.toString("latin1", at + 6, at + 6 + ID_CHARS);
    const known = this.heard.get(id);
    if (known !== undefined) return known;
    const heard: Heard = {
      id,
      bytes: Uint8Array.from(bytes), // what nats.js hands out is part of a buffer that it reads into again
      ack: canonicalize(buildAck(digestOf(bytes), 1, "accepted")),
    };
    if (this.heard.size >= KEPT_MAX) this.heard.delete(this.heard.keys().next().value!);
    this.heard.set(id, heard);
    return heard;
  }
}
