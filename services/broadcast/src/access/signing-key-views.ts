// A signing key as the API shows it: what stage of its life it is in, and when that ends.

import { LIMITS, parseRfc3339, type PublicKey, type SigningKeyView, toRfc3339 } from "@outcry/protocol";
import type { StoredSigningKey } from "./access-book.js";

export const STAMP_EVERY_MS = 60 * 60_000; // how exactly `last_signed` is known

/** When tokens and envelopes that it signed last are all too old. */
export const retiresMs = ({ last_signed: at }: StoredSigningKey): number =>
  (parseRfc3339(at ?? "") ?? 0) + STAMP_EVERY_MS + LIMITS.signingKeyKeptMs;

/** `generation`: of the latest rotation. */
export function viewOf(key: StoredSigningKey, generation: number): SigningKeyView {
  const { kid, published, last_signed, revoked } = key;
  const status = statusOf(key, generation);
  return {
    kid,
    status,
    ...(published === undefined ? {} : { published }),
    ...(last_signed === undefined ? {} : { last_signed }),
    ...(status === "retiring" ? { retires: toRfc3339(retiresMs(key)) } : {}),
    ...(revoked === undefined ? {} : { revoked }),
  };
}

function statusOf(key: StoredSigningKey, generation: number): SigningKeyView["status"] {
  if (key.revoked !== undefined) return "revoked";
  if (key.last_signed === undefined) return "next";
  return (key.generation ?? 0) >= generation ? "signing" : "retiring";
}

/** What verifiers need. */
export const bare = ({ kid, kty, crv, x, y }: StoredSigningKey): PublicKey => ({
  kid,
  kty,
  crv,
  x,
  ...(y === undefined ? {} : { y }),
});
