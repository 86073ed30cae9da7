// What one principal has subscribed to on one sink: the verbs subscribe, resume and unsubscribe, whatever the wire protocol.

import { type ErrorCode, isOutcryError, type JsonValue, type Log, type SubscriptionView } from "@outcry/protocol";
import type { PresenceShown } from "../presence/presence-shown.js";
import { Attendance, type AttendanceDeps, type Attended, NOT_SUBSCRIBED, type Refused } from "./attendance.js";
import { type ChannelCommand, type CommandReply, isCommandName } from "./command.js";
import type { Sink } from "./format.js";
import type { GatewayObserver } from "../observer.js";
import type { Policy, Principal, Route } from "./policy.js";
import { type Announce, type Opened, type SubscribeDeps, Subscription } from "./subscribe.js";
import { NOTHING_MORE, type Wanted } from "./wanted.js";

const NOBODY = (): void => undefined;

export interface SessionDeps extends SubscribeDeps, AttendanceDeps {
  readonly policy: Policy;
  readonly observer: Pick<GatewayObserver, "resumed"> | undefined;
}

export type SubscribeResult =
  | ({ readonly kind: "subscribed" } & Opened)
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly detail?: string }
  /** Replaced or ended before it was open. */
  | { readonly kind: "closed" };

export class Session {
  principal: Principal;
  readonly #deps: SessionDeps;
  readonly #sink: Sink;
  /** Most connections have one or a few, for which a Map is a waste. */
  readonly #subscriptions: Subscription[] = [];
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
    return this.#subscriptions.map(({ channel }) => channel);
  }

  /** For operators. */
  inspect(): SubscriptionView[] {
    return this.#subscriptions.map(({ channel, progress }) => ({ channel, ...progress }));
  }

  /** Checks permission, replays what came after the cursor, goes live. On a channel that is open already it begins anew. */
  async subscribe(
    channel: string,
    wanted: Wanted = NOTHING_MORE,
    announce: Announce = NOBODY,
  ): Promise<SubscribeResult> {
    const { subscriptionsMax, channelCharsMax } = this.#deps.limits;
    const before = this.#find(channel);
    if (before === undefined && this.#subscriptions.length >= subscriptionsMax)
      return { kind: "refused", code: "subscription_limit" };
    if (channel.length > channelCharsMax) return { kind: "refused", code: "channel_invalid" };
    this.#remove(before);
    const subscription = new Subscription(this.#deps, this.#sink, channel, wanted);
    this.#subscriptions.push(subscription);
    const result = await this.#open(subscription, channel, wanted, announce);
    if (result.kind === "refused" && this.#subscriptions.includes(subscription)) this.unsubscribe(channel);
    return result;
  }

  /** Replays what came after the cursor, or says `recovered: false` and why; then live. */
  resume(channel: string, cursor: string, announce?: Announce): Promise<SubscribeResult> {
    return this.subscribe(channel, { cursor }, announce);
  }

  /** False when it was not subscribed. */
  unsubscribe(channel: string): boolean {
    this.#attendance?.leave(channel);
    return this.#remove(this.#find(channel));
  }

  /** Moves the cursors of quiet channels to the head. */
  advance(): void {
    for (const subscription of this.#subscriptions.slice())
      if (subscription.isAging) this.#askAgain(subscription);
      else subscription.advance();
  }

  /** True when a subscription has been catching up for longer than allowed. */
  lagsSince(time: number): boolean {
    for (const { behindSince } of this.#subscriptions) if (behindSince !== undefined && behindSince < time) return true;
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
    const route = this.#find(channel)?.route;
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
    for (const subscription of this.#subscriptions.splice(0)) subscription.close();
  }

  /** Whoever was there stays there: it is back in a moment. */
  #askAgain(subscription: Subscription): void {
    const { askAgain } = this.#sink.format;
    if (askAgain !== undefined && this.#sink.offer(askAgain(subscription.channel))) this.#remove(subscription);
  }

  #find(channel: string): Subscription | undefined {
    return this.#subscriptions.find((subscription) => subscription.channel === channel);
  }

  #remove(subscription: Subscription | undefined): boolean {
    if (subscription === undefined) return false;
    subscription.close();
    this.#subscriptions.splice(this.#subscriptions.indexOf(subscription), 1);
    return true;
  }

  async #open(
    subscription: Subscription,
    channel: string,
    wanted: Wanted,
    announce: Announce,
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
      const outcome = await subscription.open(route, wanted, announce);
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
    this.#find(route.channel)?.takeRights(route);
    this.#attendance?.renew(route);
  }

  #attend<T>(channel: string, what: (attendance: Attendance, route: Route) => T): T | Refused {
    const route = this.#find(channel)?.route;
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
