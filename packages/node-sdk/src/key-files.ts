// The node's signing key on disk, and the next one while it is being rotated. Each step leaves files that a start can use.

import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { generateKey, loadKeyFile, saveKeyFile, type SigningKey } from "@outcry/signing";

const OWNER_ONLY = 0o600;

export class KeyFiles {
  readonly #current: string;
  readonly #next: string;
  readonly #retiring: string;

  constructor(current: string) {
    this.#current = current;
    this.#next = `${current}.next`;
    this.#retiring = `${current}.retiring`;
  }

  /** On disk before the service hears of it; the same one until it is taken, whatever crashed meanwhile. */
  next(): SigningKey {
    return loadOrMakeKey(this.#next);
  }

  /** The next key is the current one from now on; of the old one its name is remembered. */
  takeNext(oldKid: string): void {
    this.#remember(new Set([...this.replaced(), oldKid]));
    renameSync(this.#next, this.#current);
    syncFolderOf(this.#current);
  }

  /** Keys that were replaced and are not retired yet; also the current one, after a crash before it was replaced. */
  replaced(): string[] {
    if (!existsSync(this.#retiring)) return [];
    return (JSON.parse(readFileSync(this.#retiring, "utf8")) as { kids: string[] }).kids;
  }

  retired(kid: string): void {
    this.#remember(new Set(this.replaced().filter((one) => one !== kid)));
  }

  #remember(kids: ReadonlySet<string>): void {
    if (kids.size === 0) rmSync(this.#retiring, { force: true });
    else replaceFile(this.#retiring, `${JSON.stringify({ kids: [...kids] })}\n`);
  }
}

export function loadOrMakeKey(path: string): SigningKey {
  if (existsSync(path)) return loadKeyFile(path);
  const made = generateKey();
  saveKeyFile(path, made);
  syncFolderOf(path);
  return made;
}

/** Whole or not at all. */
export function replaceFile(path: string, text: string): void {
  writeWhole(`${path}.new`, text, "w");
  renameSync(`${path}.new`, path);
  syncFolderOf(path);
}

export function writeWhole(path: string, text: string, flag: "w" | "wx"): void {
  const file = openSync(path, flag, OWNER_ONLY);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  chmodSync(path, OWNER_ONLY); // the umask may have taken bits, an older file may have more
}

/** A new name is on disk only when its folder is. */
function syncFolderOf(path: string): void {
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
