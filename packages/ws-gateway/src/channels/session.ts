// What one principal has subscribed to on one sink: the verbs subscribe, resume and unsubscribe, whatever the wire protocol.

import { type ErrorCode, isOutcryError, type JsonValue, type Log, type SubscriptionView } from "@outcry/protocol";
import type { PresenceShown } from "../presence/presence-shown.js";
import { Attendance, type AttendanceDeps, type Attended, NOT_SUBSCRIBED, type Refused } from "./attendance.js";
import { type ChannelCommand, type CommandReply, isCommandName } from "./command.js";
import type { Sink } from "./format.js";
import type { GatewayObserver } from "../observer.js";
import type { Policy, Principal, Route } from "./policy.js";
import { type Opened, type SubscribeDeps, Subscription } from "./subscribe.js";
import type { Wanted } from "./wanted.js";

export interface SessionDeps extends SubscribeDeps, AttendanceDeps {
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
  /** Made when it is first needed: most connections only read. */
  #attendance: Attendance | undefined;
  /** That wait for their answer. */
  #commands = 0;

  constructor(deps: SessionDeps, principal: Principal, sink: Sink) {
    this.#deps = deps;
    this.principal = principal;
    this.#sink = sink;
  }

  get channels(): string[] {
    return [...this.#subscriptions.keys()];
  }

  /** For operators. */
  inspect(): SubscriptionView[] {
    return [...this.#subscriptions].map(([channel, subscription]) => ({ channel, ...subscription.progress }));
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
    const result = await this.#open(subscription, channel, announce, wanted);
    if (result.kind === "refused" && this.#subscriptions.get(channel) === subscription) this.unsubscribe(channel);
    return result;
  }

  /** Replays what came after the cursor, or says `recovered: false` and why; then live. */
  resume(channel: string, cursor: string, options: Pick<SubscribeOptions, "announce"> = {}): Promise<SubscribeResult> {
    return this.subscribe(channel, cursor, options);
  }

  /** False when it was not subscribed. */
  unsubscribe(channel: string): boolean {
    this.#attendance?.leave(channel);
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
      if (routed.kind === "ok") this.#takeRights(routed.route);
      else if (this.unsubscribe(channel)) this.#sink.offer(this.#sink.format.ended(channel, routed.code));
    }
  }

  /** To be there, or to say something else of itself. */
  track(channel: string, info: string): Attended {
    return this.#attend(channel, (attendance, route) => attendance.track(route, info));
  }

  untrack(channel: string): Attended {
    return this.#attend(channel, (attendance, route) => {
      attendance.untrack(route);
      return { kind: "ok" };
    });
  }

  /** Who is there, once. */
  look(channel: string): PresenceShown | Refused {
    return this.#attend(channel, (attendance, route) => attendance.look(route));
  }

  /** Tells the others for some seconds. */
  hint(channel: string, kind: string, data: JsonValue): Attended {
    return this.#attend(channel, (attendance, route) => attendance.hint(route, kind, data));
  }

  /** What the service behind the channel's kind answers. */
  async command(channel: string, command: ChannelCommand): Promise<CommandReply> {
    const { policy, limits } = this.#deps;
    const route = this.#subscriptions.get(channel)?.route;
    if (route === undefined) return NOT_SUBSCRIBED;
    if (policy.command === undefined || !isCommandName(command.name))
      return { kind: "refused", code: "frame_invalid", detail: "this channel takes no such command" };
    if (this.#commands >= limits.commandsInFlightMax)
      return {
        kind: "refused",
        code: "rate_limited",
        detail: `${limits.commandsInFlightMax} commands wait for answers`,
      };
    this.#commands++;
    try {
      return await policy.command(this.principal, route, command);
    } catch (error) {
      return refusalOf(error, this.#deps.log, "gateway: a command failed");
    } finally {
      this.#commands--;
    }
  }

  /** The connection is gone. */
  close(): void {
    this.#attendance?.end();
    for (const subscription of this.#subscriptions.values()) subscription.close();
    this.#subscriptions.clear();
  }

  async #open(
    subscription: Subscription,
    channel: string,
    announce: SubscribeOptions["announce"],
    wanted: Wanted,
  ): Promise<SubscribeResult> {
    try {
      const routed = await this.#deps.policy.route(this.principal, channel);
      if (routed.kind === "refused") return routed;
      const { route } = routed;
      if (
        (wanted.presence && route.seesPresence !== true) ||
        (wanted.track !== undefined && route.member === undefined)
      )
        return { kind: "refused", code: "permission_denied", detail: "presence is not open to you here" };
      const outcome = await subscription.open(route, (opened) => announce?.(opened));
      if (outcome.kind === "opened") this.#begin(route, wanted);
      if (outcome.kind === "opened" && outcome.recovered !== undefined) this.#deps.observer?.resumed(outcome.recovered);
      return outcome.kind === "opened" ? { ...outcome, kind: "subscribed" } : outcome;
    } catch (error) {
      return refusalOf(error, this.#deps.log, "gateway: a subscription could not be opened");
    }
  }

  /** Behind the reply, beside the first events. */
  #begin(route: Route, { presence, track }: Wanted): void {
    if (track !== undefined) this.#attendanceOf().track(route, track);
    if (presence === true) this.#attendanceOf().watch(route);
  }

  #takeRights(route: Route): void {
    this.#subscriptions.get(route.channel)?.takeRights(route);
    this.#attendance?.renew(route);
  }

  #attend<T>(channel: string, what: (attendance: Attendance, route: Route) => T): T | Refused {
    const route = this.#subscriptions.get(channel)?.route;
    return route === undefined ? NOT_SUBSCRIBED : what(this.#attendanceOf(), route);
  }

  #attendanceOf(): Attendance {
    return (this.#attendance ??= new Attendance(this.#deps, this.#sink));
  }
}

function refusalOf(error: unknown, log: Log, message: string) {
  if (isOutcryError(error) && error.temporary)
    return {
      kind: "refused",
      code: error.code,
      ...(error.detail === undefined ? {} : { detail: error.detail }),
    } as const;
  log.error({ error: String(error) }, message);
  return { kind: "refused", code: "internal" } as const;
}
