// Where the servers of one run are, and how each process of the bench reaches them with the bare libraries.

import { type NatsConnection, connect, credsAuthenticator } from "@nats-io/transport-node";
import { inspect } from "node:util";
import { readAuthFolder } from "@outcry/backbone";
import type { PlatformOptions } from "@outcry/delivery";
import { type Log, silentLog, systemClock } from "@outcry/protocol";

export interface Place {
  natsUrl: string;
  redisUrl: string;
  authDir: string;
  /** Of every stream. */
  replicas: number;
}

const RECONNECT_WAIT_MS = 250;

/** A stream of the raw loops beside Outcry's own, on the same server with the same durability. */
export const BARE = {
  stream: "BARE",
  subjects: "bare.append.>",
  append: (id: string) => `bare.append.${id}`,
  node: (node: string) => `bare.node.${node}`,
  ack: (node: string, intent: string) => `bare.ack.${node}.${intent}`,
  allAcks: "bare.ack.*.*",
} as const;

/** `iss` of the tokens that the gateway under test takes. */
export const SERVICE_ID = "outcry";

export const BARE_TIMEOUT_MS = 30_000; // of a request of the bench's own; a busy disk takes seconds

export function connectBare({ natsUrl, authDir }: Place, name: string): Promise<NatsConnection> {
  const { creds } = readAuthFolder(authDir);
  return connect({
    servers: natsUrl,
    name,
    authenticator: credsAuthenticator(new TextEncoder().encode(creds.service)),
    inboxPrefix: `_INBOX_${name}`,
    noAsyncTraces: true,
    maxReconnectAttempts: -1, // some rows restart their servers
    reconnectTimeWait: RECONNECT_WAIT_MS,
  });
}

export function platformAt({ natsUrl, redisUrl, authDir, replicas }: Place, name: string): PlatformOptions {
  const { creds } = readAuthFolder(authDir);
  return {
    name,
    natsUrl,
    natsCredentials: { creds: creds.service },
    systemCredentials: { creds: creds.system },
    redisUrl,
    replicas,
    region: "local",
    allowUnkeptPromises: false,
    clock: systemClock,
    log: quietLog,
  };
}

/** Nothing but errors: what else may disturb a run is counted and stands in the notes of its row. */
export const quietLog: Log = {
  ...silentLog,
  error({ err, ...rest }, text) {
    process.stderr.write(
      `bench: error: ${text ?? ""} ${JSON.stringify(rest)}${err === undefined ? "" : ` ${inspect(err)}`}\n`,
    );
  },
};
