// npm start: servers, services, sample sellers, one real intent with its timeline. `--once` ends after the quotes are in.

import { existsSync, renameSync } from "node:fs";
import { parseArgs } from "node:util";
import path from "node:path";
import { type Client, createClient } from "@outcry/client";
import { silentLog } from "@outcry/protocol";
import { type Env, processEnv } from "@outcry/runtime";
import { findServers, type FoundServers } from "@outcry/servers";
import WebSocket from "ws";
import { demoKeys } from "./demo-keys.js";
import { broadcastSample } from "./sample-broadcast.js";
import { readSamples } from "./sample-data.js";
import { type SampleSeller, startSampleSellers } from "./sample-sellers.js";
import { type Stack, startStack } from "./stack.js";

const PORTS = { http: 7070, nats: 4222, redis: 6379 };

const HELP = `npm start [-- options]

  --once        broadcast one intent, print its quotes, stop, exit 0
  --no-sellers  no sample sellers and no sample intent
  --fresh       begin with empty data (the old data folder is kept beside the new one)
  --help

Variables: OUTCRY_DATA_DIR (.outcry), OUTCRY_PORT (7070), OUTCRY_NATS_SERVER and OUTCRY_REDIS_SERVER
(paths of the servers), NATS_URL with OUTCRY_NATS_AUTH_DIR, and REDIS_URL (servers to use instead of
starting them), and every variable of docs/configuration.md.
`;

const { values: flags } = parseArgs({
  options: {
    once: { type: "boolean" },
    sellers: { type: "boolean", default: true },
    fresh: { type: "boolean" },
    help: { type: "boolean" },
  },
  allowNegative: true,
});

const startedAt = performance.now();
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const step = (line: string): void =>
  say(`  ${String(Math.round(performance.now() - startedAt)).padStart(6)} ms  ${line}`);

if (flags.help) say(HELP);
else await main();

async function main(): Promise<void> {
  const env = processEnv();
  const dataDir = path.resolve(env["OUTCRY_DATA_DIR"] || ".outcry");
  if (flags.fresh) setAside(dataDir);
  let stack: Stack | undefined;
  let sellers: SampleSeller[] = [];
  const stop = once(async () => {
    say("\nStopping …");
    await Promise.all(sellers.map((seller) => seller.stop()));
    const clean = (await stack?.stop()) ?? true;
    say(
      clean
        ? "Stopped; the data stays in " + path.relative(process.cwd(), dataDir) + "."
        : "Stopped; something had to be cut off, see the log above.",
    );
    return clean;
  });
  onSignals(stop);

  try {
    say("Outcry");
    const ports = { ...PORTS, http: Number(env["OUTCRY_PORT"] || PORTS.http) };
    stack = await startStack({ dataDir, ports, find: () => find(dataDir, env), env, progress: step });
    step(`ready at ${stack.url}`);
    const keys = await demoKeys(stack, dataDir);
    const admin = createClient({ url: stack.url, apiKey: keys.admin });
    if (flags.sellers) sellers = await showSample(stack, { dataDir, admin, backendKey: keys.backend });
    sayWhereTo(stack, dataDir, (await admin.createInvite({ name: "printed by npm start" })).invite);
  } catch (error) {
    process.stderr.write(`\nOutcry could not start: ${error instanceof Error ? error.message : String(error)}\n`);
    await stop();
    process.exit(1);
  }
  if (flags.once) process.exit((await stop()) ? 0 : 1);
  say("\nCtrl-C ends it.");
}

interface SampleKeys {
  dataDir: string;
  admin: Client;
  backendKey: string;
}

async function find(dataDir: string, env: Env): Promise<FoundServers> {
  const found = await findServers({ dataDir, env, progress: step });
  const { natsServer, redisServer } = found;
  step(
    `nats-server ${natsServer.version} (${natsServer.source}), redis-server ${redisServer.version} (${redisServer.source})`,
  );
  return found;
}

async function showSample(running: Stack, { dataDir, admin, backendKey }: SampleKeys): Promise<SampleSeller[]> {
  const backend = createClient({ url: running.url, apiKey: backendKey, WebSocket });
  const { catalog, intents } = readSamples();
  const sellers = await startSampleSellers({
    url: running.url,
    stateDir: path.join(dataDir, "sellers"),
    catalog,
    admin,
    log: silentLog,
  });
  step(
    `${sellers.length} sample sellers: ${sellers.filter(({ behaviour }) => behaviour === "prompt").length} online, one late, one absent`,
  );
  await broadcastSample({ client: backend, sellers, intent: intents[0]!, say });
  return sellers;
}

function sayWhereTo({ url, servers, adminKey }: Stack, dataDir: string, invite: string): void {
  const rows = [
    ["API", `${url}/v1`, "every operation: /docs, every error: /errors/<code>"],
    ["Socket", `${url.replace("http", "ws")}/v1/ws`, "protocol: docs/gateway-protocol.md"],
    ["Health", `${url}/readyz`, "and /livez, /metrics"],
    ["NATS", servers.natsUrl, servers.natsMonitorUrl === undefined ? "" : `monitoring ${servers.natsMonitorUrl}`],
    ["Redis", `redis://${new URL(servers.redisUrl).host}`, ""],
    ["Keys", path.relative(process.cwd(), dataDir), "admin.key and backend.key of this development stack"],
  ];
  say("");
  for (const [name, where, note] of rows) say(`  ${name!.padEnd(7)} ${where!.padEnd(34)} ${note}`);
  if (adminKey !== undefined) say(`\n  Admin key, shown once: ${adminKey}`);
  const keyFile = path.relative(process.cwd(), path.join(dataDir, "backend.key"));
  say(`\n  Post an intent:   OUTCRY_URL=${url} OUTCRY_API_KEY=$(cat ${keyFile}) node examples/backend/backend.mjs`);
  say(`  Become a seller:  OUTCRY_URL=${url} OUTCRY_INVITE=${invite} node examples/seller/seller.mjs`);
}

function setAside(dataDir: string): void {
  if (existsSync(dataDir)) renameSync(dataDir, `${dataDir}-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`);
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => (running ??= work());
}

/** The first signal stops in order, the second at once; the servers are stopped by their guard even then. */
function onSignals(stop: () => Promise<boolean>): void {
  let asked = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (asked) process.exit(1);
      asked = true;
      void stop().then((clean) => process.exit(clean ? 0 : 1));
    });
  }
}
