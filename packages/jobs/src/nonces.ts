// Single-use challenges, such as for the renewal of a node's credentials. Issuing stores nothing, so that nobody can fill Redis
// by asking; only a nonce that is used is remembered, until it expires. Losing Redis voids those outstanding: ask again.

import { createHmac, timingSafeEqual } from "node:crypto";
import { type Clock, LIMITS, newNonce } from "@outcry/protocol";
import { type RedisStore, translated } from "./connect.js";

const SECRET_KEY = "nonce:secret";

export interface Nonces {
  issue(subject: string): Promise<string>;
  /** Call it after the signature over the nonce was verified: `ok` once per nonce. */
  consume(subject: string, nonce: string): Promise<"ok" | "unknown" | "expired" | "used">;
}

export function createNonces({
  store,
  clock,
  ttlMs = LIMITS.nonceMs,
}: {
  store: RedisStore;
  clock: Clock;
  ttlMs?: number;
}): Nonces {
  return {
    async issue(subject) {
      const body = `${clock.now() + ttlMs}.${newNonce()}`;
      return `${body}.${mac(await sharedSecret(store), subject, body)}`;
    },
    async consume(subject, nonce) {
      const [expires, random, seal, ...rest] = nonce.split(".");
      if (!expires || !random || !seal || rest.length > 0) return "unknown";
      const expected = Buffer.from(mac(await sharedSecret(store), subject, `${expires}.${random}`));
      const given = Buffer.from(seal);
      if (given.length !== expected.length || !timingSafeEqual(given, expected)) return "unknown";
      const leftMs = Number(expires) - clock.now();
      if (leftMs <= 0) return "expired";
      const first = await translated(store.client.set(`nonce:used:${random}`, "1", "PX", leftMs, "NX"));
      return first === "OK" ? "ok" : "used";
    },
  };
}

async function sharedSecret(store: RedisStore): Promise<string> {
  const kept = await translated(store.client.get(SECRET_KEY));
  if (kept !== null) return kept;
  await translated(store.client.set(SECRET_KEY, newNonce(), "NX"));
  return (await translated(store.client.get(SECRET_KEY)))!;
}

const mac = (secret: string, subject: string, body: string): string =>
  createHmac("sha256", secret).update(`${subject}\0${body}`).digest("base64url");
