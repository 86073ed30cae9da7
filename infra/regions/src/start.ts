// npm run regions [-- leaf|clusters] [-- --once]: two regions on this machine with what to try. Nothing is kept.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import type { SellerNode } from "@outcry/node";
import { findServers } from "@outcry/servers";
import { startSeller } from "./seller.js";
import { type LayoutName, type RegionStack, startRegionStack } from "./stack.js";
import { type Backend, newBackend, tour } from "./tour.js";

const HELP = `npm run regions [-- leaf | clusters] [--once]

  leaf      (default) two regions by leaf node, each with a JetStream domain: eu owns the record, us has a tap
  clusters  two clusters joined to a super-cluster: one domain, eu-1 and eu-2 with the record, us-1 with a tap
  --once    take one cursor from us to eu, stop, exit 0

docs/regions.md says how they work; the configurations are in infra/regions/nats/.
`;

const { values: flags, positionals } = parseArgs({
  options: { once: { type: "boolean" }, help: { type: "boolean" } },
  allowPositionals: true,
});
const say = (line: string): void => void process.stdout.write(`${line}\n`);

if (flags.help) say(HELP);
else await main();

async function main(): Promise<void> {
  const [layout = "leaf"] = positionals;
  if (!isLayout(layout)) return void (say(HELP), (process.exitCode = 2));
  const dataDir = mkdtempSync(path.join(tmpdir(), "outcry-regions-"));
  let stack: RegionStack | undefined;
  let seller: SellerNode | undefined;
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    (stopping ??= (async () => {
      await seller?.drain({ timeoutMs: 2_000 });
      await stack?.stop();
      rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 }); // what was stopped may still close its files
    })());
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => void stop().then(() => process.exit(0)));
  try {
    const servers = await findServers({ dataDir: path.resolve(".outcry"), env: process.env, progress: say });
    stack = await startRegionStack({ layout, dataDir, servers, progress: (line) => say(`  ${line}`) });
    seller = await startSeller(stack, path.join(dataDir, "seller"));
    const backend = await newBackend(stack);
    const cursor = await tour(stack, backend);
    say(`\nA cursor that us gave out went on in eu: ${cursor}`);
    if (!flags.once) return sayWhatToTry(stack, backend);
  } catch (error) {
    process.stderr.write(
      `\nThe regions could not be started: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = 1;
  }
  await stop();
}

function isLayout(name: string): name is LayoutName {
  return name === "leaf" || name === "clusters";
}

function sayWhatToTry({ api, gateways, nats }: RegionStack, { id, secret }: Backend): void {
  const auth = `-H "Authorization: Bearer ${secret}"`;
  const listen = (url: string, more: string) =>
    `curl -sN ${auth} -H "Accept: application/x-ndjson" "${url}/v1/stream?channel=backend:${id}${more}"`;
  say(`
API          ${api.url}/v1
Sockets      eu ${gateways.eu.url}/v1/ws, us ${gateways.us.url}/v1/ws (docs/gateway-protocol.md)
NATS         ${Object.entries(nats)
    .map(([name, { url, pid }]) => `${name} ${url} (pid ${pid})`)
    .join(", ")}

Listen in us, from the first event:
  ${listen(gateways.us.url, "&from=start")}
Go on in eu with any "c" that us has shown:
  ${listen(gateways.eu.url, "&cursor=…")}
Post an intent:
  curl -s ${auth} -H "Content-Type: application/json" -H "Idempotency-Key: $RANDOM" \\
    -d '{"line_items":[{"query":"running shoes"}],"context":{"currency":"EUR"}}' ${api.url}/v1/intents
Then kill -9 the nats-server of us: eu goes on, us is not ready (${gateways.us.url}/readyz), and a cursor loses nothing by it.

Ctrl-C ends it; nothing is kept.`);
}
