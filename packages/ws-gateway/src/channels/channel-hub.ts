// Live fan-out: which subscriptions hear an event, encoded once per group of those that see it alike.

import type { Log } from "@outcry/protocol";
import { type Cursors, type CursorScope, cursorScope, type Position } from "./cursor.js";
import type { SourceMessage } from "../log/event-source.js";
import { type EventFilter, UNREADABLE } from "./event-filter.js";
import type { Format, Sink } from "./format.js";
import { FrameCache, type Framed } from "./frame-cache.js";
import type { GatewayLimits } from "../limits.js";
import { type Reader, type ReplayPart, ReplayParts } from "./replay-parts.js";
import type { ResetReason } from "../log/live-log.js";
import type { Policy, RenderedEvent, Route } from "./policy.js";

const SCOPES_MAX = 10_000; // channels that are asked for again and again

/** A subscription that has everything up to the head. */
export interface Member {
  readonly sink: Sink;
  readonly filter: EventFilter;
  /** Set and cleared by the hub. */
  group: Group | undefined;
  /** Its queue is full: it has left its group, has everything up to `seq`, and is owed a reset if there was one. */
  fellBehind(seq: number, owed?: ResetReason): void;
}

/** Subscriptions that get the same bytes. */
export interface Group {
  readonly route: Route;
  readonly format: Format;
  readonly filter: EventFilter;
  readonly members: Set<Member>;
  readonly scope: CursorScope;
  /** Of the last event that the members got. */
  eventSeq: number;
  /** The frame that says how far a quiet channel has come, made once per head. */
  position: { readonly seq: number; readonly frame: Buffer | undefined } | undefined;
}

/** With the cursor that was written in it last: all who come to a quiet channel get the same one. */
interface KeptScope extends CursorScope {
  written?: { readonly seq: number; readonly time: number; readonly cursor: string };
}

export interface ChannelHubDeps {
  readonly cursors: Cursors;
  readonly render: Policy["render"];
  readonly keysOf: Policy["keysOf"];
  readonly log: Log;
  readonly limits: GatewayLimits;
}

export class ChannelHub {
  readonly counters = { encoded: 0, delivered: 0, behind: 0, unreadable: 0 };
  readonly #deps: ChannelHubDeps;
  readonly #byKey = new Map<string, Group[]>();
  readonly #frames: FrameCache;
  readonly #parts: ReplayParts;
  #epoch = "";
  readonly #scopes = new Map<string, KeptScope>();

  constructor(deps: ChannelHubDeps) {
    this.#deps = deps;
    this.#frames = new FrameCache(deps.limits);
    this.#parts = new ReplayParts(deps.limits, (route, format, events) => this.#framedPage(route, format, events));
  }

  get groups(): number {
    return this.#byKey.size;
  }

  /** Adds a member in the tick in which it is whole. Returns its route; members that may do the same have the same one. */
  join(route: Route, member: Member): Route {
    const group = this.#find(route, member) ?? this.#make(route, member);
    group.members.add(member);
    member.group = group;
    const { route: shared } = group;
    if (shared.member === route.member && shared.seesPresence === route.seesPresence) return shared;
    return { ...route, channel: shared.channel };
  }

