// KV `access` as the gateway needs it: API keys, the service's public keys, and whose tokens are void. Read only; the broadcast
// service writes it. Followed live, so a revoked key is known within a second.

import { hash, timingSafeEqual } from "node:crypto";
import type { Bucket, BucketEntry, Watching } from "@outcry/backbone";
import { check, type Clock, isId, type Log, parseRfc3339, PublicKey, Timestamp } from "@outcry/protocol";
import { checkPublicJwk, type KeySource, type VerificationKey } from "@outcry/signing";
import { BuyerRecord, RevokedBuyers } from "./revoked-buyers.js";
import Type, { type Static, type TSchema } from "typebox";

const ApiKey = Type.Object({
  id: Type.String(),
  role: Type.Union([Type.Literal("backend"), Type.Literal("operator"), Type.Literal("admin")]),
  backend_id: Type.Optional(Type.String()),
  secret_sha256: Type.String(),
  revoked: Type.Optional(Timestamp),
});
export type ApiKey = Static<typeof ApiKey>;

const SigningKeyRecord = Type.Object({ ...PublicKey.properties, revoked: Type.Optional(Timestamp) });

const Revocation = Type.Object({ node_id: Type.String(), at: Timestamp });

const KEYS = {
  apiKey: "api-key.",
  signingKey: "signing-key.",
  revocation: "revocation.",
  buyer: "buyer-rights.",
} as const;

export interface AccessIndexDeps {
  /** KV `access`. */
  readonly bucket: Bucket;
  /** `iss` of tokens and owner of the service's keys. */
  readonly serviceId: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly onKeyRevoked: (keyId: string) => void;
  /** Tokens that it signed are void. */
  readonly onSigningKeyRevoked: (kid: string) => void;
  /** Its tokens issued until then are void. */
  readonly onNodeRevoked: (nodeId: string, untilMs: number) => void;
  /** Rights of this buyer were taken back: `revokedBuyers` says which. */
  readonly onBuyerRevoked: (record: BuyerRecord) => void;
}

