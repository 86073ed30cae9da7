// Secrets of webhooks: `whsec_` + base64 of 32 random bytes (Standard Webhooks), at rest under AES-256-GCM (NIST SP 800-38D),
// bound to their webhook. They leave this service once, in the answer that made them.

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { OutcryError, parseRfc3339 } from "@outcry/protocol";

const PREFIX = "whsec_";
const SECRET_BYTES = 32; // the specification asks for 24 to 64
const IV_BYTES = 12;
const TAG_BYTES = 16;
const KEY_CHARS_MIN = 16;

export const newWebhookSecret = (): string => PREFIX + randomBytes(SECRET_BYTES).toString("base64");

/** What signs. */
export const secretBytes = (secret: string): Buffer => Buffer.from(secret.slice(PREFIX.length), "base64");

interface Kept {
  readonly sealed: string;
  readonly until?: string;
}

/** Sealed secrets that sign at this time: the newest one, and for a while the one before it. */
export const signingAt = (secrets: readonly Kept[], nowMs: number): string[] =>
  secrets.filter(({ until }) => until === undefined || parseRfc3339(until)! > nowMs).map(({ sealed }) => sealed);

/** One that signs no more may have been sealed with a key that is gone. */
export const canSign = (box: SecretBox, secrets: readonly Kept[], nowMs: number): boolean =>
  signingAt(secrets, nowMs).every((sealed) => box.opens(sealed));

export interface SecretBox {
  seal(webhookId: string, secret: string): string;
  /** Throws config_invalid when no key of the configuration has sealed it. */
  open(webhookId: string, sealed: string): string;
  /** Whether the key that sealed it is among ours. */
  opens(sealed: string): boolean;
}

/** `keys`: comma-separated texts; the first seals, all open. */
export function createSecretBox(keys: string): SecretBox {
  const known = keys.split(",").map((key) => derive(key.trim()));
  const [first] = known;
  const keyOf = (sealed: string) => known.find(({ id }) => sealed.startsWith(`${id}.`))?.key;
  return {
    seal(webhookId, secret) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv("aes-256-gcm", first!.key, iv).setAAD(Buffer.from(webhookId));
      const bytes = Buffer.concat([iv, cipher.update(secret, "utf8"), cipher.final(), cipher.getAuthTag()]);
      return `${first!.id}.${bytes.toString("base64url")}`;
    },
    opens: (sealed) => keyOf(sealed) !== undefined,
    open(webhookId, sealed) {
      const key = keyOf(sealed);
      if (key === undefined)
        throw new OutcryError(
          "config_invalid",
          "A webhook's secret was sealed with a key that OUTCRY_WEBHOOK_KEY lacks.",
        );
      const bytes = Buffer.from(sealed.slice(sealed.indexOf(".") + 1), "base64url");
      const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
        .setAAD(Buffer.from(webhookId))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      return decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
    },
  };
}

function derive(text: string): { id: string; key: Buffer } {
  if (text.length < KEY_CHARS_MIN)
    throw new OutcryError("config_invalid", `OUTCRY_WEBHOOK_KEY: each key needs ${KEY_CHARS_MIN} characters`);
  const derived = Buffer.from(hkdfSync("sha256", text, "", "outcry webhook secrets", 36));
  return { id: derived.subarray(32).toString("base64url"), key: derived.subarray(0, 32) };
}
