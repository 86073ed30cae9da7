// Key files: one private JWK, readable by its owner alone. Node only.

import { closeSync, fstatSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { keyFromText, privateJwk, type SigningKey } from "./signing-key.js";

const OWNER_ONLY = 0o600;

/** Throws, with the command that mends it, for a file that others may read. */
export function loadKeyFile(path: string): SigningKey {
  const file = openSync(path, "r");
  try {
    const mode = fstatSync(file).mode & 0o777; // of the opened file: its name may be swapped meanwhile
    if ((mode & 0o077) !== 0) {
      throw new Error(`the key file ${path} has mode 0${mode.toString(8)}: others may read it. Run: chmod 600 ${path}`);
    }
    return keyFromText(readFileSync(file, "utf8"));
  } finally {
    closeSync(file);
  }
}

/** Writes a new file, on disk when it returns. Throws EEXIST rather than replace a key. */
export function saveKeyFile(path: string, key: SigningKey): void {
  const file = openSync(path, "wx", OWNER_ONLY);
  try {
    writeSync(file, `${JSON.stringify(privateJwk(key), undefined, 2)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
