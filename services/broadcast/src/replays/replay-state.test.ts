import { describe, expect, test } from "@jest/globals";
import { isId, LIMITS } from "@outcry/protocol";
import { changeReplay, newReplay, type ReplayCommand, type SliceProgress } from "./replay-state.js";

const START_MS = Date.parse("2026-11-20T12:00:00.000Z");
const plan = { filter: {}, matched: 4, valid: 3, invalid: { discarded: 1 }, complete: true, from: 11, through: 90 };
const started = () => newReplay(plan, { reason: "because" }, "key_1", { now: () => START_MS });

function after(...commands: [ReplayCommand, number][]) {
  let state = started();
  for (const [command, seconds] of commands) {
    const change = changeReplay(state, command, START_MS + seconds * 1_000);
    if (change.kind === "refused") return change.code;
    if (change.kind === "changed") state = change.state;
  }
  return state;
}
const stateAfter = (...commands: Parameters<typeof after>) => {
  const state = after(...commands);
  if (typeof state === "string") throw new Error(state);
  return state;
};
const command = (kind: "pause" | "resume" | "cancel"): ReplayCommand => ({ kind, by: "key_2" });
const slice = (from: number, fields: Partial<SliceProgress> = {}): ReplayCommand => ({
  kind: "progress",
  progress: {
    from,
    position: from + 10,
    lookedAt: 3,
    sent: 2,
    handled: 0,
    failed: 0,
    skipped: { intent_ended: 1 },
    nextDueMs: START_MS + 500,
    done: false,
    ...fields,
  },
});

describe("a replay", () => {
  test("starts in front of its first letter, with who asked and why", () => {
    const state = started();
    expect(isId("rpl", state.id)).toBe(true);
    expect(state).toMatchObject({ status: "running", position: 10, through: 90, matched: 4, valid: 3 });
    expect(state.rate_per_second).toBe(LIMITS.replayRateDefault);
    expect(state.audit).toEqual([
      { time: "2026-11-20T12:00:00.000Z", action: "start", by: "key_1", reason: "because" },
    ]);
  });

  test("adds up its slices", () => {
    const { progress, position } = stateAfter([slice(10), 1], [slice(20, { failed: 1 }), 2]);
    expect(position).toBe(30);
    expect(progress).toEqual({ looked_at: 6, sent: 4, handled: 0, failed: 1, skipped: { intent_ended: 2 } });
  });

  test("counts a slice once, whoever did it again", () => {
    expect(stateAfter([slice(10), 1], [slice(10), 2]).progress.sent).toBe(2);
  });

  test("counts what was sent while it was being paused, and stays paused", () => {
    const state = stateAfter([command("pause"), 1], [slice(10), 1]);
    expect([state.status, state.progress.sent]).toEqual(["paused", 2]);
  });

  test("is done with its last slice, also from a pause, but not when it was cancelled", () => {
    expect(stateAfter([slice(10, { done: true }), 1]).status).toBe("done");
    expect(stateAfter([command("pause"), 1], [slice(10, { done: true }), 1]).status).toBe("done");
    expect(stateAfter([command("cancel"), 1], [slice(10, { done: true }), 1]).status).toBe("cancelled");
  });

  test("measures only the time in which it ran", () => {
    const state = stateAfter([command("pause"), 4], [command("resume"), 100], [command("cancel"), 103]);
    expect(state.ran_ms).toBe(7_000);
    expect(state.running_since_ms).toBeUndefined();
  });

  test("takes a command twice as once, and none behind its end", () => {
    expect(stateAfter([command("pause"), 1], [command("pause"), 2]).audit).toHaveLength(2);
    expect(after([command("cancel"), 1], [command("resume"), 2])).toBe("replay_ended");
    expect(after([slice(10, { done: true }), 1], [command("cancel"), 2])).toBe("replay_ended");
    expect(after([{ kind: "fail", by: "service", reason: "x" }, 1], [command("pause"), 2])).toBe("replay_ended");
  });

  test("keeps its first and its latest entries of the audit", () => {
    const toggles = Array.from({ length: LIMITS.replayAuditMax }, (_, index): [ReplayCommand, number] => [
      command(index % 2 === 0 ? "pause" : "resume"),
      index,
    ]);
    const { audit } = stateAfter(...toggles, [command("cancel"), 1_000]);
    expect(audit).toHaveLength(LIMITS.replayAuditMax);
    expect([audit[0]!.action, audit.at(-1)!.action]).toEqual(["start", "cancel"]);
  });
});
