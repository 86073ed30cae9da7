// A node's place at the market: what createNode needs to take it, with the real permissions of a node on NATS.

import { type AuthTree, mintNodeUser, newKeyPair } from "@outcry/backbone";
import type { DirectConnection, NodeOptions } from "@outcry/node";
import { newId, nodeInboxPrefix, systemClock } from "@outcry/protocol";
import { generateKey } from "@outcry/signing";

export type Seat = Required<Pick<NodeOptions, "id" | "key" | "connection">>;

type Service = Pick<DirectConnection, "natsUrl" | "serviceKeys" | "serviceId">;

export function newSeat(tree: AuthTree, service: Service): Seat {
  const id = newId("nod");
  const { publicKey, seed } = newKeyPair("user");
  const { jwt } = mintNodeUser(tree, { clock: systemClock }, { nodeId: id, publicKey });
  const connection = { ...service, userJwt: jwt, natsSeed: seed, inboxPrefix: nodeInboxPrefix(id) };
  return { id, key: generateKey(), connection };
}
