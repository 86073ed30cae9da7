// The servers and processes of one row of the realtime gateway. Streams are synced late: the disk is no part of what these rows measure.

import type { FoundServers } from "@outcry/servers";
import type { GatewayLimits } from "@outcry/ws-gateway";
import { type Child, startChild } from "./child-process.js";
import type { BareSocketsVerbs } from "./child/bare-sockets.js";
import type { GatewayVerbs } from "./child/gateway.js";
import type { Place } from "./child/place.js";
import type { ProbeVerbs } from "./child/server-probe.js";
import type { SubscribersVerbs } from "./child/subscribers.js";
import type { Run } from "./closed-loop.js";
import { grantAccess, type RealtimeAccess } from "./realtime-access.js";
import { RestartableBrokers } from "./restartable.js";
import { startUndoable, type Undo } from "./undo.js";

export interface RealtimeRigOptions {
  servers: FoundServers;
  folder: string;
  limits?: Partial<GatewayLimits>;
}

export interface RealtimeRig {
  readonly place: Place;
  readonly access: RealtimeAccess;
  readonly subscribers: Child<SubscribersVerbs>;
  readonly gateway: Server<GatewayVerbs>;
  readonly bare: Server<BareSocketsVerbs>;
  readonly pids: Readonly<Record<string, number>>;
  /** As a crash ends it. */
  killGateway(): Promise<void>;
  /** Another one on the same port; the one before is killed where it still runs. */
  replaceGateway(): Promise<Server<GatewayVerbs>>;
  replaceBare(): Promise<Server<BareSocketsVerbs>>;
  stop(): Promise<void>;
}

export interface Server<V extends ProbeVerbs> {
  readonly child: Child<V>;
  /** The same process, of which only what it costs is asked. */
  readonly probe: Child<ProbeVerbs>;
  readonly port: number;
}

export const startRealtimeRig = (options: RealtimeRigOptions): Promise<RealtimeRig> =>
  startUndoable(options.folder, (dataDir, undo) => startAll(options, dataDir, undo));

async function startAll(
  { servers, limits }: RealtimeRigOptions,
  dataDir: string,
  undo: Undo,
): Promise<Omit<RealtimeRig, "stop">> {
  const brokers = await RestartableBrokers.start({ servers, dataDir });
  undo.push(() => brokers.stop());
  await brokers.restartNats("late");
  const { place } = brokers;
  const access = await grantAccess(place);
  const subscribers = startChild<SubscribersVerbs>("subscribers");
  undo.push(() => subscribers.stop());
  await subscribers.call("start", place);

  const startGateway = async (port: number): Promise<Server<GatewayVerbs>> => {
    const child = startChild<GatewayVerbs>("gateway");
    undo.push(() => child.stop());
    const started = await child.call("start", { place, port, ...(limits === undefined ? {} : { limits }) });
    return { child, probe: child as unknown as Child<ProbeVerbs>, port: started };
  };
  const startBare = async (port: number): Promise<Server<BareSocketsVerbs>> => {
    const child = startChild<BareSocketsVerbs>("bare-sockets");
    undo.push(() => child.stop());
    const started = await child.call("start", { place, port });
    return { child, probe: child as unknown as Child<ProbeVerbs>, port: started };
  };
  let [gateway, bare] = [await startGateway(0), await startBare(0)];
  return {
    place,
    access,
    subscribers,
    get gateway() {
      return gateway;
    },
    get bare() {
      return bare;
    },
    get pids() {
      return {
        gateway: gateway.child.pid,
        "bare sockets": bare.child.pid,
        subscribers: subscribers.pid,
        "nats-server": brokers.natsPid,
      };
    },
    killGateway: () => gateway.child.kill(),
    async replaceGateway() {
      await gateway.child.kill();
      return (gateway = await startGateway(gateway.port));
    },
    async replaceBare() {
      await bare.child.kill();
      return (bare = await startBare(bare.port));
    },
  };
}

/** The run at the cost of the server's CPU: its `seconds` are those that the server's process was busy. */
export async function byCpu(probe: Child<ProbeVerbs>, run: () => Promise<Run>): Promise<Run> {
  const beforeUs = await probe.call("cpuUs");
  const done = await run();
  return { ...done, seconds: ((await probe.call("cpuUs")) - beforeUs) / 1e6 };
}
