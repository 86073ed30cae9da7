// KV `access` in memory: who may call, and which NATS users may not connect. Secrets that are shown to us are there
// as SHA-256 only (256 random bits need no slow hash); those that we sign webhooks with, encrypted.

import type { Bucket } from "@outcry/backbone";
import { type Clock, type Log, PublicKey, Timestamp } from "@outcry/protocol";
import Type, { type Static } from "typebox";
import { type Records, watchRecords } from "./watched-records.js";

const Sha256 = Type.String({ pattern: "^[A-Za-z0-9_-]{43}$" });

export const StoredApiKey = Type.Object({
  id: Type.String(),
  role: Type.Union([Type.Literal("backend"), Type.Literal("operator"), Type.Literal("admin")]),
  name: Type.String(),
  backend_id: Type.Optional(Type.String()),
  secret_sha256: Sha256,
  created: Timestamp,
  revoked: Type.Optional(Timestamp),
});
export type StoredApiKey = Static<typeof StoredApiKey>;

/** The owner of keys and intents. Outlives every key. */
export const StoredBackend = Type.Object({ id: Type.String(), name: Type.String(), created: Timestamp });
export type StoredBackend = Static<typeof StoredBackend>;

export const StoredInvite = Type.Object({
  id: Type.String(),
  name: Type.Optional(Type.String()),
  secret_sha256: Sha256,
  created: Timestamp,
  expires: Timestamp,
  /** For which node it was used up: repeating that registration is no second use. */
  used: Type.Optional(Type.Object({ node_id: Type.String(), at: Timestamp })),
});
export type StoredInvite = Static<typeof StoredInvite>;

export const StoredRevocation = Type.Object({
  /** User JWTs issued until then are void. */
  at: Timestamp,
  node_id: Type.String(),
  /** The node is gone for good, and its NATS key with it. */
  deleted: Type.Optional(Type.Literal(true)),
});
export type StoredRevocation = Static<typeof StoredRevocation>;

/** What a buyer's tokens do not open any more; gateways read it. */
export const StoredBuyerRights = Type.Object({
  backend_id: Type.String(),
  buyer_id: Type.String(),
  revoked: Type.Array(
    Type.Object({
      id: Type.String(),
      /** Absent: everything. */
      channel: Type.Optional(Type.String()),
      at: Timestamp,
      /** Seconds since the epoch: tokens issued until then are void for it. */
      until: Type.Integer(),
      by: Type.String(),
      reason: Type.String(),
    }),
  ),
});
export type StoredBuyerRights = Static<typeof StoredBuyerRights>;

/** A public key of the service, and what became of it. Records of the first version hold the key alone. */
export const StoredSigningKey = Type.Object({
  ...PublicKey.properties,
  /** Of the rotation that it was made for. */
  generation: Type.Optional(Type.Integer({ minimum: 0 })),
  published: Type.Optional(Timestamp),
  /** Renewed while it signs; kept after that for as long as something signed may be verified. */
  last_signed: Type.Optional(Timestamp),
  /** Stays, so that a process that still has the key cannot publish it again. */
  revoked: Type.Optional(Timestamp),
});
export type StoredSigningKey = Static<typeof StoredSigningKey>;

export const StoredRotation = Type.Object({
  generation: Type.Integer({ minimum: 1 }),
  signs_from: Timestamp,
  /** Between publishing and signing, at each process: one that starts later keeps it too. */
  lead_ms: Type.Integer({ minimum: 0 }),
});
export type StoredRotation = Static<typeof StoredRotation>;
export const StoredWebhook = Type.Object({
  id: Type.String(),
  backend_id: Type.String(),
  url: Type.String(),
  /** Empty: every type. */
  types: Type.Array(Type.String()),
  description: Type.Optional(Type.String()),
  enabled: Type.Boolean(),
  disabled_reason: Type.Optional(Type.String()),
  /** Failures of before do not count: the owner has given it another URL since, or let it go on. */
  failures_from: Type.Optional(Timestamp),
  /** Events stored before then may never have been sent: they left the log first. */
  missed_until: Type.Optional(Timestamp),
  /** Newest first; an older one signs, too, `until` then. */
  secrets: Type.Array(Type.Object({ sealed: Type.String(), until: Type.Optional(Timestamp) }), { minItems: 1 }),
  /** Sequence of EVENTS that its consumer begins with. */
  start_seq: Type.Integer({ minimum: 1 }),
  /** Counts consumers: recovering begins a new one. */
  generation: Type.Integer({ minimum: 1 }),
  created: Timestamp,
  updated: Timestamp,
});
export type StoredWebhook = Static<typeof StoredWebhook>;

export interface AccessBook {
  /** By `key_…`. */
  readonly apiKeys: Records<StoredApiKey>;
  /** By `bkd_…`. */
  readonly backends: Records<StoredBackend>;
  /** By `inv_…`. */
  readonly invites: Records<StoredInvite>;
  /** By kid: public keys that sign for the service; gateways read them here. */
  readonly signingKeys: Records<StoredSigningKey>;
  /** The one record `latest`: which generation of signing keys is asked for. */
  readonly rotations: Records<StoredRotation>;
  /** By public NATS key. */
  readonly revocations: Records<StoredRevocation>;
  /** By the id that derives from backend and buyer. */
  readonly buyerRights: Records<StoredBuyerRights>;
  /** By `whk_…`; their secrets are encrypted. */
  readonly webhooks: Records<StoredWebhook>;
  /** The one record of the first start: the admin key that was made then. */
  readonly adminClaim: Records<StoredApiKey>;
  readonly clock: Clock;
  close(): void;
}

export interface AccessBookDeps {
  /** KV `access`. */
  bucket: Bucket;
  clock: Clock;
  log: Log;
}

/** Resolves when the bucket is in memory. */
export async function createAccessBook({ bucket, clock, log }: AccessBookDeps): Promise<AccessBook> {
  const watched = watchRecords({ bucket, log });
  const book: AccessBook = {
    adminClaim: watched.records("api-key-admin-", StoredApiKey),
    apiKeys: watched.records("api-key.", StoredApiKey),
    backends: watched.records("backend.", StoredBackend),
    invites: watched.records("invite.", StoredInvite),
    signingKeys: watched.records("signing-key.", StoredSigningKey),
    rotations: watched.records("signing-rotation.", StoredRotation),
    revocations: watched.records("revocation.", StoredRevocation),
    buyerRights: watched.records("buyer-rights.", StoredBuyerRights),
    webhooks: watched.records("webhook.", StoredWebhook),
    clock,
    close: watched.close,
  };
  await watched.follow();
  return book;
}
