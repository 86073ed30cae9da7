// Which promises the connected servers can keep. Only the system account or the monitoring URL tells; what cannot be read
// counts as unkept.

import type { Backbone } from "./connect.js";
import type { Incoming } from "./headers.js";

const GATHER_MS = 400; // silence after which no further server of the cluster is expected
const MONITORING_TIMEOUT_MS = 3_000;

export interface ServerDurability {
  readonly server: string;
  /** Or `unreadable`. */
  readonly version: string;
  readonly syncAlways: boolean | "unreadable";
  readonly jetStream: boolean | "unreadable";
  /** Bytes; 0 = unknown. */
  readonly fileStoreMax: number;
  readonly payloadMax: number;
}

export interface DurabilitySources {
  /** Connected as a `system` user. */
  readonly systemBackbone?: Backbone;
  /** Such as `http://127.0.0.1:8222`. */
  readonly monitoringUrl?: string;
}

/** One entry per server that answers; one "unreadable" entry when none does. */
export async function readDurability(sources: DurabilitySources): Promise<ServerDurability[]> {
  const { systemBackbone, monitoringUrl } = sources;
  const read: ServerDurability[] = [];
  if (systemBackbone !== undefined) read.push(...(await askServers(systemBackbone)));
  if (read.length === 0 && monitoringUrl !== undefined) read.push(...(await askMonitoring(monitoringUrl)));
  return read.length > 0 ? read : [UNREADABLE];
}

const UNREADABLE: ServerDurability = {
  server: "(none answered)",
  version: "unreadable",
  syncAlways: "unreadable",
  jetStream: "unreadable",
  fileStoreMax: 0,
  payloadMax: 0,
};

interface Varz {
  readonly server_name?: string;
  readonly version?: string;
  readonly max_payload?: number;
  readonly jetstream?: { readonly config?: { readonly sync_always?: boolean; readonly max_storage?: number } };
}

function askServers(backbone: Backbone): Promise<ServerDurability[]> {
  const found: ServerDurability[] = [];
  return new Promise((resolve, reject) => {
    const onReply = (message: Incoming): boolean => {
      const answer = JSON.parse(Buffer.from(message.data).toString()) as { data?: Varz };
      if (answer.data !== undefined) found.push(fromVarz(answer.data));
      return false;
    };
    backbone.requestMany("$SYS.REQ.SERVER.PING.VARZ", new Uint8Array(0), {
      timeoutMs: GATHER_MS,
      onReply,
      onFail: (error) => (error.code === "dependency_unavailable" ? resolve(found) : reject(error)),
    });
  });
}

async function askMonitoring(url: string): Promise<ServerDurability[]> {
  const answer = await fetch(new URL("/varz", url), { signal: AbortSignal.timeout(MONITORING_TIMEOUT_MS) }).catch(
    () => undefined,
  );
  return answer?.ok === true ? [fromVarz((await answer.json()) as Varz)] : [];
}

function fromVarz(varz: Varz): ServerDurability {
  const jetStream = varz.jetstream?.config;
  return {
    server: varz.server_name ?? "?",
    version: varz.version ?? "unreadable",
    syncAlways: jetStream === undefined ? "unreadable" : jetStream.sync_always === true,
    jetStream: jetStream !== undefined,
    fileStoreMax: jetStream?.max_storage ?? 0,
    payloadMax: varz.max_payload ?? 0,
  };
}

export interface UnkeptPromise {
  readonly promise: string;
  readonly server: string;
  readonly setting: string;
  readonly found: string;
  readonly wanted: string;
  /** What to write into nats-server's configuration, or to do. */
  readonly fixLine: string;
}

const SURVIVES_POWER_CUT = "an acknowledged intent survives a power cut";

/** Empty when every promise can be kept. */
export function checkNatsPromises(
  servers: readonly ServerDurability[],
  options: { payloadBytesMin: number },
): UnkeptPromise[] {
  return servers.flatMap((server) => {
    const unkept: Omit<UnkeptPromise, "server">[] = [];
    if (server.syncAlways !== true) {
      unkept.push({
        promise: SURVIVES_POWER_CUT,
        setting: "jetstream.sync_interval",
        found: server.syncAlways === "unreadable" ? "unreadable" : "not always",
        wanted: "always",
        fixLine: server.syncAlways === "unreadable" ? READABLE_FIX : "jetstream { sync_interval: always }",
      });
    }
    if (!versionOnFloor(server.version)) {
      unkept.push({
        promise: "appends are atomic and the known data losses are fixed",
        setting: "version",
        found: server.version,
        wanted: "2.12.7 or a later 2.12, or 2.14 and later",
        fixLine: server.version === "unreadable" ? READABLE_FIX : "install nats-server 2.14 or later",
      });
    }
    if (server.payloadMax !== 0 && server.payloadMax < options.payloadBytesMin) {
      unkept.push({
        promise: "an intent with the most targets fits one message",
        setting: "max_payload",
        found: String(server.payloadMax),
        wanted: `at least ${options.payloadBytesMin}`,
        fixLine: `max_payload: ${options.payloadBytesMin}`,
      });
    }
    return unkept.map((entry) => ({ ...entry, server: server.server }));
  });
}

const READABLE_FIX = "give a system user's credentials, or `http: 127.0.0.1:8222` and its URL";

/** DESIGN: 2.12 from 2.12.7, else at least 2.14. */
export function versionOnFloor(version: string): boolean {
  const parts = /^(\d+)\.(\d+)\.(\d+)/.exec(version);
  if (parts === null) return false;
  const [major = 0, minor = 0, patch = 0] = parts.slice(1).map(Number);
  if (major !== 2) return major > 2;
  return minor === 12 ? patch >= 7 : minor >= 14;
}
