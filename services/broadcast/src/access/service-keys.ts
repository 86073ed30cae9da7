// The service's public keys in KV `access`, where gateways find them: `signing-key.<kid>`.

import { OutcryError, type PublicKey } from "@outcry/protocol";
import { publicJwk, type SigningKey } from "@outcry/signing";
import type { AccessBook } from "./access-book.js";

/** Adds what is missing. Keys of earlier starts stay: what they signed must verify. */
export async function publishServiceKeys(book: AccessBook, keys: readonly SigningKey[]): Promise<void> {
  for (const key of keys) {
    const jwk = publicJwk(key);
    const written = await book.signingKeys.create(key.kid, jwk);
    if (written.kind === "conflict") await requireSame(book, jwk);
  }
}

async function requireSame(book: AccessBook, jwk: PublicKey): Promise<void> {
  const there = (await book.signingKeys.read(jwk.kid))?.value;
  if (there?.x === jwk.x) return;
  throw new OutcryError(
    "config_invalid",
    `The signing key's kid ${jwk.kid} belongs to another key already; give the new key another kid.`,
  );
}
