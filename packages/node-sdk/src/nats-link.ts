// The node's one NATS connection: reconnects for ever with whatever credentials are current, says whether it is up,
// and fails requests at once when it is not (a bare nats.js drops publishes silently and lets requests wait out their time).

import {
  connect,
  errors,
  headers as natsHeaders,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type Status,
} from "@nats-io/transport-node";
import { type Log, OutcryError } from "@outcry/protocol";
import { natsAuthenticator } from "@outcry/signing";
import { Alarm, settledWithin } from "./alarm.js";
import { NODE_LIMITS } from "./limits.js";
import type { NodeOptions } from "./options.js";

export interface LinkOptions {
  readonly servers: readonly string[];
  readonly name: string;
  readonly inboxPrefix: string;
  /** Read at each (re)connection. */
  readonly userJwt: (() => string) | undefined;
  readonly natsSeed: Uint8Array;
  readonly tls: NodeOptions["tls"];
  readonly log: Log;
  readonly onUp: () => void;
  readonly onDown: (detail: string) => void;
  /** The server does not take the credentials. */
  readonly onRefused: () => void;
}

export interface Incoming {
  readonly subject: string;
  readonly data: Uint8Array;
  header(name: string): string | undefined;
}

export async function openLink(options: LinkOptions): Promise<NatsLink> {
  const { userJwt, natsSeed, tls } = options;
  try {
    const connection = await connect({
      servers: [...options.servers],
      name: options.name,
      inboxPrefix: options.inboxPrefix,
      timeout: NODE_LIMITS.dialTimeoutMs,
      maxReconnectAttempts: -1,
      reconnectTimeWait: NODE_LIMITS.reconnectWaitMs,
      reconnectJitter: NODE_LIMITS.reconnectJitterMs,
      reconnectJitterTLS: NODE_LIMITS.reconnectJitterMs,
      ignoreAuthErrorAbort: true, // expired or not yet known credentials: renewing them mends it
      pingInterval: NODE_LIMITS.pingEveryMs,
      maxPingOut: NODE_LIMITS.pingsMissedMax,
      noAsyncTraces: true,
      ...(userJwt === undefined
        ? {}
        : { authenticator: natsAuthenticator(userJwt, new TextDecoder().decode(natsSeed)) }),
      ...(tls === undefined ? {} : { tls: { ...tls } }),
    });
    return new NatsLink(connection, options);
  } catch (cause) {
    if (isRefusal(cause)) options.onRefused();
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new OutcryError("dependency_unavailable", `nats: no connection to ${options.servers.join(", ")}: ${why}`, {
      cause,
    });
  }
}

export class NatsLink {
  readonly #nc: NatsConnection;
  readonly #options: LinkOptions;
  readonly #alarm = new Alarm();
  readonly #pending = new Set<(error: Error) => void>();
  #up = true;

  constructor(nc: NatsConnection, options: LinkOptions) {
    this.#nc = nc;
    this.#options = options;
    void this.#watch();
  }

  get up(): boolean {
    return this.#up;
  }

