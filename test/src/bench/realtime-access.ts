// Who may read what of the gateway under test: records in KV `access` as the broadcast service writes them, and tokens for them.

import { connectBackbone, INBOX_PREFIXES, openBucket, readAuthFolder } from "@outcry/backbone";
import { BUCKETS, newId, sha256, silentLog, systemClock, toBase64Url, TOPICS, toRfc3339 } from "@outcry/protocol";
import { generateKey, mintToken, publicJwk } from "@outcry/signing";
import { randomBytes } from "node:crypto";
import { type Place, SERVICE_ID } from "./child/place.js";

const TOKEN_S = 900; // the longest that a buyer's may live

export interface RealtimeAccess {
  /** Of a backend. */
  readonly apiKey: string;
  /** A channel of the backend's, and the topic of its events. */
  intent(): { channel: string; topic: string };
  buyerToken(channels: string[]): string;
}

const BUYER = "buyer1";

export async function grantAccess({ natsUrl, authDir }: Place): Promise<RealtimeAccess> {
  const backbone = await connectBackbone({
    servers: [natsUrl],
    credentials: { creds: readAuthFolder(authDir).creds.service },
    name: "bench-access",
    inboxPrefix: INBOX_PREFIXES.service,
    log: silentLog,
    clock: systemClock,
  });
  const bucket = openBucket(backbone, BUCKETS.access, { log: silentLog });
  const [keyId, backendId] = [newId("key"), newId("bkd")];
  const apiKey = `ock_${keyId.slice("key_".length)}_${toBase64Url(randomBytes(32))}`;
  const signingKey = generateKey();
  await bucket.create(`signing-key.${signingKey.kid}`, json(publicJwk(signingKey)));
  await bucket.create(
    `api-key.${keyId}`,
    json({
      id: keyId,
      role: "backend",
      name: "bench",
      backend_id: backendId,
      secret_sha256: toBase64Url(sha256(Buffer.from(apiKey))),
      created: toRfc3339(Date.now()),
    }),
  );
  await backbone.close();
  return {
    apiKey,
    intent() {
      const id = newId("int");
      return { channel: `intent:${id}`, topic: TOPICS.intent(backendId, BUYER, id) };
    },
    buyerToken(channels) {
      const iat = Math.floor(Date.now() / 1_000);
      const claims = { iss: SERVICE_ID, aud: "outcry-gateway", iat, exp: iat + TOKEN_S, jti: newId("con") };
      return mintToken({ ...claims, sub: BUYER, role: "buyer", backend: backendId, channels }, signingKey);
    },
  };
}

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
