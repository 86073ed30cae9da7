// node infra/regions/dist/mint-tap-users.js <auth folder> <new folder> <tap> [<domain of the record>]: the .creds of a tap's gateways and keeper.

import { readAuthFolder, writeTapFolder } from "@outcry/backbone";
import { systemClock } from "@outcry/protocol";

const [authDir, folder, tap, domain] = process.argv.slice(2);
if (authDir === undefined || folder === undefined || tap === undefined) {
  process.stderr.write("mint-tap-users <folder with auth-tree.json> <new folder> <tap> [<domain of the record>]\n");
  process.exitCode = 2;
} else {
  const place = domain === undefined ? { tap } : { tap, domain };
  writeTapFolder(folder, readAuthFolder(authDir).tree, { clock: systemClock }, place);
  process.stdout.write(`${folder}: gateway.creds and tap.creds of the tap ${tap}\n`);
}
