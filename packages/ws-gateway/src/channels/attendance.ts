// What one connection sees and shows of presence, and the hints that it gives, channel by channel.

import type { ErrorCode, JsonValue } from "@outcry/protocol";
import { Allowance } from "../transport/allowance.js";
import type { GatewayLimits } from "../limits.js";
import type { Hints } from "../presence/hints.js";
import type { Presence, Tracked } from "../presence/presence.js";
import type { PresenceShown } from "../presence/presence-shown.js";
import type { Sink } from "./format.js";
import type { Route } from "./policy.js";

export interface AttendanceDeps {
  readonly presence: Presence;
  readonly hints: Hints;
  readonly limits: GatewayLimits;
}

export interface Refused {
  readonly kind: "refused";
  readonly code: ErrorCode;
  readonly detail: string;
}

export type Attended = { readonly kind: "ok" } | Refused;

const OK: Attended = { kind: "ok" };
const refused = (code: ErrorCode, detail: string): Refused => ({ kind: "refused", code, detail });
const NOT_SHOWN = refused("permission_denied", "presence is not shown to you here");
export const NOT_SUBSCRIBED = refused("frame_invalid", "not subscribed to this channel");

interface Place {
  member: string | undefined;
  unwatch?: () => void;
  tracked?: Tracked;
}

export class Attendance {
  readonly #deps: AttendanceDeps;
  readonly #sink: Sink;
  /** By channel; only where something is seen or shown. */
  readonly #places = new Map<string, Place>();
  readonly #hints: Allowance;

  constructor(deps: AttendanceDeps, sink: Sink) {
    this.#deps = deps;
    this.#sink = sink;
    this.#hints = new Allowance(deps.limits.hintsPerSecond, deps.limits.hintsPerSecond);
  }

  /** Shows everyone who is there, and changes from then on. */
  watch(route: Route): Attended {
    if (route.seesPresence !== true) return NOT_SHOWN;
    const place = this.#placeOf(route);
    place.unwatch?.();
    place.unwatch = this.#deps.presence.views.watch(route.key, route.channel, this.#sink);
    return OK;
  }

  /** To be there, or to say something else of itself. */
  track(route: Route, info: string): Attended {
    const { key, member } = route;
    if (member === undefined) return refused("permission_denied", "you cannot be present here");
    const place = this.#placeOf(route);
    if (place.tracked === undefined) place.tracked = this.#deps.presence.track(key, member, this.#sink.id, info);
    else place.tracked.update(info);
    return OK;
  }

  untrack({ channel }: Pick<Route, "channel">): void {
    const place = this.#places.get(channel);
    place?.tracked?.leave();
    delete place?.tracked;
  }

  /** Everyone who is there, once. */
  look(route: Route): PresenceShown | Refused {
    return route.seesPresence === true ? this.#deps.presence.views.look(route.key) : NOT_SHOWN;
  }

  hint({ key, member }: Route, kind: string, data: JsonValue): Attended {
    if (member === undefined) return refused("permission_denied", "you cannot give hints here");
    if (!this.#hints.take()) return refused("rate_limited", `${this.#deps.limits.hintsPerSecond} hints a second`);
    this.#deps.hints.send(key, { from: member, kind, data }, this.#sink.id);
    return OK;
  }

  /** What today's rights no longer cover ends. */
  renew(route: Route): void {
    const place = this.#places.get(route.channel);
    if (place === undefined) return;
    if (route.member !== place.member) this.untrack(route);
    if (route.seesPresence !== true) this.#unwatch(route.channel);
    place.member = route.member;
  }

  /** The subscription is over. */
  leave(channel: string): void {
    this.#unwatch(channel);
    this.untrack({ channel });
    this.#places.delete(channel);
  }

  /** The connection is gone: its members linger. */
  end(): void {
    for (const { unwatch, tracked } of this.#places.values()) {
      unwatch?.();
      tracked?.leaveLater();
    }
    this.#places.clear();
  }

  #placeOf({ channel, member }: Route): Place {
    const place = this.#places.get(channel) ?? { member };
    this.#places.set(channel, place);
    return place;
  }

  #unwatch(channel: string): void {
    const place = this.#places.get(channel);
    place?.unwatch?.();
    delete place?.unwatch;
  }
}
