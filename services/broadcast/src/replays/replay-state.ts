// What a command or a slice of work makes of a replay: pure. Every state carries all that a process needs to go on with it.

import type { ReplayState } from "@outcry/delivery";
import {
  type Clock,
  type ErrorCode,
  LIMITS,
  newId,
  type ReplayRequest,
  type ReplayStatus,
  type ReplayView,
  toRfc3339,
} from "@outcry/protocol";

export type ReplayVerb = "pause" | "resume" | "cancel";

export type ReplayCommand =
  | { kind: ReplayVerb; by: string; reason?: string }
  | { kind: "fail"; by: string; reason: string }
  | { kind: "progress"; progress: SliceProgress };

/** What one slice did. It counts only on the state that the slice began with. */
export interface SliceProgress {
  from: number;
  position: number;
  lookedAt: number;
  sent: number;
  handled: number;
  failed: number;
  skipped: Record<string, number>;
  nextDueMs: number;
  done: boolean;
}

export type ReplayChange =
  | { kind: "changed"; state: ReplayState }
  | { kind: "same" }
  | { kind: "refused"; code: ErrorCode };

/** Counts and range of the letters that a replay is about. */
export interface ReplayPlan extends Pick<ReplayView, "filter" | "matched" | "valid" | "invalid" | "complete"> {
  from: number;
  through: number;
}

export function newReplay(
  plan: ReplayPlan,
  { rate_per_second = LIMITS.replayRateDefault, reason }: Pick<ReplayRequest, "rate_per_second" | "reason">,
  by: string,
  clock: Clock,
): ReplayState {
  const { from, through, ...counts } = plan;
  const nowMs = clock.now();
  const time = toRfc3339(nowMs);
  return {
    record_version: 1,
    id: newId("rpl", clock),
    status: "running",
    ...counts,
    rate_per_second,
    position: from - 1,
    through,
    progress: { looked_at: 0, sent: 0, handled: 0, failed: 0, skipped: {} },
    next_due_ms: nowMs,
    ran_ms: 0,
    running_since_ms: nowMs,
    created: time,
    changed: time,
    audit: [{ time, action: "start", by, ...(reason === undefined ? {} : { reason }) }],
  };
}

const STATUS_OF = { pause: "paused", resume: "running", cancel: "cancelled", fail: "failed" } as const;
const ENDED: ReadonlySet<ReplayStatus> = new Set(["cancelled", "done", "failed"]);

export function changeReplay(state: ReplayState, command: ReplayCommand, nowMs: number): ReplayChange {
  if (command.kind === "progress") return foldProgress(state, command.progress, nowMs);
  const { kind, by, reason } = command;
  const status = STATUS_OF[kind];
  if (state.status === status) return { kind: "same" };
  if (ENDED.has(state.status)) return { kind: "refused", code: "replay_ended" };
  const entry = { time: toRfc3339(nowMs), action: kind, by, ...(reason === undefined ? {} : { reason }) };
  return { kind: "changed", state: moved({ ...state, audit: noted(state.audit, entry) }, status, nowMs) };
}

/** A slice that another process has done meanwhile has been counted there. */
function foldProgress(state: ReplayState, slice: SliceProgress, nowMs: number): ReplayChange {
  if (state.position !== slice.from) return { kind: "same" };
  const { progress } = state;
  const skipped = { ...progress.skipped };
  for (const [reason, count] of Object.entries(slice.skipped)) skipped[reason] = (skipped[reason] ?? 0) + count;
  const next: ReplayState = {
    ...state,
    position: slice.position,
    next_due_ms: slice.nextDueMs,
    changed: toRfc3339(nowMs),
    progress: {
      looked_at: progress.looked_at + slice.lookedAt,
      sent: progress.sent + slice.sent,
      handled: progress.handled + slice.handled,
      failed: progress.failed + slice.failed,
      skipped,
    },
  };
  if (!slice.done || ENDED.has(state.status)) return { kind: "changed", state: next };
  const entry = { time: next.changed, action: "done" as const, by: "service" };
  return { kind: "changed", state: moved({ ...next, audit: noted(next.audit, entry) }, "done", nowMs) };
}

/** The clock of its rate runs only while it is running. */
function moved(state: ReplayState, status: ReplayStatus, nowMs: number): ReplayState {
  const { running_since_ms, ...rest } = state;
  const ran_ms = state.ran_ms + (running_since_ms === undefined ? 0 : nowMs - running_since_ms);
  const running = status === "running" ? { running_since_ms: nowMs, next_due_ms: nowMs } : {};
  return { ...rest, status, ran_ms, changed: toRfc3339(nowMs), ...running };
}

/** The first stays: who started it. What falls out is still in the replay's earlier messages. */
const noted = (audit: ReplayView["audit"], entry: ReplayView["audit"][number]): ReplayView["audit"] =>
  audit.length < LIMITS.replayAuditMax ? [...audit, entry] : [audit[0]!, ...audit.slice(2), entry];
