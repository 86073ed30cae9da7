// subscribe(channel, cursor): the replay of what was missed, then live, with no hole and no double between them.
// The record is read page by page until the position is inside the ring; the rest of the ring and the joining of the live
// group happen in one tick. So the ring is the buffer of every replay at once, and a ring that ran on means another page.

import { isOutcryError, type Log, OutcryError } from "@outcry/protocol";
import { setTimeout as sleep } from "node:timers/promises";
import type { ChannelHub, Group, Member } from "./channel-hub.js";
import type { CursorCodec, Position } from "./cursor.js";
import type { SourceHead, SourceMessage } from "../log/event-source.js";
import type { Sink } from "./format.js";
import type { ResetReason } from "../log/live-log.js";
import type { Route } from "./policy.js";
import { readPage, type ReplayDeps } from "../log/replay.js";

export interface SubscribeDeps extends ReplayDeps {
  readonly hub: ChannelHub;
  readonly cursors: CursorCodec;
  readonly log: Log;
}

/** Where to begin: live only, behind a cursor, or with the first event there is. */
export type Want =
  | { readonly from: "head" }
  | { readonly from: "start" }
  | { readonly from: "cursor"; readonly cursor: string };

export interface Opened {
  readonly channel: string;
  /** What follows comes behind it: the head, or the position that the replay begins at. */
  readonly cursor: string;
  /** Only where something was asked for: true when everything behind the cursor follows. */
  readonly recovered?: boolean;
  readonly reason?: GapReason;
}

/** `ahead`: the cursor is beyond the stream's own head. */
export type GapReason = ResetReason | "ahead";

export type OpenOutcome =
  | ({ readonly kind: "opened" } & Opened)
  | { readonly kind: "refused"; readonly code: "cursor_invalid" }
  /** Closed by its owner meanwhile. */
  | { readonly kind: "closed" };

type Announce = (opened: Opened) => void;

export class Subscription implements Member {
  readonly sink: Sink;
  group: Group | undefined;
  /** Since when it has been catching up after having been live, by `performance.now()`. */
  behindSince: number | undefined;
  readonly #deps: SubscribeDeps;
  #route: Route | undefined;
  /** While not live: everything up to here is in the sink. */
  #position: Position = { seq: 0, time: 0 };
  #generation = 0;
  #owed: ResetReason | undefined;
  #toldSeq = 0;
  #closed = false;

  constructor(deps: SubscribeDeps, sink: Sink) {
    this.#deps = deps;
    this.sink = sink;
  }

  get live(): boolean {
    return this.group !== undefined;
  }

