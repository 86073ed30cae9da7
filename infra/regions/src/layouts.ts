// The layouts of docs/regions.md on the loopback address, with users of their own for each region, as production would have them.

import { rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type AuthFolder,
  type Backbone,
  connectBackbone,
  INBOX_PREFIXES,
  openAuthFolder,
  operatorOf,
  writeTapFolder,
} from "@outcry/backbone";
import { silentLog, systemClock } from "@outcry/protocol";
import { pickPort, type RunningNats, startNats } from "@outcry/servers";
import { natsFile } from "./nats-files.js";

const HOST = "127.0.0.1";
const PORT_TRIES = 100;
const JETSTREAM_MS = 20_000;

export interface LayoutOptions {
  readonly dataDir: string;
  /** Path of nats-server. */
  readonly binary: string;
  readonly onUnexpectedExit?: (what: string) => void;
}

export interface Layout {
  readonly auth: AuthFolder;
  /** With the `.creds` of the services. */
  readonly authDir: string;
  /** The folder with `gateway.creds` and `tap.creds` of a tap. */
  tapAuthDir(tap: string, domain?: string): string;
  stop(): Promise<void>;
}

export interface LeafLayout extends Layout {
  readonly home: RunningNats;
  readonly region: RunningNats;
}

export interface LeafLayoutOptions extends LayoutOptions {
  /** Given the leaf node port of the home region: the port that the other region dials instead. For tests that cut the line. */
  readonly lineThrough?: (port: number) => Promise<number>;
  /** In place of the `ping_interval` of the shipped configurations. For tests that wait for missing pings. */
  readonly pingMs?: number;
}

/** Two regions, each with a domain: `eu` owns the record, `us` is its leaf node. */
export async function startLeafRegions(options: LeafLayoutOptions): Promise<LeafLayout> {
  const place = openPlace(options);
  const leafPort = await pickPort(0);
  const [eu, us] = [place.server("eu"), place.server("us")];
  const pings = options.pingMs === undefined ? "" : `\nping_interval: "${options.pingMs}ms"`; // the last one counts
  const home = await eu.start(
    natsFile(["leaf-home"], { ...eu.variables, DOMAIN: "eu", HOST, LEAF_PORT: leafPort }) + pings,
  );
  const linePort = (await options.lineThrough?.(leafPort)) ?? leafPort;
  const region = await us.start(
    natsFile(["leaf-region"], {
      ...us.variables,
      DOMAIN: "us",
      HOME_LEAF_URL: `nats://${HOST}:${linePort}`,
      ACCOUNT: place.auth.tree.app.publicKey,
      LEAF_CREDS: path.join(place.authDir, "service.creds"),
    }) + pings,
  );
  return { ...place.layout, home, region };
}

export interface ClusterLayout extends Layout {
  /** By server name: `eu-1`, `eu-2`, … */
  readonly servers: Readonly<Record<string, RunningNats>>;
}

/** Clusters by name with how many servers each has; several are joined to a super-cluster. JetStream needs three servers in all. */
export async function startClusters(
  options: LayoutOptions,
  sizes: Readonly<Record<string, number>>,
): Promise<ClusterLayout> {
  const place = openPlace(options);
  const members = Object.entries(sizes).flatMap(([cluster, size]) =>
    Array.from({ length: size }, (_, at) => ({ cluster, name: `${cluster}-${at + 1}` })),
  );
  const isSuper = Object.keys(sizes).length > 1;
  const routePorts = await freePorts(members.length * 2);
  const gatewayPorts = routePorts.splice(members.length);
  const urlsOf = (cluster: string, ports: readonly number[]) =>
    members.flatMap((member, at) => (member.cluster === cluster ? [`nats://${HOST}:${ports[at]}`] : []));
  const gateways = Object.keys(sizes).map((name) => ({ name, urls: urlsOf(name, gatewayPorts) }));
  // Together: none of them is healthy before a majority is there.
  const started = await Promise.all(
    members.map(async ({ cluster, name }, at) => {
      const server = place.server(name);
      const variables = {
        ...server.variables,
        HOST,
        CLUSTER: cluster,
        CLUSTER_PORT: routePorts[at],
        ROUTES: urlsOf(cluster, routePorts),
      };
      const nats = isSuper
        ? natsFile(["cluster", "super-cluster"], { ...variables, GATEWAY_PORT: gatewayPorts[at], GATEWAYS: gateways })
        : natsFile(["cluster"], variables);
      return [name, await server.start(nats)] as const;
    }),
  );
  await Promise.all(started.map(([, nats]) => jetStreamAnswers(nats, place.auth)));
  return { ...place.layout, servers: Object.fromEntries(started) };
}

/** Servers that have just met are healthy before JetStream is there for the account ("not enabled for account"). */
async function jetStreamAnswers(nats: RunningNats, auth: AuthFolder): Promise<void> {
  const options = { servers: [nats.url], name: "regions", log: silentLog, clock: systemClock };
  const credentials = { creds: auth.creds.service };
  const backbone = await connectBackbone({ ...options, credentials, inboxPrefix: INBOX_PREFIXES.service });
  try {
    for (const until = Date.now() + JETSTREAM_MS; ;) {
      const missing = await jetStreamFault(backbone);
      if (missing === undefined) return;
      if (Date.now() > until) throw new Error(`${nats.url}: JetStream is not there for the account: ${missing}`);
      await sleep(100);
    }
  } finally {
    await backbone.close();
  }
}

/** Why it does not serve the account yet; undefined when it does. */
async function jetStreamFault(backbone: Backbone): Promise<string | undefined> {
  try {
    const { data } = await backbone.request("$JS.API.INFO", new Uint8Array());
    const answer = JSON.parse(Buffer.from(data).toString()) as { error?: { description?: string } };
    return answer.error && (answer.error.description ?? "an error without a description");
  } catch (error) {
    return String(error); // nobody answers yet: told if it stays so
  }
}

function openPlace({ dataDir, binary, onUnexpectedExit }: LayoutOptions) {
  const deps = { clock: systemClock };
  const authDir = path.join(dataDir, "auth");
  const auth = openAuthFolder(authDir, deps);
  const running: RunningNats[] = [];
  const server = (name: string) => {
    const folder = path.join(dataDir, name);
    return {
      variables: { SERVER_NAME: name, STORE_DIR: path.join(folder, "jetstream") },
      async start(extraConfig: string): Promise<RunningNats> {
        const operator = { ...operatorOf(auth.tree), dirPath: path.join(dataDir, `${name}-accounts`) };
        const more = onUnexpectedExit === undefined ? {} : { onUnexpectedExit };
        const nats = await startNats({ binary, dataDir: folder, operator, extraConfig, ...more });
        running.push(nats);
        return nats;
      },
    };
  };
  const layout: Layout = {
    auth,
    authDir,
    tapAuthDir(tap, domain) {
      const folder = path.join(dataDir, `auth-${tap}`);
      rmSync(folder, { recursive: true, force: true });
      writeTapFolder(folder, auth.tree, deps, domain === undefined ? { tap } : { tap, domain });
      return folder;
    },
    async stop() {
      await Promise.all(running.map((nats) => nats.stop()));
    },
  };
  return { auth, authDir, server, layout };
}

async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count && tries < count + PORT_TRIES; tries++) {
    const port = await pickPort(0);
    if (!ports.includes(port)) ports.push(port);
  }
  return ports;
}
