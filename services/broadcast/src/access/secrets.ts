// Texts that grant something: `<kind>_<26 characters of the id>_<43 characters of base64url>`. The id part finds the record,
// the whole text is compared by its SHA-256 in constant time.

import { hash, timingSafeEqual } from "node:crypto";
import { type IdPrefix, toBase64Url } from "@outcry/protocol";

export type SecretKind = "ock" | "oci"; // Outcry key, Outcry invite

const FORM = /^(ock|oci)_([0-7][0-9a-hjkmnp-tv-z]{25})_[A-Za-z0-9_-]{43}$/;

export interface NewSecret {
  secret: string;
  sha256: string;
}

export function newSecret(kind: SecretKind, id: string): NewSecret {
  const random = toBase64Url(crypto.getRandomValues(new Uint8Array(32)));
  const secret = `${kind}_${id.slice(id.indexOf("_") + 1)}_${random}`;
  return { secret, sha256: hashOf(secret) };
}

/** The id that a secret of this kind belongs to; undefined for any other text. */
export function idOfSecret(kind: SecretKind, prefix: IdPrefix, secret: string): string | undefined {
  const [, found, suffix] = FORM.exec(secret) ?? [];
  return found === kind ? `${prefix}_${suffix}` : undefined;
}

export function isSecretOf(secret: string, storedSha256: string): boolean {
  const given = Buffer.from(hashOf(secret));
  const stored = Buffer.from(storedSha256);
  return stored.length === given.length && timingSafeEqual(given, stored);
}

const hashOf = (secret: string): string => hash("sha256", secret, "base64url");
