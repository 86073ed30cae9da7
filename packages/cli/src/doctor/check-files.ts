// Secrets on this machine: who may read them, whether the signing key is the published one, and when credentials end.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { keyFromText } from "@outcry/signing";
import { type Finding, fail, messageOf, ok, warn } from "./finding.js";

const SECRET = /(\.creds|\.key|\.nk|-key\.json|auth-tree\.json|cursor[\w.-]*)$/;
const DEPTH_MAX = 3; // a data folder, its nats-auth, a seller's state
const EXPIRY_WARN_MS = 5 * 60_000;
const OUTSIDE = new Set(["nats", "redis", "nats-accounts", "bin", "cache"]); // the servers' own data

/** Every secret below the folder is its owner's alone. */
export function checkFolder(folder: string): Finding[] {
  if (!existsSync(folder))
    return [
      fail("files.folder", `${folder} does not exist`, {
        wanted: "the service's data folder",
        fix: "correct --data-dir",
      }),
    ];
  const secrets = secretsIn(folder, DEPTH_MAX);
  const open = secrets.filter((file) => (statSync(file).mode & 0o077) !== 0);
  if (open.length === 0) return [ok("files.modes", `${secrets.length} secrets, none readable by others`)];
  return open.map((file) =>
    fail("files.modes", `${file} has mode 0${(statSync(file).mode & 0o777).toString(8)}`, {
      wanted: "0600",
      fix: `chmod 600 ${file}`,
    }),
  );
}

function secretsIn(folder: string, depth: number): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) return depth > 0 && !OUTSIDE.has(entry.name) ? secretsIn(file, depth - 1) : [];
    return entry.isFile() && SECRET.test(entry.name) ? [file] : [];
  });
}

/** The key that signs must be among the published ones, else nodes reject every intent. */
export function checkSigningKey(file: string, publishedKids: readonly string[]): Finding[] {
  try {
    const { kid } = keyFromText(readFileSync(file, "utf8"));
    if (publishedKids.includes(kid)) return [ok("keys.signing", `${kid} is published`)];
    const fix = "restart the broadcast service with this key, or correct OUTCRY_SIGNING_KEY_FILE";
    return [
      fail("keys.signing", `${file} holds ${kid}, which is not published`, {
        wanted: publishedKids.join(", ") || "a published key",
        fix,
      }),
    ];
  } catch (error) {
    return [
      fail("keys.signing", `${file}: ${messageOf(error)}`, { wanted: "a private Ed25519 JWK", fix: "outcry keys gen" }),
    ];
  }
}

/** When the user JWT of a creds file ends. */
export function checkCreds(file: string, nowMs: number = Date.now()): Finding {
  const check = `creds.${path.basename(file)}`;
  try {
    const { exp, name } = claimsOf(readFileSync(file, "utf8"));
    if (exp === undefined) return ok(check, `${name ?? "user"}, does not expire`);
    const leftMs = exp * 1_000 - nowMs;
    const at = new Date(exp * 1_000).toISOString();
    const advice = {
      wanted: "some minutes left",
      fix: "a running node renews them itself; is it running, and is its clock right?",
    };
    if (leftMs <= 0) return fail(check, `expired ${at}`, advice);
    return leftMs < EXPIRY_WARN_MS ? warn(check, `ends ${at}`, advice) : ok(check, `${name ?? "user"}, until ${at}`);
  } catch (error) {
    return fail(check, messageOf(error), { wanted: "a .creds file or a user JWT", fix: "name another file" });
  }
}

function claimsOf(text: string): { exp?: number; name?: string } {
  const jwt = /[\w-]+\.([\w-]+)\.[\w-]+/.exec(text);
  if (jwt === null) throw new TypeError("holds no JWT");
  return JSON.parse(Buffer.from(jwt[1]!, "base64url").toString()) as { exp?: number; name?: string };
}
