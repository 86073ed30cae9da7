// Where a subscription begins: at the head, behind a cursor, at the start, or some events or some time before the head. A cursor is proven
// against the stream before it is believed.

import { OutcryError } from "@outcry/protocol";
import type { GatewayLimits } from "../limits.js";
import type { EventSource, SourceMessage } from "../log/event-source.js";
import type { LiveLog, ResetReason } from "../log/live-log.js";
import { eventsSince, type LookedFor, newestEvents } from "../log/look-back.js";
import type { ReplayPages } from "../log/replay.js";
import type { ChannelHub } from "./channel-hub.js";
import type { ChannelIndex } from "./channel-index.js";
import type { Position } from "./cursor.js";
import type { Reader } from "./replay-parts.js";
import type { Wanted } from "./wanted.js";

export interface BeginningDeps {
  readonly source: EventSource;
  readonly liveLog: LiveLog;
  readonly hub: ChannelHub;
  readonly index: ChannelIndex;
  readonly pages: ReplayPages;
  readonly limits: GatewayLimits;
}

/** `ahead`: the cursor is beyond the stream's own head. */
export type GapReason = ResetReason | "ahead";

export type Beginning =
  | { readonly kind: "head"; readonly gap?: { recovered: false; reason: GapReason } }
  /** `goesOn`: what is left of it follows where the beginning is gone. */
  | { readonly kind: "position"; readonly position: Position; readonly goesOn: boolean; readonly whole?: boolean }
  | { readonly kind: "refused"; readonly code: "cursor_invalid" };

/** Rejects with a temporary error while the record cannot be read, or this process is behind it. */
export async function findBeginning(deps: BeginningDeps, reader: Reader, wanted: Wanted): Promise<Beginning> {
  const { cursor, from, rewind, mode } = wanted;
  const behind = cursor === undefined ? undefined : await behindCursor(deps, reader, cursor);
  if (behind !== undefined && behind.kind !== "position") return behind;
  if (mode === "latest") {
    const latest = await latestPosition(deps, reader);
    const position = behind !== undefined && latest.seq < behind.position.seq ? behind.position : latest;
    return { kind: "position", position, goesOn: true };
  }
  if (behind !== undefined) return behind;
  if (from === "start") return { kind: "position", position: { seq: 0, time: 0 }, goesOn: true };
  if (rewind === undefined) return { kind: "head" };
  const found = await deps.pages.run(async () =>
    "count" in rewind
      ? newestEvents(deps, await lookedFor(deps, reader), rewind.count)
      : eventsSince(deps, Math.max(0, deps.liveLog.lastTime - rewind.ms)),
  );
  return { kind: "position", ...found, goesOn: true };
}

/** Behind which the newest event alone follows. */
export async function latestPosition(deps: BeginningDeps, reader: Reader): Promise<Position> {
  const wanted = await lookedFor(deps, reader);
  return (await deps.pages.run(() => newestEvents(deps, wanted, 1))).position;
}

async function lookedFor({ hub, index, liveLog }: BeginningDeps, { route, filter }: Reader): Promise<LookedFor> {
  const counts = (event: SourceMessage): boolean => filter.passes(() => hub.render(route, event).type);
  return { filter: await route.replayFilter(), inRing: () => index.after(route.key, liveLog.ring.floor), counts };
}

async function behindCursor(deps: BeginningDeps, { route, format }: Reader, cursor: string): Promise<Beginning> {
  const { hub, liveLog, pages, source, limits } = deps;
  const read = hub.cursorsOf(format).read(hub.scope(route), cursor);
  if (read.kind === "invalid") return { kind: "refused", code: "cursor_invalid" };
  if (read.kind === "other_epoch") {
    await proveStream(deps);
    return { kind: "head", gap: { recovered: false, reason: "epoch" } };
  }
  const { position } = read;
  if (position.seq <= liveLog.last) return { kind: "position", position, goesOn: false };
  await proveStream(deps);
  // Another process may be ahead of this one, but no process is ahead of the stream.
  const newest = await pages.run(() => source.newestSeq());
  if (!(await liveLog.reach(Math.min(position.seq, newest), limits.aheadMs)))
    throw new OutcryError("dependency_unavailable", "this gateway is behind its stream");
  if (position.seq > newest) return { kind: "head", gap: { recovered: false, reason: "ahead" } };
  return { kind: "position", position, goesOn: false };
}

/**
 * Another process may know already that the stream was made anew. Until this one knows, its head is one of the lost stream: what it still
 * had of that would come twice to whoever went live there.
 */
async function proveStream({ liveLog, pages, source }: BeginningDeps): Promise<void> {
  const { last } = liveLog;
  const head = await pages.run(() => source.head());
  if (head.epoch === liveLog.epoch && head.lastSeq >= last) return;
  liveLog.check();
  throw new OutcryError("dependency_unavailable", "the stream is not the one that was heard");
}
