// How nats.js is told to connect (for ever), and how a connection is cut that it believes to be alive.

import { connect, errors } from "@nats-io/transport-node";
import type { Authenticator, NatsConnection } from "@nats-io/transport-node";
import { OutcryError } from "@outcry/protocol";
import type { Clock, Log } from "@outcry/protocol";
import { natsAuthenticator } from "@outcry/signing";
import { readCreds } from "./jwt.js";

const RECONNECT_WAIT_MS = 250; // a restarted server is back within 0.5 s
const RECONNECT_JITTER_MS = 250; // so that processes do not come back in one wave
const DIAL_TIMEOUT_MS = 3_000; // a paused server accepts connections and never greets
const FIRST_CONNECT_MS = 10_000;

export type Credentials = { readonly creds: string } | { readonly jwt: string; readonly seed: string };

export interface TlsFiles {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

export interface ConnectOptions {
  readonly servers: readonly string[];
  readonly credentials?: Credentials;
  /** Shown by the server's monitoring. */
  readonly name: string;
  /** Where replies arrive, e.g. `_INBOX_svc`. Never `_INBOX`: the user that answers nodes may publish there. */
  readonly inboxPrefix: string;
  readonly tls?: TlsFiles;
  readonly log: Log;
  readonly clock: Clock;
  /** JetStream domain that is asked, where it is another than that of the connected server (docs/regions.md). */
  readonly domain?: string;
  /** How long the first connection is tried; later ones are tried for ever. */
  readonly firstConnectMs?: number;
}

/** Resolves with a connection, or rejects when none could be made within `firstConnectMs`; at once where the credentials are none. */
export async function dialFirst(options: ConnectOptions): Promise<NatsConnection> {
  const authenticator = authenticatorFor(options.credentials);
  const until = options.clock.now() + (options.firstConnectMs ?? FIRST_CONNECT_MS);
  for (;;) {
    try {
      return await dial(options, authenticator);
    } catch (cause) {
      const refused = cause instanceof errors.AuthorizationError;
      if (refused || options.clock.now() >= until) {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new OutcryError(
          "dependency_unavailable",
          `nats: no connection to ${options.servers.join(", ")}: ${why}`,
          { cause },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_WAIT_MS));
    }
  }
}

function dial(options: ConnectOptions, authenticator: Authenticator | undefined): Promise<NatsConnection> {
  return connect({
    servers: [...options.servers],
    name: options.name,
    inboxPrefix: options.inboxPrefix,
    timeout: DIAL_TIMEOUT_MS,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: RECONNECT_JITTER_MS,
    reconnectJitterTLS: RECONNECT_JITTER_MS,
    ignoreAuthErrorAbort: true, // a server whose resolver is still loading refuses good credentials
    noAsyncTraces: true,
    ...(authenticator === undefined ? {} : { authenticator }),
    ...(options.tls === undefined ? {} : { tls: { ...options.tls } }),
  });
}

function authenticatorFor(credentials: Credentials | undefined): Authenticator | undefined {
  if (credentials === undefined) return undefined;
  try {
    const { jwt, seed } = "creds" in credentials ? readCreds(credentials.creds) : credentials;
    return natsAuthenticator(() => jwt, seed);
  } catch (cause) {
    throw new OutcryError("config_invalid", `nats: ${(cause as Error).message}`, { cause });
  }
}

/** `nc.reconnect()` first waits until the socket has taken all that is queued, which a paused server never lets happen. */
export function cutSocket(nc: NatsConnection): void {
  const inner = nc as unknown as { protocol: { transport: { socket?: { destroy(): void } } } };
  inner.protocol.transport.socket?.destroy();
}
