// Where the service's private keys are: one from the configuration, or files in a folder. A private key is nowhere else, never in KV.

import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { generateKey, loadKeyFile, saveKeyFile, type SigningKey } from "@outcry/signing";

export interface KeyStore {
  /** The key that signs, as it is now: a file may be replaced by another process or by hand. */
  load(): SigningKey;
  /** Absent where the configuration names the key: then its owner rotates it. */
  readonly rotation?: {
    /** The key that signs next, on disk before anybody hears of it; the same one until it is taken or dropped. */
    next(): SigningKey;
    /** The next key signs from now on. */
    takeNext(): void;
    dropNext(): void;
  };
}

export const fixedKey = (key: SigningKey): KeyStore => ({ load: () => key });

const CURRENT = "signing-key.json";
const NEXT = "signing-key.next.json";

/** Several processes may share it. The first key is made at the first start. */
export function keyFolder(dir: string): KeyStore {
  const [current, next] = [path.join(dir, CURRENT), path.join(dir, NEXT)];
  return {
    load: () => loadOrMake(dir, current),
    rotation: {
      next: () => loadOrMake(dir, next),
      takeNext() {
        if (!existsSync(next)) return; // another process of this folder took it
        renameSync(next, current);
        syncFolder(dir);
      },
      dropNext: () => rmSync(next, { force: true }),
    },
  };
}

function loadOrMake(dir: string, file: string): SigningKey {
  if (!existsSync(file)) {
    mkdirSync(dir, { recursive: true });
    try {
      saveKeyFile(file, generateKey());
      syncFolder(dir);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error; // another process made it just now
    }
  }
  return loadKeyFile(file);
}

/** A rename is on disk only when its folder is. */
function syncFolder(dir: string): void {
  const folder = openSync(dir, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