  leave(member: Member): void {
    const { group } = member;
    member.group = undefined;
    if (group === undefined || !group.members.delete(member) || group.members.size > 0) return;
    const others = (this.#byKey.get(group.route.key) ?? []).filter((other) => other !== group);
    if (others.length === 0) this.#byKey.delete(group.route.key);
    else this.#byKey.set(group.route.key, others);
  }

  deliver(event: SourceMessage): void {
    if (this.#byKey.size === 0) return;
    let views: Map<string, RenderedEvent> | undefined;
    for (const key of this.#deps.keysOf(event.subject)) {
      const groups = this.#byKey.get(key);
      if (groups === undefined) continue;
      views ??= new Map();
      for (const group of groups) this.#deliverTo(group, event, views);
    }
  }

  /** What is no event of the stream, to everyone who is live but for the connection that it came from. */
  tell(key: string, frameOf: (format: Format, channel: string) => Buffer, client: string): void {
    const frames = new Map<Format, Map<string, Buffer>>();
    for (const { format, route, members } of this.#byKey.get(key) ?? []) {
      const named = frames.get(format) ?? new Map<string, Buffer>();
      const frame = named.get(route.channel) ?? frameOf(format, route.channel);
      frames.set(format, named.set(route.channel, frame));
      for (const { sink } of members) if (sink.id !== client) sink.offer(frame); // one that is full does without
    }
  }

  /** One event as subscribers of this route see it, made once for all of them, live or not. */
  framed(route: Route, format: Format, event: SourceMessage): Framed {
    const found = this.#frames.find(event, route, format);
    if (found !== undefined) return found;
    const rendered = this.render(route, event);
    const frame = this.#encode(route, format, event, rendered, this.scope(route));
    const framed = { type: rendered.type, frame };
    this.#frames.add(event, route, format, framed);
    return framed;
  }

  /** A page keeps its frames itself. */
  #framedPage(route: Route, format: Format, events: readonly SourceMessage[]): Framed[] {
    this.counters.encoded += events.length;
    const cursors = this.cursorsOf(format).writeAll(this.scope(route), events);
    return events.map((event, index) => {
      const rendered = this.render(route, event);
      return { type: rendered.type, frame: format.event(route.channel, cursors[index]!, rendered) };
    });
  }

  /** A page of the record as this reader gets it. */
  partsOf(events: readonly SourceMessage[], reader: Reader): readonly ReplayPart[] {
    return this.#parts.of(events, reader);
  }

  scope(route: Route): KeptScope {
    const known = this.#scopes.get(route.key);
    if (known !== undefined) return known;
    if (this.#scopes.size >= SCOPES_MAX) this.#scopes.clear(); // each is a digest away
    const scope: KeptScope = cursorScope(route.key, this.#epoch);
    this.#scopes.set(route.key, scope);
    return scope;
  }

  cursorsOf(format: Format): Cursors {
    return format.cursors ?? this.#deps.cursors;
  }

  cursor(route: Route, format: Format, position: Position): string {
    const scope = this.scope(route);
    if (format.cursors !== undefined) return format.cursors.write(scope, position);
    const { seq, time } = position;
    if (scope.written?.seq !== seq || scope.written.time !== time)
      scope.written = { seq, time, cursor: this.#deps.cursors.write(scope, position) };
    return scope.written.cursor;
  }

  positionFrame(group: Group, head: Position): Buffer | undefined {
    if (group.position?.seq !== head.seq) {
      const cursor = this.cursorsOf(group.format).write(group.scope, head);
      group.position = { seq: head.seq, frame: group.format.position(group.route.channel, cursor) };
    }
    return group.position.frame;
  }

  /** The epoch that cursors are bound to from now on. */
  bind(epoch: string): void {
    this.#epoch = epoch;
    this.#scopes.clear();
    this.#frames.clear();
    this.#parts.clear();
  }

  /** Tells every member that events were passed over. */
  resetAll(reason: ResetReason, head: Position): void {
    const before = [...this.#byKey.values()].flat();
    for (const old of before) {
      const members = [...old.members];
      for (const member of members) this.leave(member);
      const frame = old.format.reset(old.route.channel, reason, this.cursor(old.route, old.format, head));
      for (const member of members) {
        // A new group: the old one's cursors are bound to the lost epoch.
        if (member.sink.offer(frame)) this.join(old.route, member);
        else member.fellBehind(head.seq, reason);
      }
    }
  }

  /** An event that cannot be shown is said to be there: leaving it out would be a silent gap. */
  render({ view }: Route, { seq, data }: SourceMessage): RenderedEvent {
    try {
      return this.#deps.render(view, data);
    } catch (error) {
      this.counters.unreadable++;
      this.#deps.log.error({ seq, error: String(error) }, "gateway: an event cannot be rendered");
      return { type: UNREADABLE, json: "null" };
    }
  }

  #encode(route: Route, format: Format, event: SourceMessage, rendered: RenderedEvent, scope: CursorScope): Buffer {
    this.counters.encoded++;
    return format.event(route.channel, this.cursorsOf(format).write(scope, event), rendered);
  }

  #find(route: Route, { sink, filter }: Member): Group | undefined {
    const like = (group: Group) =>
      group.format === sink.format &&
      group.filter.key === filter.key &&
      group.route.view === route.view &&
      group.route.channel === route.channel;
    return this.#byKey.get(route.key)?.find(like);
  }

  #make(route: Route, { sink, filter }: Member): Group {
    const group: Group = {
      // A name that was cut out of a client's command would hold all of it, the token too.
      route: { ...route, channel: Buffer.from(route.channel).toString() },
      format: sink.format,
      filter,
      members: new Set(),
      scope: this.scope(route),
      eventSeq: 0,
      position: undefined,
    };
    this.#byKey.set(route.key, [...(this.#byKey.get(route.key) ?? []), group]);
    return group;
  }

  #deliverTo(group: Group, event: SourceMessage, views: Map<string, RenderedEvent>): void {
    let rendered = views.get(group.route.view);
    if (rendered === undefined) {
      rendered = this.render(group.route, event);
      views.set(group.route.view, rendered);
    }
    if (!group.filter.passes(() => rendered.type)) return;
    const frame = this.#encode(group.route, group.format, event, rendered, group.scope);
    this.#frames.add(event, group.route, group.format, { type: rendered.type, frame });
    group.eventSeq = event.seq;
    for (const member of group.members) {
      if (member.sink.offer(frame)) this.counters.delivered++;
      else {
        this.counters.behind++;
        this.leave(member);
        member.fellBehind(event.seq - 1);
      }
    }
  }
}
