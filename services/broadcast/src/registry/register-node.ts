// A new node: by an admin, or with a single-use invite. One write decides, the creation of `nodes/<id>`; the id follows from
// the NATS key, so two registrations of one key meet there.

import { type NodeRecord, type NodeRegistration, OutcryError, toRfc3339 } from "@outcry/protocol";
import type { AccessBook } from "../access/access-book.js";
import { checkInvite, redeemInvite } from "../access/invites.js";
import { nodeIdOf, requireAcceptableKeys } from "./node-keys.js";
import type { Registry } from "./registry.js";

export interface RegisterDeps {
  registry: Registry;
  book: AccessBook;
}

export async function registerNode(
  { registry, book }: RegisterDeps,
  request: NodeRegistration,
  by: "admin" | "invite",
): Promise<NodeRecord> {
  const { invite, ...described } = request;
  if (by === "invite" && invite === undefined)
    throw new OutcryError("credentials_missing", "Send an admin's key, or `invite` in the body.");
  const nodeId = nodeIdOf(request.nats_public_key);
  // Before the keys: an uninvited caller learns nothing.
  if (by === "invite") await checkInvite(book, invite!, nodeId);
  requireAcceptableKeys(request);
  await requireFree({ registry, book }, nodeId, request.nats_public_key);
  if (by === "invite") await redeemInvite(book, invite!, nodeId);

  const now = toRfc3339(book.clock.now());
  const node: NodeRecord = { id: nodeId, ...described, status: "active", created: now, changed: now };
  const written = await registry.nodes.create(nodeId, node);
  if (written.kind === "conflict") throw taken();
  await registry.caughtUp(written.revision);
  return node;
}

async function requireFree({ registry, book }: RegisterDeps, nodeId: string, natsKey: string): Promise<void> {
  if ((await registry.nodes.read(nodeId)) !== undefined) throw taken();
  const revocation = await book.revocations.read(natsKey);
  if (revocation?.value.deleted === true) throw taken("The NATS key belonged to a node that was deleted.");
}

const taken = (detail = "The NATS key is that of a registered node.") =>
  new OutcryError("node_exists", detail, { pointers: [{ pointer: "/nats_public_key", detail }] });
