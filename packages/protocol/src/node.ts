// A seller node as registered: its keys, what it serves, and whether it may hear intents.

import Type, { type Static } from "typebox";
import { Timestamp, Token } from "./envelope.js";
import { NodeId } from "./id-schemas.js";
import { LIMITS } from "./limits.js";

const tags = Type.Array(Type.String({ minLength: 1, maxLength: LIMITS.tagCharsMax }), {
  maxItems: LIMITS.tagsMax,
  uniqueItems: true,
});

/** A public JWK: Ed25519 or P-256, as one exact base64url form (checked by @outcry/signing). */
export const PublicKey = Type.Object({
  kid: Token,
  kty: Type.Union([Type.Literal("OKP"), Type.Literal("EC")]),
  crv: Type.Union([Type.Literal("Ed25519"), Type.Literal("P-256")]),
  x: Type.String({ minLength: 43, maxLength: 43 }),
  y: Type.Optional(Type.String({ minLength: 43, maxLength: 43 })),
});
export type PublicKey = Static<typeof PublicKey>;

const described = {
  name: Type.String({ minLength: 1, maxLength: 200 }),
  categories: tags,
  regions: tags,
  capabilities: tags,
};

export const NodeRegistration = Type.Object({
  ...described,
  public_keys: Type.Array(PublicKey, { minItems: 1, maxItems: LIMITS.nodeKeysMax }),
  nats_public_key: Type.String({
    pattern: "^U[A-Z2-7]{55}$",
    description: "nkey of the node's NATS user; its seed never leaves the node",
  }),
  invite: Type.Optional(Type.String({ maxLength: 200 })),
});
export type NodeRegistration = Static<typeof NodeRegistration>;

export const NodeChange = Type.Partial(
  Type.Object({ ...described, public_keys: NodeRegistration.properties.public_keys }),
);
export type NodeChange = Static<typeof NodeChange>;

export const NodeRecord = Type.Object({
  id: NodeId,
  ...described,
  public_keys: NodeRegistration.properties.public_keys,
  nats_public_key: NodeRegistration.properties.nats_public_key,
  /** What was stored before `retired` and signed with it still verifies. */
  retired_keys: Type.Optional(
    Type.Array(Type.Object({ ...PublicKey.properties, retired: Timestamp }), { maxItems: LIMITS.nodeRetiredKeysMax }),
  ),
  status: Type.Union([Type.Literal("active"), Type.Literal("suspended")]),
  status_reason: Type.Optional(Type.String({ maxLength: 500 })),
  created: Timestamp,
  changed: Timestamp,
});
export type NodeRecord = Static<typeof NodeRecord>;

/** Asked for with a nonce from the service, signed with a registered key (type `credentials`). */
export const CredentialsPayload = Type.Object({
  node_id: NodeId,
  challenge: Type.String({ minLength: 16, maxLength: 128 }),
});

/** Another key for a node (type `node-key`): signed with a registered key and, the same bytes, with the new one. */
export const NodeKeyPayload = Type.Object({
  node_id: NodeId,
  challenge: CredentialsPayload.properties.challenge,
  public_key: PublicKey,
});

export const NodeCredentials = Type.Object({
  node_id: NodeId,
  nats_urls: Type.Array(Type.String()),
  nats_user_jwt: Type.String(),
  inbox_prefix: Type.String(),
  gateway_token: Type.String(),
  expires: Timestamp,
  service_keys: Type.Array(PublicKey, { description: "keys that sign intents" }),
  service_id: Type.String(),
});
export type NodeCredentials = Static<typeof NodeCredentials>;
