// The auth tree and our own users' credentials as files of mode 0600 in one folder. A process is given what it needs of it:
// the gateway its own creds file, never the tree.

import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Clock, OutcryError } from "@outcry/protocol";
import {
  type AuthTree,
  type TapPlace,
  type UserKind,
  createAuthTree,
  isUpToDate,
  mintTapUsers,
  mintUser,
} from "./auth.js";
import { readCreds } from "./jwt.js";

const TREE_FILE = "auth-tree.json";
const KINDS: readonly UserKind[] = ["service", "replies", "gateway", "system"];
const PRIVATE = 0o600;

export interface AuthFolder {
  readonly tree: AuthTree;
  /** Text of each kind's `.creds` file. */
  readonly creds: Readonly<Record<UserKind, string>>;
}

/** Makes the tree and the users at the first call; later calls read them, and mint anew what a newer version gives other permissions. */
export function openAuthFolder(folder: string, deps: { readonly clock: Clock }): AuthFolder {
  if (existsSync(path.join(folder, TREE_FILE))) return renewed(folder, readAuthFolder(folder), deps);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const tree = createAuthTree(deps);
  for (const kind of KINDS) writePrivate(credsFile(folder, kind), mintUser(tree, deps, { kind }).creds);
  writePrivate(path.join(folder, TREE_FILE), `${JSON.stringify(tree)}\n`); // last: its presence says that all are there
  return readAuthFolder(folder);
}

function renewed(folder: string, found: AuthFolder, deps: { readonly clock: Clock }): AuthFolder {
  const stale = KINDS.filter((kind) => !isUpToDate(readCreds(found.creds[kind]).jwt, { kind }));
  for (const kind of stale) writePrivate(credsFile(folder, kind), mintUser(found.tree, deps, { kind }).creds);
  return stale.length === 0 ? found : readAuthFolder(folder);
}

/** A folder of its own for the gateways and the keeper of one tap: `gateway.creds` and `tap.creds`, and nothing of the tree. */
export function writeTapFolder(folder: string, tree: AuthTree, deps: { readonly clock: Clock }, place: TapPlace): void {
  const users = mintTapUsers(tree, deps, place); // first: a name that is none leaves no folder
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const [user, { creds }] of Object.entries(users)) writePrivate(path.join(folder, `${user}.creds`), creds);
}

/** Throws config_invalid for a folder that is incomplete or that others may read. */
export function readAuthFolder(folder: string): AuthFolder {
  const tree = JSON.parse(readPrivate(path.join(folder, TREE_FILE))) as AuthTree;
  const creds = Object.fromEntries(KINDS.map((kind) => [kind, readPrivate(credsFile(folder, kind))]));
  return { tree, creds: creds as Record<UserKind, string> };
}

/** A secret's text; throws config_invalid when the file is missing or others may read it. */
export function readPrivate(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) throw new OutcryError("config_invalid", `${file} is missing`);
  if ((found.mode & 0o077) !== 0)
    throw new OutcryError("config_invalid", `${file} can be read by others; run: chmod 600 ${file}`);
  return readFileSync(file, "utf8");
}

const credsFile = (folder: string, kind: UserKind): string => path.join(folder, `${kind}.creds`);

function writePrivate(file: string, text: string): void {
  const unfinished = `${file}.${process.pid}`;
  writeFileSync(unfinished, text, { mode: PRIVATE });
  chmodSync(unfinished, PRIVATE); // the mode above is narrowed by umask, never widened
  renameSync(unfinished, file);
}
