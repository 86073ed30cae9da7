// Keys of the development stack, kept in its data folder (0600) so that a second start can go on: the first start's admin
// key is shown by the service once and never again.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createClient } from "@outcry/client";

export interface DemoKeys {
  admin: string;
  backend: string;
}

export async function demoKeys(
  stack: { url: string; adminKey: string | undefined },
  dataDir: string,
): Promise<DemoKeys> {
  const admin = keep(path.join(dataDir, "admin.key"), stack.adminKey);
  if (admin === undefined)
    throw new Error(`${dataDir} holds data and no admin.key; start with --fresh, or put the admin key there`);
  const file = path.join(dataDir, "backend.key");
  const backend = keep(file, undefined) ?? keep(file, await newBackendKey(stack.url, admin))!;
  return { admin, backend };
}

async function newBackendKey(url: string, apiKey: string): Promise<string> {
  return (await createClient({ url, apiKey }).createApiKey({ role: "backend", name: "sample marketplace" })).secret;
}

/** Writes the key when there is a new one; returns what is kept. */
function keep(file: string, key: string | undefined): string | undefined {
  if (key !== undefined) writeFileSync(file, `${key}\n`, { mode: 0o600 });
  return existsSync(file) ? readFileSync(file, "utf8").trim() : undefined;
}
