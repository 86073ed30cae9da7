// subscribe(channel, cursor): the replay of what was missed, then live, with no hole and no double between them.
// The record is read page by page until the position is inside the ring; the rest of the ring and the joining of the live
// group happen in one tick. So the ring is the buffer of every replay at once, and a ring that ran on means another page.

import { isOutcryError, type Log, type SubscriptionView } from "@outcry/protocol";
import { setTimeout as sleep } from "node:timers/promises";
import type { SourceMessage } from "../log/event-source.js";
import type { ResetReason } from "../log/live-log.js";
import type { ReplayPage } from "../log/replay.js";
import { type Beginning, type BeginningDeps, findBeginning, type GapReason, latestPosition } from "./beginning.js";
import type { Group, Member } from "./channel-hub.js";
import type { Position } from "./cursor.js";
import { EventFilter } from "./event-filter.js";
import type { Sink } from "./format.js";
import type { FrameTapes } from "./frame-tapes.js";
import type { Route } from "./policy.js";
import type { Reader, ReplayPart } from "./replay-parts.js";
import type { Wanted } from "./wanted.js";

export interface SubscribeDeps extends BeginningDeps {
  readonly tapes: FrameTapes;
  readonly log: Log;
}

export interface Opened {
  readonly channel: string;
  /** What follows comes behind it: the head, or the position that the replay begins at. */
  readonly cursor: string;
  /** Only where something was asked for: true when everything behind the cursor follows. */
  readonly recovered?: boolean;
  readonly reason?: GapReason;
}

export type OpenOutcome =
  | ({ readonly kind: "opened" } & Opened)
  | { readonly kind: "refused"; readonly code: "cursor_invalid" }
  /** Closed by its owner meanwhile. */
  | { readonly kind: "closed" };

/** Runs before the first event is in the sink. */
export type Announce = (opened: Opened) => void;
type Tell = (cursor: Position, gap?: { recovered: boolean; reason?: GapReason }) => void;

const BEGINNING: Position = { seq: 0, time: 0 };

export class Subscription implements Member {
  /** Its name. */
  channel: string;
  readonly sink: Sink;
  readonly filter: EventFilter;
  group: Group | undefined;
  /** Since when it has been catching up after having been live, by `performance.now()`. */
  behindSince: number | undefined;
  readonly #deps: SubscribeDeps;
  readonly #latestOnly: boolean;
  #route: Route | undefined;
  /** While not live: everything up to here is in the sink. */
  #position: Position = BEGINNING;
  #generation = 0;
  #owed: ResetReason | undefined;
  #toldSeq = 0;
  #opened = false;
  #closed = false;

  constructor(deps: SubscribeDeps, sink: Sink, channel: string, { mode, types }: Wanted) {
    this.#deps = deps;
    this.channel = channel;
    this.sink = sink;
    this.#latestOnly = mode === "latest";
    this.filter = EventFilter.of(types);
  }

  /** Undefined until it is known to be allowed. */
  get route(): Route | undefined {
    return this.#route;
  }

