// A replay as the API shows it: its state, and how many of its letters have recovered since, which the letters themselves say.

import { type Backbone, readAll } from "@outcry/backbone";
import type { ReplayState } from "@outcry/delivery";
import { type Clock, LIMITS, type Recovery, type ReplayView, STREAMS, toRfc3339 } from "@outcry/protocol";

const RECOVERED_SUBJECTS = "dead.*.*.recovered";

export interface ViewReplayDeps {
  backbone: Backbone;
  clock: Clock;
}

export async function viewReplays(deps: ViewReplayDeps, states: readonly ReplayState[]): Promise<ReplayView[]> {
  const recovered = await recoveredBy(deps.backbone, states);
  return states.map((state) => viewReplay(state, recovered.get(state.id) ?? 0, deps.clock.now()));
}

function viewReplay(state: ReplayState, recovered: number, nowMs: number): ReplayView {
  const { id, status, filter, matched, valid, invalid, complete, rate_per_second, created, changed, audit } = state;
  const { handled, ...progress } = state.progress;
  const sent = progress.sent + handled;
  const ranMs = state.ran_ms + (state.running_since_ms === undefined ? 0 : nowMs - state.running_since_ms);
  const left = Math.max(0, valid - sent - progress.failed);
  return {
    id,
    status,
    filter,
    matched,
    valid,
    invalid,
    complete,
    rate_per_second,
    progress: { ...progress, sent, recovered: recovered + handled },
    rate: ranMs === 0 ? 0 : Math.round((sent * 10_000) / ranMs) / 10,
    ...(status === "running" ? { eta: toRfc3339(nowMs + (left * 1_000) / rate_per_second) } : {}),
    created,
    changed,
    audit,
  };
}

/** Counted from the oldest of these replays on, over as many recoveries as one request may look at. */
async function recoveredBy(backbone: Backbone, states: readonly ReplayState[]): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  if (states.length === 0) return counts;
  const fromSeq = Math.min(...states.map(({ through }) => through)) + 1;
  let looked = 0;
  for await (const { data } of readAll(backbone, STREAMS.deadLetters, { fromSeq, filter: RECOVERED_SUBJECTS })) {
    const { replay_id } = JSON.parse(Buffer.from(data).toString()) as Recovery;
    if (replay_id !== undefined) counts.set(replay_id, (counts.get(replay_id) ?? 0) + 1);
    if (++looked >= LIMITS.deadLettersScannedMax) break;
  }
  return counts;
}
