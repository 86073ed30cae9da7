// Invites: one registration each, without an API key. Compare-and-set decides which of two racing registrations has it.

import {
  type InviteCreated,
  type InviteRequest,
  LIMITS,
  newId,
  OutcryError,
  parseRfc3339,
  toRfc3339,
} from "@outcry/protocol";
import type { AccessBook, StoredInvite } from "./access-book.js";
import { idOfSecret, isSecretOf, newSecret } from "./secrets.js";
import type { Kept } from "./watched-records.js";

export async function createInvite(book: AccessBook, request: InviteRequest): Promise<InviteCreated> {
  const now = book.clock.now();
  const id = newId("inv", book.clock);
  const { secret, sha256 } = newSecret("oci", id);
  const expires = toRfc3339(now + (request.ttl_ms ?? LIMITS.inviteMs));
  const name = request.name === undefined ? {} : { name: request.name };
  await book.invites.create(id, { id, ...name, secret_sha256: sha256, created: toRfc3339(now), expires });
  return { id, invite: secret, expires };
}

/** Throws invite_invalid unless this invite can still register this node. */
export async function checkInvite(book: AccessBook, invite: string, nodeId: string): Promise<Kept<StoredInvite>> {
  const id = idOfSecret("oci", "inv", invite);
  const kept = id === undefined ? undefined : await book.invites.read(id);
  if (kept === undefined || !isSecretOf(invite, kept.value.secret_sha256)) throw new OutcryError("invite_invalid");
  if (kept.value.used !== undefined && kept.value.used.node_id !== nodeId)
    throw new OutcryError("invite_invalid", "The invite was used.");
  const expiresMs = parseRfc3339(kept.value.expires) ?? 0;
  if (expiresMs <= book.clock.now()) throw new OutcryError("invite_invalid", "The invite has expired.");
  return kept;
}

/** Uses the invite up for this node. The loser of a race throws invite_invalid. */
export async function redeemInvite(book: AccessBook, invite: string, nodeId: string): Promise<void> {
  const { value, revision } = await checkInvite(book, invite, nodeId);
  if (value.used !== undefined) return; // this node's own registration, cut short after this step
  const used = { ...value, used: { node_id: nodeId, at: toRfc3339(book.clock.now()) } };
  if ((await book.invites.update(value.id, used, revision)).kind === "written") return;
  await checkInvite(book, invite, nodeId); // lost: passes only when the same registration ran twice
}
