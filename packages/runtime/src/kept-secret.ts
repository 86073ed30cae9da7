// Secrets that a single process may make itself: in a file of mode 0600 in the data folder. Several processes need the variable
// instead, since each would make its own.

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { OutcryError } from "@outcry/protocol";
import type { Config } from "./config.js";

/** Seals cursors: of the gateway's channels and of the feed alike. */
export const cursorSecretOf = ({ cursorSecret, dataDir }: Config): string =>
  cursorSecret ?? keptSecret(dataDir, "cursor-secret");

/** Encrypts webhook secrets at rest. */
export const webhookKeyOf = ({ webhookKey, dataDir }: Config): string =>
  webhookKey ?? keptSecret(dataDir, "webhook-key");

function keptSecret(dataDir: string, name: string): string {
  const file = path.join(dataDir, name);
  mkdirSync(dataDir, { recursive: true });
  try {
    writeFileSync(file, randomBytes(32).toString("base64url"), { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  if ((statSync(file).mode & 0o077) !== 0)
    throw new OutcryError("config_invalid", `${file} can be read by others; run: chmod 600 ${file}`);
  return readFileSync(file, "utf8").trim();
}
