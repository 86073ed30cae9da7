// The servers and processes of one row, fresh and in a folder of their own; gone without a trace at the end.

import { jetstreamManager } from "@nats-io/jetstream";
import { STREAMS } from "@outcry/protocol";
import type { FoundServers } from "@outcry/servers";
import { serverName, startBenchBrokers } from "./brokers.js";
import { type Child, startChild } from "./child-process.js";
import type { BareHttpVerbs } from "./child/bare-http.js";
import type { IntakeVerbs } from "./child/intake.js";
import type { LoadVerbs } from "./child/load.js";
import { BARE, type Place, connectBare } from "./child/place.js";
import type { ServiceOptions, ServiceVerbs } from "./child/service.js";
import { startUndoable, type Undo } from "./undo.js";

const SELLER_CONNECTIONS = 4;
const BARE_BYTES_MAX = 8 * 1024 ** 3;
const REGISTRY_WAIT_MS = 20_000;
const ENABLED_TRIES = 100;
const ENABLED_POLL_MS = 100;
const STEP_DOWN_TRIES = 50;
const STEP_DOWN_WAIT_MS = 200; // an election between the tries

export interface RigOptions {
  servers: FoundServers;
  folder: string;
  sellers: number;
  intake?: boolean;
  bareHttp?: boolean;
  /** Default: 1, on one nats-server. With 3 there are three. */
  replicas?: 1 | 3;
  service?: ServiceOptions;
  /** Of the sellers, at the start: `register` adds more. Default: all. */
  registered?: number;
}

export interface Rig {
  readonly service: Child<ServiceVerbs>;
  readonly load: Child<LoadVerbs>;
  readonly intake: Child<IntakeVerbs> | undefined;
  readonly bareHttp: Child<BareHttpVerbs> | undefined;
  readonly url: string;
  readonly bareUrl: string;
  readonly apiKey: string;
  readonly nodes: readonly string[];
  readonly sellerConnections: number;
  /** Puts further sellers into the registry, until `count` of them are there and chosen. */
  register(count: number): Promise<void>;
  /** Process ids by the name that the table shows. */
  readonly pids: Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

export const startRig = (options: RigOptions): Promise<Rig> =>
  startUndoable(options.folder, (dataDir, undo) => startAll(options, dataDir, undo));

async function startAll(options: RigOptions, dataDir: string, undo: Undo): Promise<Omit<Rig, "stop">> {
  const brokers = await startBenchBrokers({ servers: options.servers, dataDir, replicas: options.replicas ?? 1 });
  undo.push(() => brokers.stop());
  const { place } = brokers;
  await addBareStream(place);

  const service = startChild<ServiceVerbs>("service");
  undo.push(() => service.stop());
  const load = startChild<LoadVerbs>("load");
  undo.push(() => load.stop());
  const intake = options.intake ? startChild<IntakeVerbs>("intake") : undefined;
  if (intake) undo.push(() => intake.stop());
  const bareHttp = options.bareHttp ? startChild<BareHttpVerbs>("bare-http") : undefined;
  if (bareHttp) undo.push(() => bareHttp.stop());

  const sellers = { place, count: options.sellers, connections: SELLER_CONNECTIONS };
  const [{ url, apiKey }, records] = await Promise.all([
    service.call("start", { place, ...options.service }),
    load.call("openSellers", sellers),
  ]);
  const nodes = records.map(({ id }) => id);
  let registered = options.registered ?? records.length;
  const [bareUrl] = await Promise.all([
    bareHttp?.call("start", { place, nodes }),
    intake?.call("start", place),
    service.call("registerNodes", records.slice(0, registered)),
  ]);
  await untilSelectable(url, apiKey, registered);
  if (place.replicas > 1) await leadFromFirst(place, [BARE.stream, STREAMS.intents, STREAMS.events]);
  return {
    service,
    load,
    intake,
    bareHttp,
    url,
    apiKey,
    bareUrl: bareUrl ?? "",
    nodes,
    sellerConnections: SELLER_CONNECTIONS,
    async register(count) {
      await service.call("registerNodes", records.slice(registered, count));
      registered = count;
      await untilSelectable(url, apiKey, registered);
    },
    pids: {
      service: service.pid,
      ...(intake ? { intake: intake.pid } : {}),
      ...(bareHttp ? { "bare http": bareHttp.pid } : {}),
      load: load.pid,
      ...brokers.pids,
    },
  };
}

async function addBareStream(place: Place): Promise<void> {
  const connection = await connectBare(place, "setup");
  try {
    const manager = await onceEnabled(() => jetstreamManager(connection));
    await manager.streams.add({
      name: BARE.stream,
      subjects: [BARE.subjects],
      storage: "file",
      max_bytes: BARE_BYTES_MAX,
      num_replicas: place.replicas,
      allow_atomic: true,
    });
  } finally {
    await connection.close(); // left open behind an error it would keep the bench from ending
  }
}

/** Of three servers that have just found each other, one may not know the account's JetStream yet. */
async function onceEnabled<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (tries === ENABLED_TRIES || (error as Error).name !== "JetStreamNotEnabled") throw error;
      await new Promise((resolve) => setTimeout(resolve, ENABLED_POLL_MS));
    }
  }
}

/** The server that all are connected to leads these streams: an append of either side goes the same way. */
async function leadFromFirst(place: Place, streams: readonly string[]): Promise<void> {
  const connection = await connectBare(place, "leaders");
  const manager = await jetstreamManager(connection);
  const preferred = serverName(0);
  for (const stream of streams) {
    for (let tries = 0; (await manager.streams.info(stream)).cluster?.leader !== preferred; tries++) {
      if (tries === STEP_DOWN_TRIES) throw new Error(`${preferred} does not become the leader of ${stream}`);
      const request = JSON.stringify({ placement: { preferred } });
      await connection.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, request);
      await new Promise((resolve) => setTimeout(resolve, STEP_DOWN_WAIT_MS));
    }
  }
  await connection.close();
}

/** The registry is followed: a node is chosen a moment after it is written. */
export async function untilSelectable(url: string, apiKey: string, nodes: number): Promise<void> {
  const untilMs = Date.now() + REGISTRY_WAIT_MS;
  for (let attempt = 0; Date.now() < untilMs; attempt++) {
    const response = await fetch(`${url}/v1/intents`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${apiKey}`,
        "content-type": "application/json",
        "idempotency-key": `probe-${nodes}-${attempt}`,
      },
      body: JSON.stringify({ line_items: [{ query: "probe" }], context: { currency: "EUR" } }),
    });
    const { targets } = (await response.json()) as { targets?: number };
    if (targets === nodes) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the registry does not show ${nodes} nodes within ${REGISTRY_WAIT_MS / 1_000} s`);
}
