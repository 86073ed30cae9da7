// What one principal has subscribed to on one sink: the verbs subscribe, resume and unsubscribe, whatever the wire protocol.

import { type ErrorCode, isOutcryError } from "@outcry/protocol";
import type { Sink } from "./format.js";
import type { GatewayObserver } from "../observer.js";
import type { Policy, Principal, Route } from "./policy.js";
import { type Opened, type SubscribeDeps, Subscription } from "./subscribe.js";
import type { Wanted } from "./wanted.js";

export interface SessionDeps extends SubscribeDeps {
  readonly policy: Policy;
  readonly observer: Pick<GatewayObserver, "resumed"> | undefined;
}

export type SubscribeResult =
  | ({ readonly kind: "subscribed" } & Opened)
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly detail?: string }
  /** Replaced or ended before it was open. */
  | { readonly kind: "closed" };

export interface SubscribeOptions extends Omit<Wanted, "cursor"> {
  /** Runs before the first event is in the sink. */
  readonly announce?: (opened: Opened) => void;
}

export class Session {
  principal: Principal;
  readonly #deps: SessionDeps;
  readonly #sink: Sink;
  readonly #subscriptions = new Map<string, Subscription>();

  constructor(deps: SessionDeps, principal: Principal, sink: Sink) {
    this.#deps = deps;
    this.principal = principal;
    this.#sink = sink;
  }

  get channels(): string[] {
    return [...this.#subscriptions.keys()];
  }

  /** Checks permission, replays what came after the cursor, goes live. On a channel that is open already it begins anew. */
  async subscribe(channel: string, cursor?: string, options: SubscribeOptions = {}): Promise<SubscribeResult> {
    const { announce, ...wanted } = options;
    const before = this.#subscriptions.get(channel);
    const { subscriptionsMax, channelCharsMax } = this.#deps.limits;
    if (before === undefined && this.#subscriptions.size >= subscriptionsMax)
      return { kind: "refused", code: "subscription_limit" };
    if (channel.length > channelCharsMax) return { kind: "refused", code: "channel_invalid" };
    before?.close();
    const subscription = new Subscription(
      this.#deps,
      this.#sink,
      cursor === undefined ? wanted : { ...wanted, cursor },
    );
    this.#subscriptions.set(channel, subscription);
    const result = await this.#open(subscription, channel, announce);
    if (result.kind === "refused" && this.#subscriptions.get(channel) === subscription) this.unsubscribe(channel);
    return result;
  }

  /** Replays what came after the cursor, or says `recovered: false` and why; then live. */
  resume(channel: string, cursor: string, options: Pick<SubscribeOptions, "announce"> = {}): Promise<SubscribeResult> {
    return this.subscribe(channel, cursor, options);
  }

  /** False when it was not subscribed. */
  unsubscribe(channel: string): boolean {
    this.#subscriptions.get(channel)?.close();
    return this.#subscriptions.delete(channel);
  }

  /** Moves the cursors of quiet channels to the head. */
  advance(): void {
    for (const subscription of this.#subscriptions.values()) subscription.advance();
  }

  /** True when a subscription has been catching up for longer than allowed. */
  lagsSince(time: number): boolean {
    for (const { behindSince } of this.#subscriptions.values())
      if (behindSince !== undefined && behindSince < time) return true;
    return false;
  }

  /** Takes a renewed token's rights; what they no longer cover ends. */
  async renew(principal: Principal): Promise<void> {
    this.principal = principal;
    for (const channel of this.channels) {
      const routed = await this.#deps.policy.route(principal, channel);
      if (routed.kind === "ok" || !this.unsubscribe(channel)) continue;
      this.#sink.offer(this.#sink.format.ended(channel, routed.code));
    }
  }

  close(): void {
    for (const subscription of this.#subscriptions.values()) subscription.close();
    this.#subscriptions.clear();
  }

  async #open(
    subscription: Subscription,
    channel: string,
    announce: SubscribeOptions["announce"],
  ): Promise<SubscribeResult> {
    try {
      const routed = await this.#deps.policy.route(this.principal, channel);
      if (routed.kind === "refused") return routed;
      const outcome = await subscription.open(routed.route satisfies Route, (opened) => announce?.(opened));
      if (outcome.kind === "opened" && outcome.recovered !== undefined) this.#deps.observer?.resumed(outcome.recovered);
      return outcome.kind === "opened" ? { ...outcome, kind: "subscribed" } : outcome;
    } catch (error) {
      if (isOutcryError(error) && error.temporary) return { kind: "refused", code: error.code, detail: error.detail };
      this.#deps.log.error({ channel, error: String(error) }, "gateway: a subscription could not be opened");
      return { kind: "refused", code: "internal" };
    }
  }
}
