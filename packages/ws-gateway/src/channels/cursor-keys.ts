// Cursor keys from the configured secrets: the first one writes, the others are still read. Equal secrets give equal cursors in
// every process and region.

import { hkdfSync } from "node:crypto";
import { OutcryError } from "@outcry/protocol";
import type { CursorKey } from "./cursor.js";

const SECRET_CHARS_MIN = 16;

/** `secrets`: comma-separated, the newest first. */
export function cursorKeys(secrets: string): CursorKey[] {
  const keys = secrets.split(",").map((secret) => cursorKey(secret.trim()));
  if (new Set(keys.map(({ id }) => id)).size < keys.length) {
    throw new OutcryError(
      "config_invalid",
      "OUTCRY_CURSOR_SECRET: two of the secrets have the same key id; choose another new secret",
    );
  }
  return keys;
}

function cursorKey(secret: string): CursorKey {
  if (secret.length < SECRET_CHARS_MIN)
    throw new OutcryError("config_invalid", `OUTCRY_CURSOR_SECRET: each secret needs ${SECRET_CHARS_MIN} characters`);
  const derived = Buffer.from(hkdfSync("sha256", secret, "", "outcry cursor", 17));
  return { id: derived.subarray(16).toString("base64url")[0]!, secret: derived.subarray(0, 16) };
}