export class AccessIndex {
  readonly signingKeys: KeySource = { find: (kid) => this.#signingKeys.get(kid) };
  readonly revokedBuyers: RevokedBuyers;
  readonly #deps: AccessIndexDeps;
  readonly #apiKeys = new Map<string, ApiKey>();
  readonly #signingKeys = new Map<string, VerificationKey>();
  readonly #nodesRevoked = new Map<string, number>();
  #watching: Watching | undefined;
  /** Keys that were known when the bucket was made anew, until it is read again. */
  #unconfirmed = new Set<string>();

  constructor(deps: AccessIndexDeps) {
    this.#deps = deps;
    this.revokedBuyers = new RevokedBuyers(deps.clock);
  }

  /** Resolves when the whole bucket has been read. */
  async follow(): Promise<void> {
    this.#watching = this.#deps.bucket.watch({
      onEntry: (entry) => this.#take(entry),
      onReady: () => this.#dropUnconfirmed(),
      onReset: () => this.#forget(),
    });
    await this.#watching.ready;
  }

  stop(): void {
    this.#watching?.stop();
  }

  /** The live key that this secret is. Unknown, wrong and revoked are one to the caller. */
  async findApiKey(secret: string): Promise<ApiKey | undefined> {
    const id = keyIdOf(secret);
    if (id === undefined) return undefined;
    const key = this.#apiKeys.get(id) ?? (await this.#readApiKey(id)); // made a moment ago by another process
    return key !== undefined && key.revoked === undefined && isSecretOf(secret, key.secret_sha256) ? key : undefined;
  }

  /** Epoch ms until which the node's tokens are void; 0 = none is. */
  nodeRevokedUntil(nodeId: string): number {
    return this.#nodesRevoked.get(nodeId) ?? 0;
  }

  async #readApiKey(id: string): Promise<ApiKey | undefined> {
    const entry = await this.#deps.bucket.get(KEYS.apiKey + id);
    return entry === undefined ? undefined : this.#parse(entry, ApiKey);
  }

  #take(entry: BucketEntry): void {
    if (entry.key.startsWith(KEYS.apiKey)) this.#takeApiKey(entry.key.slice(KEYS.apiKey.length), entry);
    else if (entry.key.startsWith(KEYS.signingKey))
      this.#takeSigningKey(entry.key.slice(KEYS.signingKey.length), entry);
    else if (entry.key.startsWith(KEYS.revocation) && !entry.deleted) this.#takeRevocation(entry);
    else if (entry.key.startsWith(KEYS.buyer) && !entry.deleted) this.#takeBuyer(entry);
  }

  #takeApiKey(id: string, entry: BucketEntry): void {
    const key = entry.deleted ? undefined : this.#parse(entry, ApiKey);
    this.#unconfirmed.delete(id);
    if (key === undefined) this.#apiKeys.delete(id);
    else this.#apiKeys.set(id, key);
    if (key === undefined || key.revoked !== undefined) this.#deps.onKeyRevoked(id);
  }

  #takeSigningKey(kid: string, entry: BucketEntry): void {
    const jwk = entry.deleted ? undefined : this.#parse(entry, SigningKeyRecord);
    const checked = jwk === undefined || jwk.revoked !== undefined ? undefined : checkPublicJwk(jwk);
    if (jwk?.revoked !== undefined) this.#deps.onSigningKeyRevoked(kid);
    if (checked?.kind !== "ok") return void this.#signingKeys.delete(kid);
    const { alg, publicKey } = checked;
    this.#signingKeys.set(kid, { kid, owner: this.#deps.serviceId, alg, publicKey });
  }

  #takeRevocation(entry: BucketEntry): void {
    const revocation = this.#parse(entry, Revocation);
    if (revocation === undefined) return;
    const { node_id: nodeId, at } = revocation;
    const untilMs = Math.max(parseRfc3339(at) ?? 0, this.nodeRevokedUntil(nodeId));
    this.#nodesRevoked.set(nodeId, untilMs);
    this.#deps.onNodeRevoked(nodeId, untilMs);
  }

  #takeBuyer(entry: BucketEntry): void {
    const record = this.#parse(entry, BuyerRecord);
    if (record === undefined) return;
    this.revokedBuyers.take(record);
    this.#deps.onBuyerRevoked(record);
  }

  #forget(): void {
    this.#unconfirmed = new Set(this.#apiKeys.keys());
    this.#apiKeys.clear();
    this.#signingKeys.clear();
  }

  #dropUnconfirmed(): void {
    for (const id of this.#unconfirmed) this.#deps.onKeyRevoked(id);
    this.#unconfirmed.clear();
  }

  /** A record that this version cannot read counts as absent, and loudly so. */
  #parse<S extends TSchema>({ key, value }: BucketEntry, schema: S): Static<S> | undefined {
    try {
      const checked = check(schema, JSON.parse(Buffer.from(value).toString()));
      if (checked.kind === "ok") return checked.value;
      this.#deps.log.error({ key, pointers: checked.pointers }, "gateway: a record of KV access does not fit");
    } catch (error) {
      this.#deps.log.error({ key, error: String(error) }, "gateway: a record of KV access is not JSON");
    }
    return undefined;
  }
}

const SECRET = /^ock_([0-7][0-9a-hjkmnp-tv-z]{25})_[A-Za-z0-9_-]{43}$/;

function keyIdOf(secret: string): string | undefined {
  const suffix = SECRET.exec(secret)?.[1];
  const id = `key_${suffix}`;
  return suffix !== undefined && isId("key", id) ? id : undefined;
}

/** Digests are compared as the texts that they are stored as: taking them apart costs as much as the hash. */
function isSecretOf(secret: string, storedSha256: string): boolean {
  const given = Buffer.from(hash("sha256", secret, "base64url"));
  const stored = Buffer.from(storedSha256);
  return stored.length === given.length && timingSafeEqual(given, stored);
}
