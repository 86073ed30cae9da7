// The one way to reach NATS: a connection that never gives up, says whether it works, and fails what cannot be delivered.
// A bare nats.js drops core publishes silently while it is disconnected, and a throwing callback kills its reader.

import { createInbox, errors } from "@nats-io/transport-node";
import type { Msg, NatsConnection, Status, Subscription as NatsSubscription } from "@nats-io/transport-node";
import { OutcryError } from "@outcry/protocol";
import type { Log } from "@outcry/protocol";
import { cutSocket, dialFirst } from "./dial.js";
import type { ConnectOptions } from "./dial.js";
import { apiOf } from "./domain.js";
import { Incoming, natsHeaders } from "./headers.js";
import type { EncodedHeaders, HeaderFields } from "./headers.js";
import { HealthState } from "./health.js";
import type { Health } from "./health.js";
import { Requests } from "./requests.js";

const SELF_CHECK_EVERY_MS = 1_000;
const SELF_CHECK_TIMEOUT_MS = 2_000; // longer than a pause of garbage collection or a slow disk
const SELF_CHECK_GRACE_MS = 50; // after a blocked event loop the timer fires before the socket is read
const REQUEST_TIMEOUT_MS = 5_000;
const DRAIN_TIMEOUT_MS = 5_000;

export type Handler = (message: Incoming) => void | Promise<void>;

export interface PublishOptions {
  readonly headers?: EncodedHeaders | HeaderFields;
  readonly reply?: string;
}

export interface RequestOptions {
  readonly headers?: EncodedHeaders | HeaderFields;
  readonly timeoutMs?: number;
}

export interface Subscription {
  readonly subject: string;
  close(): void;
  /** Stops new messages, and resolves when those that the server has sent are handled. */
  drain(): Promise<void>;
}

/** Resolves with a connection, or rejects when none could be made within `firstConnectMs`. */
export async function connectBackbone(options: ConnectOptions): Promise<Backbone> {
  return new Backbone(await dialFirst(options), options);
}

export class Backbone {
  readonly name: string;
  readonly inboxPrefix: string;
  /** Of JetStream, where it is another than the server's own. */
  readonly domain: string | undefined;
  /** Before every JetStream verb: `$JS.API`, or `$JS.<domain>.API` of another domain. */
  readonly api: string;
  /** Since the start: handlers that threw or rejected, and connections that were cut because the self-check failed. */
  readonly counters = { handlerFailures: 0, forcedReconnects: 0 };
  readonly #nc: NatsConnection;
  readonly #log: Log;
  readonly #health: HealthState;
  readonly #requests: Requests;
  readonly #selfCheck: NodeJS.Timeout;
  #checking = false;
  #hearsReplies = false;
  #closing = false;

  constructor(nc: NatsConnection, options: ConnectOptions) {
    this.name = options.name;
    this.inboxPrefix = options.inboxPrefix;
    this.domain = options.domain;
    this.api = apiOf(options.domain);
    this.#nc = nc;
    this.#log = options.log;
    this.#health = new HealthState(options.clock);
    this.#requests = new Requests(createInbox(options.inboxPrefix));
    this.#health.set(true);
    void this.#watchStatus();
    this.#selfCheck = setInterval(() => void this.#checkSelf(), SELF_CHECK_EVERY_MS);
    this.#selfCheck.unref();
  }

  get health(): Health {
    return this.#health;
  }

  /** Version of the connected server, e.g. `2.15.1`. */
  get serverVersion(): string | undefined {
    return this.#nc.info?.version;
  }

  /** Largest message the server takes, headers included. */
  get payloadBytesMax(): number {
    return this.#nc.info?.max_payload ?? Number.POSITIVE_INFINITY;
  }