  /** Today's rights to the same channel. */
  takeRights({ member, seesPresence }: Route): void {
    if (this.#route !== undefined) this.#route = { ...this.#route, member, seesPresence };
  }

  get live(): boolean {
    return this.group !== undefined;
  }

  /** For operators. */
  get progress(): Omit<SubscriptionView, "channel"> {
    if (this.live) return { state: "live", position: this.#deps.liveLog.last };
    const behind =
      this.behindSince === undefined ? {} : { behind_ms: Math.round(performance.now() - this.behindSince) };
    return { state: this.#opened ? "catching_up" : "opening", position: this.#position.seq, ...behind };
  }

  /** `announce` runs once, before the first event. Rejects with a temporary error while the record cannot be read. */
  async open(route: Route, wanted: Wanted, announce: Announce): Promise<OpenOutcome> {
    this.#route = route;
    let outcome: OpenOutcome = { kind: "closed" };
    const tell: Tell = (cursor, gap) => {
      // The latest event is a state: there is nothing to be recovered before it.
      const recovery = this.#latestOnly ? undefined : gap;
      const opened = {
        channel: route.channel,
        cursor: this.#deps.hub.cursor(route, this.sink.format, cursor),
        ...recovery,
      };
      outcome = { kind: "opened", ...opened };
      this.#opened = true;
      announce(opened);
    };
    this.#generation = this.#deps.liveLog.generation;
    const begin = await findBeginning(this.#deps, this.#reader, wanted);
    if (this.#closed) return outcome;
    if (begin.kind === "refused") return begin;
    if (begin.kind === "head") this.#goLive(() => tell(this.#head, begin.gap));
    else await this.#replayFrom(begin, tell);
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
    if (this.group !== undefined && this.#lastTold(this.group) < this.#head.seq) this.#tellHead(this.group, this.#head);
  }

  /** The client's position will be trimmed some day, and it cannot be told a newer one: it is in the older half of what is kept. */
  get isAging(): boolean {
    const { firstSeq, last } = this.#deps.liveLog;
    if (this.group === undefined || this.sink.format.askAgain === undefined || firstSeq <= 1) return false;
    return this.#lastTold(this.group) < (firstSeq + last) / 2;
  }

  /** The first page, or the ring, decides whether everything is there; only then is it announced. */
  async #replayFrom({ position, goesOn, whole = true }: Beginning & { kind: "position" }, tell: Tell): Promise<void> {
    this.#position = position;
    let isWhole = whole;
    for (;;) {
      if (this.#closed) return;
      const { liveLog } = this.#deps;
      if (this.#generation !== liveLog.generation)
        return this.#goLive(() => tell(this.#head, { recovered: false, reason: "epoch" }));
      const announceStart = () =>
        tell(this.#position, isWhole ? { recovered: true } : { recovered: false, reason: "trimmed" });
      if (this.#position.seq >= liveLog.ring.floor) {
        if (!this.#deps.tapes.hasAfter(this.#position.seq, this.#reader)) this.#position = this.#head;
        announceStart();
        if (!this.#handOver()) void this.#catchUp();
        return;
      }
      const page = await this.#page();
      if (this.#closed || this.#generation !== liveLog.generation) continue;
      if (page.kind === "whole" && page.events.length === 0) {
        this.#position = page.through; // so that what was missed by nobody does not make the cursor old
        continue;
      }
      if (page.kind === "whole") {
        announceStart();
        this.#deliver(page.events, page.through);
        void this.#catchUp();
        return;
      }
      if (!goesOn) return this.#goLive(() => tell(this.#head, { recovered: false, reason: "trimmed" }));
      isWhole = false; // the beginning is gone: what is left of it is still what was asked for
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
    if (this.#latestOnly) await this.#passOver();
    if (this.#position.seq >= liveLog.ring.floor) return this.#handOver();
    const page = await this.#page();
    if (this.#closed || this.#generation !== liveLog.generation) return false;
    if (page.kind === "trimmed") this.#owed = "trimmed";
    else this.#deliver(page.events, page.through);
    return false;
  }

  /** All but the newest event of what was not taken in time. */
  async #passOver(): Promise<void> {
    const latest = await latestPosition(this.#deps, this.#reader);
    if (latest.seq > this.#position.seq) this.#position = latest;
  }

  async #page(): Promise<ReplayPage> {
    return this.#deps.pages.page(await this.#route!.replayFilter(), this.#position);
  }

  get #reader(): Reader {
    return { route: this.#route!, format: this.sink.format, filter: this.filter };
  }

  #deliver(events: readonly SourceMessage[], through: Position): void {
    if (this.#offerAll(this.#deps.hub.partsOf(events, this.#reader))) this.#position = through;
  }

  /** False when the queue was full before the end. */
  #offerAll(parts: Iterable<ReplayPart>): boolean {
    for (const { bytes, last } of parts) {
      if (bytes.length > 0 && !this.sink.offer(bytes)) return false;
      this.#position = { seq: last.seq, time: last.time };
    }
    return true;
  }

  /** The rest of the ring and joining, in one tick. False when the queue was full before the end. */
  #handOver(): boolean {
    if (!this.#offerAll(this.#deps.tapes.after(this.#position.seq, this.#reader))) return false;
    const { seq } = this.#position;
    this.#goLive(() => undefined);
    this.#toldSeq = seq;
    // Told even where no event was missed: it says that the replay is over.
    this.#tellHead(this.group!, this.#head);
    return true;
  }

  #lastTold({ eventSeq }: Group): number {
    return Math.max(this.#toldSeq, eventSeq);
  }

  #tellHead(group: Group, head: Position): void {
    const frame = this.#deps.hub.positionFrame(group, head);
    if (frame !== undefined && this.sink.offer(frame)) this.#toldSeq = head.seq;
  }

  #payReset(reason: ResetReason): boolean {
    const { hub, liveLog } = this.#deps;
    const frame = this.sink.format.reset(
      this.#route!.channel,
      reason,
      hub.cursor(this.#route!, this.sink.format, this.#head),
    );
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
    this.#position = BEGINNING;
    this.#route = this.#deps.hub.join(this.#route!, this);
    this.channel = this.#route.channel;
  }

  get #head(): Position {
    const { last, lastTime } = this.#deps.liveLog;
    return { seq: last, time: lastTime };
  }
}