  /** `announce` runs once, before the first event. Rejects with a temporary error while the record cannot be read. */
  async open(route: Route, want: Want, announce: Announce): Promise<OpenOutcome> {
    this.#route = route;
    let outcome: OpenOutcome = { kind: "closed" };
    const tell = (cursor: Position, gap?: { recovered: boolean; reason?: GapReason }): void => {
      const opened = { channel: route.channel, cursor: this.#deps.hub.cursor(route, cursor), ...gap };
      outcome = { kind: "opened", ...opened };
      announce(opened);
    };
    this.#generation = this.#deps.liveLog.generation;
    const begin = await this.#begin(route, want);
    if (this.#closed) return outcome;
    if (begin.kind === "refused") return begin;
    if (begin.kind === "head") this.#goLive(() => tell(this.#head, begin.gap));
    else await this.#replayFrom(begin.position, want, tell);
    return outcome;
  }

  close(): void {
    this.#closed = true;
    this.#deps.hub.leave(this);
  }

  fellBehind(seq: number, owed?: ResetReason): void {
    this.#owed = owed ?? this.#owed;
    this.#position = { seq, time: 0 };
    this.#generation = this.#deps.liveLog.generation;
    this.behindSince ??= performance.now();
    void this.#catchUp();
  }

  /** Moves the cursor of a quiet channel to the head. */
  advance(): void {
    const head = this.#head;
    if (this.group === undefined || Math.max(this.#toldSeq, this.group.eventSeq) >= head.seq) return;
    if (this.sink.offer(this.#deps.hub.positionFrame(this.group, head))) this.#toldSeq = head.seq;
  }

  async #begin(route: Route, want: Want): Promise<Begin> {
    if (want.from === "head") return { kind: "head" };
    if (want.from === "start") return { kind: "position", position: { seq: 0, time: 0 } };
    const { cursors, hub, liveLog, limits } = this.#deps;
    const read = cursors.read(hub.scope(route), want.cursor);
    if (read.kind === "invalid") return { kind: "refused", code: "cursor_invalid" };
    if (read.kind === "other_epoch") {
      await this.#proveStream();
      return { kind: "head", gap: { recovered: false, reason: "epoch" } };
    }
    const { position } = read;
    if (position.seq <= liveLog.last) return { kind: "position", position };
    // Another process may be ahead of this one, but no process is ahead of the stream.
    const { lastSeq } = await this.#proveStream();
    if (!(await liveLog.reach(Math.min(position.seq, lastSeq), limits.aheadMs)))
      throw new OutcryError("dependency_unavailable", "this gateway is behind its stream");
    if (position.seq > lastSeq) return { kind: "head", gap: { recovered: false, reason: "ahead" } };
    return { kind: "position", position };
  }

  /**
   * Another process may know already that the stream was made anew. Until this one knows, its head is one of the lost stream: what it still
   * had of that would come twice to whoever went live there.
   */
  async #proveStream(): Promise<SourceHead> {
    const { liveLog, reads, source } = this.#deps;
    const { last } = liveLog;
    const head = await reads.run(() => source.head());
    if (head.epoch === liveLog.epoch && head.lastSeq >= last) return head;
    liveLog.check();
    throw new OutcryError("dependency_unavailable", "the stream is not the one that was heard");
  }

  /** The first page, or the ring, decides whether everything is there; only then is it announced. */
  async #replayFrom(
    position: Position,
    want: Want,
    tell: (cursor: Position, gap: { recovered: boolean; reason?: GapReason }) => void,
  ): Promise<void> {
    this.#position = position;
    let whole = true;
    for (;;) {
      if (this.#closed) return;
      const { liveLog } = this.#deps;
      if (this.#generation !== liveLog.generation)
        return this.#goLive(() => tell(this.#head, { recovered: false, reason: "epoch" }));
      const announceStart = () =>
        tell(this.#position, whole ? { recovered: true } : { recovered: false, reason: "trimmed" });
      if (this.#position.seq >= liveLog.ring.floor) {
        announceStart();
        if (!this.#handOver()) void this.#catchUp();
        return;
      }
      const page = await this.#page();
      if (this.#closed || this.#generation !== liveLog.generation) continue;
      if (page.kind === "whole") {
        announceStart();
        this.#deliver(page.events, page.through);
        void this.#catchUp();
        return;
      }
      if (want.from !== "start") return this.#goLive(() => tell(this.#head, { recovered: false, reason: "trimmed" }));
      whole = false; // the beginning is gone: what is left of it is still what was asked for
      this.#position = { seq: (await this.#deps.source.head()).firstSeq - 1, time: 0 };
    }
  }

  /** Until live or closed. Never rejects: what cannot be read now is read later. */
  async #catchUp(): Promise<void> {
    while (!this.#closed) {
      try {
        if (!(await this.sink.ready()) || this.#closed || (await this.#step())) return;
      } catch (error) {
        if (!isOutcryError(error)) this.#deps.log.error({ error: String(error) }, "gateway: a replay failed");
        await sleep(this.#deps.limits.retryMs, undefined, { ref: false });
      }
    }
  }

  /** True when live. */
  async #step(): Promise<boolean> {
    const { liveLog } = this.#deps;
    if (this.#generation !== liveLog.generation) this.#owed ??= "epoch";
    if (this.#owed !== undefined) return this.#payReset(this.#owed);
    if (this.#position.seq >= liveLog.ring.floor) return this.#handOver();
    const page = await this.#page();
    if (this.#closed || this.#generation !== liveLog.generation) return false;
    if (page.kind === "trimmed") this.#owed = "trimmed";
    else this.#deliver(page.events, page.through);
    return false;
  }

  async #page() {
    return readPage(this.#deps, await this.#route!.replayFilter(), this.#position);
  }

  #deliver(events: readonly SourceMessage[], through: Position): void {
    for (const event of events) if (!this.#push(event)) return;
    this.#position = through;
  }

  #push(event: SourceMessage): boolean {
    const frame = this.#deps.hub.encode(this.#route!, this.sink.format, event);
    if (!this.sink.offer(frame)) return false;
    this.#position = { seq: event.seq, time: event.time };
    return true;
  }

  /** The rest of the ring and joining, in one tick. False when the queue was full before the end. */
  #handOver(): boolean {
    const { hub, liveLog } = this.#deps;
    for (const event of liveLog.ring.after(this.#position.seq)) {
      if (hub.concerns(this.#route!, event.subject) && !this.#push(event)) return false;
    }
    this.#goLive(() => undefined);
    this.#toldSeq = 0;
    // Told even where no event was missed: it says that the replay is over.
    if (this.sink.offer(hub.positionFrame(this.group!, this.#head))) this.#toldSeq = this.#head.seq;
    return true;
  }

  #payReset(reason: ResetReason): boolean {
    const { hub, liveLog } = this.#deps;
    const frame = this.sink.format.reset(this.#route!.channel, reason, hub.cursor(this.#route!, this.#head));
    if (!this.sink.offer(frame)) return false;
    this.#owed = undefined;
    this.#generation = liveLog.generation;
    this.#goLive(() => undefined);
    return true;
  }

  #goLive(tell: () => void): void {
    tell();
    this.#toldSeq = this.#head.seq;
    this.behindSince = undefined;
    this.#deps.hub.join(this.#route!, this);
  }

  get #head(): Position {
    const { last, lastTime } = this.#deps.liveLog;
    return { seq: last, time: lastTime };
  }
}

type Begin =
  | { readonly kind: "head"; readonly gap?: { recovered: false; reason: GapReason } }
  | { readonly kind: "position"; readonly position: Position }
  | { readonly kind: "refused"; readonly code: "cursor_invalid" };
