// A seller node from start to drain. What happens to an intent is intent-desk.ts; how the node gets its connection, join-market.ts.

import {
  canonicalize,
  type CatchUpRequest,
  LIMITS,
  type Log,
  OutcryError,
  PROTOCOL,
  PROTOCOL_VERSION,
  silentLog,
  SUBJECTS,
  systemClock,
} from "@outcry/protocol";
import { IntentDesk } from "./intent-desk.js";
import { joinMarket, type Membership } from "./join-market.js";
import { NODE_LIMITS } from "./limits.js";
import { Listeners } from "./listeners.js";
import type { Incoming } from "./nats-link.js";
import { leftToRetire, retireKey, switchKey } from "./rotate-key.js";
import {
  type CancelHandler,
  type DrainReport,
  type IntentHandler,
  noCounters,
  type NodeEvents,
  type NodeHealth,
  type NodeOptions,
  type NodeState,
} from "./options.js";

/** Does nothing until `start()`: no file is touched and no connection made. */
export function createNode(options: NodeOptions): SellerNode {
  return new SellerNode(options);
}

export class SellerNode {
  readonly #options: NodeOptions;
  readonly #log: Log;
  readonly #listeners: Listeners;
  readonly #stop = new AbortController();
  #handler: IntentHandler | undefined;
  #onCancel: CancelHandler | undefined;
  #state: NodeState = "idle";
  #membership: Membership | undefined;
  #desk: IntentDesk | undefined;
  #closing: Promise<DrainReport> | undefined;
  #rotating: Promise<{ kid: string }> | undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#listeners = new Listeners(this.#log);
  }

  /** Decides on each intent, once. What it throws is reported as `error`, and the intent is declined with `capacity`. */
  onIntent(handler: IntentHandler): this {
    this.#handler = handler;
    return this;
  }

  /** Told once per cancelled intent; `context.signal` of its handler is aborted already. */
  onCancel(handler: CancelHandler): this {
    this.#onCancel = handler;
    return this;
  }

  on<E extends keyof NodeEvents>(event: E, listener: (value: NodeEvents[E]) => void): this {
    this.#listeners.add(event, listener);
    return this;
  }

  /** Resolves once the node hears intents. Waits for a service that is away; throws for what waiting cannot mend. */
  async start(options: { signal?: AbortSignal } = {}): Promise<{ nodeId: string }> {
    if (this.#state !== "idle") throw new OutcryError("config_invalid", `the node is ${this.#state} already`);
    if (this.#handler === undefined) throw new OutcryError("config_invalid", "call onIntent() before start()");
    this.#enter("starting");
    const signal =
      options.signal === undefined ? this.#stop.signal : AbortSignal.any([options.signal, this.#stop.signal]);
    try {
      const membership = await joinMarket(this.#joinDeps(), signal);
      this.#membership = membership;
      this.#desk = this.#openDesk(membership, this.#handler);
      membership.link.subscribe(SUBJECTS.nodeAll(membership.nodeId), (message) => this.#dispatch(message));
      await membership.link.flush();
      this.#enter("connected");
      this.#askCatchUp();
      const { rotation } = membership;
      if (rotation !== undefined)
        for (const kid of leftToRetire(rotation)) void retireKey(rotation, kid, this.#stop.signal);
      return { nodeId: membership.nodeId };
    } catch (error) {
      if (this.#closing === undefined) this.#enter("closed", String(error));
      throw error;
    }
  }

  /**
   * Makes a new signing key, registers it, and signs with it from then on; the old one is retired when no intent uses it any more. A call
   * that failed, or was cut off by a crash, is repeated and goes on where it was.
   */
  rotateKey(): Promise<{ kid: string }> {
    this.#rotating ??= this.#rotateKey().finally(() => {
      this.#rotating = undefined;
    });
    return this.#rotating;
  }

  async #rotateKey(): Promise<{ kid: string }> {
    const rotation = this.#membership?.rotation;
    if (rotation === undefined || this.#desk === undefined)
      throw new OutcryError("config_invalid", "rotateKey needs a started node that joined by HTTP");
    const { kid, replaced } = await switchKey(rotation, this.#stop.signal);
    void this.#desk.settled().then(() => retireKey(rotation, replaced, this.#stop.signal));
    return { kid };
  }

  /** Takes no new intent, finishes what it has, and closes. Called again, it returns the same promise. */
  drain(options: { timeoutMs?: number } = {}): Promise<DrainReport> {
    this.#closing ??= this.#close(options.timeoutMs ?? NODE_LIMITS.drainMs);
    return this.#closing;
  }

  health(): NodeHealth {
    const load = this.#desk?.load ?? { waiting: 0, running: 0, unconfirmedQuotes: 0 };
    return {
      state: this.#state,
      nodeId: this.#membership?.nodeId,
      connected: this.#membership?.link.up ?? false,
      credentialsExpire: this.#membership?.keeper?.current.expires,
      ...load,
      counters: { ...(this.#desk?.counters ?? noCounters()) },
    };
  }

  async #close(timeoutMs: number): Promise<DrainReport> {
    this.#enter("draining");
    this.#stop.abort(new DOMException("the node is stopping", "AbortError"));
    const report = (await this.#desk?.drain(timeoutMs)) ?? { abandoned: 0 };
    this.#membership?.keeper?.stop();
    await this.#membership?.link.close();
    this.#enter("closed");
    return report;
  }

  #joinDeps() {
    return {
      options: this.#options,
      clock: this.#options.clock ?? systemClock,
      random: this.#options.random ?? Math.random,
      log: this.#log,
      onUp: () => this.#onLink("connected"),
      onDown: (detail: string) => this.#onLink("disconnected", detail),
      onTrouble: (error: unknown) => this.#listeners.emit("error", { error }),
    };
  }

  #openDesk({ nodeId, identity, link, serviceKeys }: Membership, handler: IntentHandler): IntentDesk {
    const { clock, random, log } = this.#joinDeps();
    return new IntentDesk({
      nodeId,
      key: () => identity.key,
      link,
      serviceKeys,
      handler,
      onCancel: this.#onCancel,
      emit: this.#listeners.emit,
      concurrency: this.#options.concurrency ?? NODE_LIMITS.concurrencyDefault,
      openIntentsMax: this.#options.openIntentsMax ?? NODE_LIMITS.openIntentsMax,
      signAcks: this.#options.signAcks ?? false,
      clock,
      random,
      log,
    });
  }

  #askMoreLater(): void {
    setTimeout(() => {
      if (this.#state === "connected") this.#askCatchUp();
    }, LIMITS.catchUpEveryMs).unref();
  }

  #dispatch(message: Incoming): void {
    this.#route(message).catch((error: unknown) => {
      this.#log.error({ subject: message.subject, error: String(error) }, "node: a message was not handled");
      this.#listeners.emit("error", { error });
    });
  }

  async #route(message: Incoming): Promise<void> {
    const desk = this.#desk!;
    switch (message.subject.slice(message.subject.lastIndexOf(".") + 1)) {
      case "intent":
        return desk.onIntent(message);
      case "cancel":
        return desk.onCancelMessage(message);
      case "notice": {
        const notice = desk.onNoticeMessage(message);
        if (notice?.type === "caught_up" && notice.more) this.#askMoreLater();
        return;
      }
      case "keys":
        return this.#membership!.serviceKeys.changed();
      default: // a later version's message: ignored, as unknown fields are
        this.#log.debug({ subject: message.subject }, "node: a message of an unknown kind");
    }
  }

  #onLink(state: "connected" | "disconnected", detail?: string): void {
    if (state === "connected") this.#membership?.serviceKeys.changed(); // the word may have been missed
    if (this.#state !== "connected" && this.#state !== "disconnected") return;
    this.#enter(state, detail);
    if (state === "connected") this.#askCatchUp();
  }

  /** Core NATS keeps nothing for a node that is away: whatever it may still answer is sent once more. */
  #askCatchUp(): void {
    const { nodeId, link } = this.#membership!;
    if (this.#options.catchUp === false) return;
    const request: CatchUpRequest = { protocol: PROTOCOL, version: PROTOCOL_VERSION };
    link.publish(SUBJECTS.catchup(nodeId), canonicalize(request));
  }

  #enter(state: NodeState, detail?: string): void {
    this.#state = state;
    const nodeId = this.#membership?.nodeId;
    this.#log.info({ state, ...(detail === undefined ? {} : { detail }) }, "node: state");
    this.#listeners.emit("status", {
      state,
      ...(nodeId === undefined ? {} : { nodeId }),
      ...(detail === undefined ? {} : { detail }),
    });
  }
}