  /** Resolves when the connection is up, or the signal is aborted. */
  async whenUp(signal: AbortSignal): Promise<void> {
    while (!this.#up && !signal.aborted) await this.#alarm.sleep(NODE_LIMITS.pingEveryMs, signal);
  }

  /** The handler must not throw: nats.js would stop reading without a word. Whatever it throws is caught and logged. */
  subscribe(subject: string, handler: (message: Incoming) => void): { close(): void } {
    const { log } = this.#options;
    const subscription = this.#nc.subscribe(subject, {
      callback: (error, message) => {
        if (error) {
          log.error({ subject, error: error.message }, "node: the subscription was refused");
          return;
        }
        try {
          handler(incoming(message));
        } catch (fault) {
          log.error({ subject, error: String(fault) }, "node: a message was not handled");
        }
      },
    });
    return { close: () => subscription.unsubscribe() };
  }

  /** False when the connection is down: nothing was sent. */
  publish(subject: string, data: Uint8Array, fields?: Record<string, string>): boolean {
    if (!this.#up) return false;
    if (fields === undefined) this.#nc.publish(subject, data);
    else this.#nc.publish(subject, data, { headers: headersOf(fields) });
    return true;
  }

  /** Rejects at once when the connection is or goes down. */
  async request(subject: string, data: Uint8Array, fields: Record<string, string>): Promise<Uint8Array> {
    if (!this.#up) throw new OutcryError("dependency_unavailable", "nats is down");
    const headers = headersOf(fields);
    const answer = this.#nc.request(subject, data, { timeout: NODE_LIMITS.quoteTimeoutMs, headers });
    let fail!: (error: Error) => void;
    const lost = new Promise<never>((_, reject) => {
      fail = reject;
      this.#pending.add(fail);
    });
    try {
      return (await Promise.race([answer, lost])).data;
    } finally {
      this.#pending.delete(fail);
      answer.catch((error: unknown) =>
        this.#options.log.debug({ subject, error: String(error) }, "node: a request failed"),
      );
    }
  }

  /** Resolves when the server has read everything before it, subscriptions included. */
  async flush(): Promise<void> {
    await settledWithin(this.#nc.flush(), NODE_LIMITS.dialTimeoutMs);
  }

  /** Presents the current credentials, on a fresh connection. */
  async reconnect(): Promise<void> {
    if (!this.#up || this.#nc.isClosed()) return; // a reconnection under way presents them anyway
    try {
      await this.#nc.reconnect();
    } catch (error) {
      this.#options.log.debug({ error: String(error) }, "node: the connection was being made already");
    }
  }

  /** Sends what was published, and closes. Bounded in time. */
  async close(): Promise<void> {
    if (this.#up) await settledWithin(this.#nc.drain(), NODE_LIMITS.closeMs);
    if (!this.#nc.isClosed()) await settledWithin(this.#nc.close(), NODE_LIMITS.closeMs);
    this.#failPending("the connection was closed");
  }

  async #watch(): Promise<void> {
    for await (const status of this.#nc.status()) this.#onStatus(status);
    this.#setDown("the connection was closed");
  }

  #onStatus(status: Status): void {
    switch (status.type) {
      case "disconnect":
        this.#setDown("the connection was lost");
        break;
      case "reconnect":
        if (this.#up) break; // nats.js says it once for each refused attempt before
        this.#up = true;
        this.#alarm.wake();
        this.#options.onUp();
        break;
      case "error":
        this.#options.log.warn({ error: status.error.message }, "node: nats refused something");
        if (isRefusal(status.error)) this.#options.onRefused();
        break;
      case "slowConsumer":
      case "staleConnection":
      case "ldm":
        this.#options.log.warn({ status: status.type }, "node: connection trouble");
        break;
      case "close":
      case "forceReconnect":
      case "ping":
      case "reconnecting":
      case "update":
        break;
    }
  }

  #setDown(detail: string): void {
    const wasUp = this.#up;
    this.#up = false;
    this.#failPending(detail);
    if (wasUp) this.#options.onDown(detail);
  }

  #failPending(detail: string): void {
    for (const fail of this.#pending)
      fail(new OutcryError("dependency_unavailable", `nats: ${detail}; the outcome is unknown`));
    this.#pending.clear();
  }
}

const isRefusal = (error: unknown): boolean =>
  error instanceof errors.AuthorizationError || error instanceof errors.UserAuthenticationExpiredError;

function headersOf(fields: Record<string, string>): MsgHdrs {
  const headers = natsHeaders();
  for (const [name, value] of Object.entries(fields)) headers.set(name, value);
  return headers;
}

const incoming = (message: Msg): Incoming => ({
  subject: message.subject,
  data: message.data,
  header: (name) => message.headers?.get(name) || undefined,
});
