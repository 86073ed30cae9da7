// Who the node is: its signing key, its NATS seed and the id it was registered under. Kept in files for the owner alone; never logged.

import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createUser, fromSeed } from "@nats-io/nkeys";
import { isId, OutcryError } from "@outcry/protocol";
import type { SigningKey } from "@outcry/signing";
import { KeyFiles, loadOrMakeKey, replaceFile, writeWhole } from "./key-files.js";
import type { NodeOptions } from "./options.js";

export interface Identity {
  /** Signs; another one after a rotation. */
  key: SigningKey;
  /** Where that key and the next one are kept; undefined for a key that was handed in. */
  readonly keyFiles: KeyFiles | undefined;
  readonly natsSeed: Uint8Array;
  readonly natsPublicKey: string;
  readonly nodeId: string | undefined;
}

type IdentityOptions = Pick<NodeOptions, "id" | "stateDir" | "key" | "keyFile" | "natsSeed" | "natsSeedFile">;

const encoder = new TextEncoder();

/** Loads what there is and makes what is missing. Throws rather than use a secret that others may read. */
export function loadIdentity(options: IdentityOptions): Identity {
  if (options.stateDir !== undefined) mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
  const natsSeed = loadNatsSeed(options);
  return {
    key: loadSigningKey(options),
    keyFiles: options.key === undefined ? new KeyFiles(keyPath(options)) : undefined,
    natsSeed,
    natsPublicKey: fromSeed(natsSeed).getPublicKey(),
    nodeId: options.id ?? rememberedId(options.stateDir),
  };
}

/** Kept so that the next start does not register again. */
export function rememberId(stateDir: string | undefined, nodeId: string): void {
  if (stateDir === undefined) return;
  const path = idPath(stateDir);
  replaceFile(path, `${JSON.stringify({ id: nodeId })}\n`);
}

const keyPath = ({ keyFile, stateDir }: IdentityOptions): string =>
  keyFile ?? inStateDir(stateDir, "signing-key.json", "key or keyFile");

function loadSigningKey(options: IdentityOptions): SigningKey {
  return options.key ?? loadOrMakeKey(keyPath(options));
}

function loadNatsSeed({ natsSeed, natsSeedFile, stateDir }: IdentityOptions): Uint8Array {
  if (natsSeed !== undefined) return encoder.encode(natsSeed);
  const path = natsSeedFile ?? inStateDir(stateDir, "nats-user.nk", "natsSeed or natsSeedFile");
  if (existsSync(path)) return encoder.encode(readSecret(path).trim());
  const seed = createUser().getSeed();
  writeWhole(path, `${new TextDecoder().decode(seed)}\n`, "wx");
  return seed;
}

function rememberedId(stateDir: string | undefined): string | undefined {
  if (stateDir === undefined || !existsSync(idPath(stateDir))) return undefined;
  const { id } = JSON.parse(readFileSync(idPath(stateDir), "utf8")) as { id?: unknown };
  if (!isId("nod", id))
    throw new OutcryError("config_invalid", `${idPath(stateDir)} holds no node id; remove it to register anew`);
  return id;
}

const idPath = (stateDir: string): string => join(stateDir, "node.json");

function inStateDir(stateDir: string | undefined, name: string, instead: string): string {
  if (stateDir !== undefined) return join(stateDir, name);
  throw new OutcryError("config_invalid", `createNode needs stateDir, or ${instead}`);
}

function readSecret(path: string): string {
  const file = openSync(path, "r");
  try {
    const mode = fstatSync(file).mode & 0o777; // of the opened file: its name may be swapped meanwhile
    if ((mode & 0o077) !== 0)
      throw new OutcryError("config_invalid", `${path} may be read by others. Run: chmod 600 ${path}`);
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}