  /** Core publish, at most once. Throws while the connection is down instead of dropping the message silently. */
  publish(subject: string, data: Uint8Array, options: PublishOptions = {}): void {
    if (!this.#health.up) throw downError(`cannot publish on ${subject}`);
    const headers = options.headers === undefined ? undefined : natsHeaders(options.headers);
    this.#nc.publish(subject, data, {
      ...(headers === undefined ? {} : { headers }),
      ...(options.reply === undefined ? {} : { reply: options.reply }),
    });
  }

  /** The handler may throw or reject: that is logged and counted, and the next message comes. Survives reconnects. */
  subscribe(subject: string, handler: Handler, options: { readonly queue?: string } = {}): Subscription {
    const subscription = this.#nc.subscribe(subject, {
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      callback: (error, message) => {
        if (error) this.#log.error({ subject, error: error.message }, "nats: subscription refused");
        else this.#handle(subject, handler, message);
      },
    });
    return {
      subject,
      close: () => subscription.unsubscribe(),
      drain: () => drained(subscription),
    };
  }

  /** First reply. Rejects with a temporary error on silence, on a disconnect (at once), and when nobody listens. */
  request(subject: string, data: Uint8Array, options: RequestOptions = {}): Promise<Incoming> {
    return new Promise((resolve, reject) => {
      this.requestMany(subject, data, { ...options, onReply: (message) => (resolve(message), true), onFail: reject });
    });
  }

  /** Every reply until `onReply` returns true. The returned function ends it earlier. */
  requestMany(
    subject: string,
    data: Uint8Array,
    options: RequestOptions & { onReply: (message: Incoming) => boolean; onFail: (error: OutcryError) => void },
  ): () => void {
    const { onReply, onFail, headers, timeoutMs = REQUEST_TIMEOUT_MS } = options;
    this.#hearReplies();
    const reply = this.#requests.open({ subject, timeoutMs, onReply, onFail });
    const cancel = () => this.#requests.cancel(reply);
    try {
      this.publish(subject, data, headers === undefined ? { reply } : { headers, reply });
    } catch (error) {
      cancel();
      onFail(
        error instanceof OutcryError
          ? error
          : new OutcryError("internal", `nats: cannot publish on ${subject}`, { cause: error }),
      );
    }
    return cancel;
  }

  /** Resolves when the server has read everything published before. */
  async flush(timeoutMs: number = SELF_CHECK_TIMEOUT_MS): Promise<void> {
    if (!this.#health.up) throw downError("cannot flush");
    if (!(await within(timeoutMs, this.#nc.flush()))) throw downError(`no answer to a ping within ${timeoutMs} ms`);
  }

  /** Handles what was received, sends what was published, and closes. Bounded in time. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#selfCheck);
    if (this.#health.up) await within(DRAIN_TIMEOUT_MS, this.#nc.drain());
    this.#requests.failAll("the connection was closed");
    this.#health.close();
    if (!this.#nc.isClosed()) await within(DRAIN_TIMEOUT_MS, this.#nc.close());
  }

  /** At the first request: a user that only publishes may have no permission to subscribe at all. */
  #hearReplies(): void {
    if (this.#hearsReplies) return;
    this.#hearsReplies = true;
    this.subscribe(`${this.#requests.inbox}.*`, (message) => this.#requests.deliver(message));
  }

  #handle(subject: string, handler: Handler, message: Msg): void {
    try {
      const running = handler(new Incoming(message));
      if (running instanceof Promise) running.catch((error: unknown) => this.#handlerFailed(subject, error));
    } catch (error) {
      this.#handlerFailed(subject, error);
    }
  }

  #handlerFailed(subject: string, error: unknown): void {
    this.counters.handlerFailures++;
    this.#log.error({ subject, error: String(error) }, "nats: a message handler failed");
  }

  async #watchStatus(): Promise<void> {
    for await (const status of this.#nc.status()) this.#onStatus(status);
    this.#setDown("the connection was closed");
  }

  #onStatus(status: Status): void {
    switch (status.type) {
      case "disconnect":
        this.#setDown("the connection was lost; the outcome is unknown");
        break;
      case "reconnect":
        this.#log.info({ server: status.server }, "nats: connected again");
        this.#health.set(true);
        break;
      case "error":
        this.#log.warn({ error: status.error.message }, "nats: the server refused something");
        if (status.error instanceof errors.PermissionViolationError) this.#requests.failSubject(status.error.subject);
        break;
      case "slowConsumer":
      case "staleConnection":
      case "ldm":
        this.#log.warn({ status: status.type }, "nats: connection trouble");
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
    if (this.#health.up && !this.#closing) this.#log.warn({ detail }, "nats: down");
    this.#health.set(false);
    this.#requests.failAll(detail);
  }

  /** A paused server, or a reader that died inside nats.js, shows no status: only an unanswered ping tells. */
  async #checkSelf(): Promise<void> {
    if (this.#checking || this.#closing || !this.#health.up) return;
    this.#checking = true;
    const ping = this.#nc.flush();
    const answered = (await within(SELF_CHECK_TIMEOUT_MS, ping)) || (await within(SELF_CHECK_GRACE_MS, ping));
    this.#checking = false;
    if (answered || this.#closing || !this.#health.up) return;
    this.counters.forcedReconnects++;
    this.#setDown("the server does not answer a ping");
    cutSocket(this.#nc);
  }
}

function drained(subscription: NatsSubscription): Promise<void> {
  return subscription.isClosed() ? Promise.resolve() : subscription.drain();
}

/** True when `work` resolved in time; a rejection counts as not. */
async function within(timeoutMs: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  const done = work.then(
    () => true,
    () => false,
  );
  const inTime = await Promise.race([done, late]);
  clearTimeout(timer);
  return inTime;
}

const downError = (detail: string) => new OutcryError("dependency_unavailable", `nats is down: ${detail}`);
