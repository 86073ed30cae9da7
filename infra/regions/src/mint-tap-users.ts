// node infra/regions/dist/mint-tap-users.js <auth folder> <new folder> <tap> [<domain of the record>]: the .creds of a tap's gateways and keeper.

import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { readAuthFolder, writeTapFolder } from "@outcry/backbone";
import { systemClock } from "@outcry/protocol";

const USAGE = `mint-tap-users <auth folder> <new folder> <tap> [<domain of the record>]

  <auth folder>  of the services, with auth-tree.json
  <new folder>   is made, with gateway.creds and tap.creds: OUTCRY_NATS_AUTH_DIR of the tap's gateways and keeper
  <tap>          one token: their OUTCRY_EVENTS_TAP
  <domain …>     JetStream domain of EVENTS, where the tap is in another one: their OUTCRY_RECORD_DOMAIN

docs/regions.md says what they are for, docs/permissions.md what they may do.
`;

const taken = taking(process.argv.slice(2));
if (taken === "help") process.stdout.write(USAGE);
else if (taken === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = 2;
} else mintInto(...taken);

/** Undefined for arguments that it does not take. */
function taking(args: string[]): [string, string, string, string?] | "help" | undefined {
  try {
    const { values, positionals } = parseArgs({ args, options: { help: { type: "boolean" } }, allowPositionals: true });
    if (values.help) return "help";
    const [authDir, folder, tap, domain] = positionals;
    if (authDir === undefined || folder === undefined || tap === undefined || positionals.length > 4) return undefined;
    return [authDir, folder, tap, domain];
  } catch {
    return undefined; // an option that it has not
  }
}

function mintInto(authDir: string, folder: string, tap: string, domain?: string): void {
  try {
    // In the folder of the services it would put a tap's gateway.creds in the place of theirs.
    if (existsSync(folder)) throw new Error(`${folder} is there already: give a new folder`);
    const place = domain === undefined ? { tap } : { tap, domain };
    writeTapFolder(folder, readAuthFolder(authDir).tree, { clock: systemClock }, place);
    process.stdout.write(`${folder}: gateway.creds and tap.creds of the tap ${tap}\n`);
  } catch (error) {
    process.stderr.write(`mint-tap-users: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
