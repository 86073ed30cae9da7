// Timer `replay`: the next slice of a running replay, at its rate. A slice may be done again by another process after a crash:
// what a letter says behind it was done for this replay is counted, not done twice.

import { type KeptReplay, type ReplayState, statusOfFate } from "@outcry/delivery";
import type { TimerClaim, TimerContext } from "@outcry/jobs";
import { LIMITS, isOutcryError } from "@outcry/protocol";
import { type FoundLetter, type Letter, withFates } from "../dead-letters/find-letters.js";
import { type Hold, type LetterOutcome, stillHeld } from "./hold.js";
import { judgeLetters } from "./judge-letters.js";
import { chunksOf, lettersOf } from "./plan-replay.js";
import type { ReplayBook } from "./replay-book.js";
import { replayDeliveries, type ReplayDeliveryDeps } from "./replay-deliveries.js";
import { replayMessage, type ReplayMessageDeps } from "./replay-message.js";
import type { SliceProgress } from "./replay-state.js";

const SLICE_MS = 250; // of work: pauses and cancels are seen within this
const SKIPPED_MAX = 2_000; // letters that one slice looks at without sending any

export interface RunReplayDeps extends ReplayDeliveryDeps, ReplayMessageDeps {
  replays: ReplayBook;
}

export async function runReplay(
  deps: RunReplayDeps,
  claim: TimerClaim,
  { signal }: TimerContext,
): Promise<{ againAtMs: number } | undefined> {
  const kept = await deps.replays.get(claim.intentId);
  if (kept?.state.status !== "running") return undefined;
  const progress = await runSlice(deps, kept, { claim, signal });
  const { status } = await deps.replays.change(kept.state.id, { kind: "progress", progress });
  return status === "running" ? { againAtMs: progress.nextDueMs } : undefined;
}

async function runSlice(deps: RunReplayDeps, { state }: KeptReplay, hold: Hold): Promise<SliceProgress> {
  const startedMs = deps.clock.now();
  const wanted = Math.max(1, Math.round((state.rate_per_second * SLICE_MS) / 1_000));
  const slice: SliceProgress = {
    from: state.position,
    position: state.position,
    lookedAt: 0,
    sent: 0,
    handled: 0,
    failed: 0,
    skipped: {},
    nextDueMs: startedMs,
    done: true,
  };
  const range = { from: state.position + 1, through: state.through };
  for await (const chunk of chunksOf(lettersOf(deps, state.filter, range), wanted)) {
    const paced = paidFor(slice);
    if (paced >= wanted || slice.lookedAt >= SKIPPED_MAX || hold.signal.aborted) {
      slice.done = false;
      break;
    }
    const taken = chunk.slice(0, wanted - paced);
    await takeLetters(deps, state, taken, hold, slice);
    if (taken.length < chunk.length) {
      slice.done = false;
      break;
    }
  }
  if (slice.done) slice.position = Math.max(slice.position, state.through);
  // From when it was due, not from when it was done: being late by a little does not add up.
  const dueMs = Math.max(state.next_due_ms, startedMs - SLICE_MS);
  slice.nextDueMs = Math.max(deps.clock.now(), dueMs + (paidFor(slice) * 1_000) / state.rate_per_second);
  return slice;
}

const paidFor = ({ sent, handled, failed }: SliceProgress): number => sent + handled + failed;

/** In the stream's order: behind a crash everything up to `position` has been done, and nothing else is lost. */
async function takeLetters(
  deps: RunReplayDeps,
  state: ReplayState,
  letters: readonly Letter[],
  hold: Hold,
  slice: SliceProgress,
): Promise<void> {
  const found = await withFates(deps.backbone, letters, {});
  const fitting = found.filter((letter) => isDone(state, letter) !== undefined || fitsStatus(state, letter));
  const outcomes = await sendLetters(deps, state, fitting, hold);
  slice.lookedAt += fitting.length;
  for (const outcome of outcomes) {
    if (typeof outcome === "string") slice[outcome] += 1;
    else slice.skipped[outcome.skipped] = (slice.skipped[outcome.skipped] ?? 0) + 1;
  }
  slice.position = letters.at(-1)!.seq;
}

async function sendLetters(
  deps: RunReplayDeps,
  state: ReplayState,
  letters: readonly FoundLetter[],
  hold: Hold,
): Promise<LetterOutcome[]> {
  const outcomes = new Map<string, LetterOutcome>();
  const undone: FoundLetter[] = [];
  for (const letter of letters) {
    const done = isDone(state, letter);
    if (done === undefined) undone.push(letter);
    else outcomes.set(letter.id, done);
  }
  const verdicts = await judgeLetters(deps, undone);
  const valid = undone.filter((letter, at) => {
    if (verdicts[at] === undefined) return true;
    outcomes.set(letter.id, { skipped: verdicts[at] });
    return false;
  });
  const deliveries = valid.filter(({ content }) => content.kind === "delivery");
  for (const [id, outcome] of await replayDeliveries(deps, state.id, deliveries, hold)) outcomes.set(id, outcome);
  for (const letter of valid) {
    if (letter.content.kind !== "message") continue;
    stillHeld(hold, deps.clock.now());
    outcomes.set(letter.id, await replayMessage(deps, state.id, letter, hold));
  }
  return letters.map(({ id }) => outcomes.get(id)!);
}

/** What this replay did with the letter before, in a slice that was not counted. A handler that took its process along has failed. */
function isDone({ id }: ReplayState, { fate: { replayed }, content }: FoundLetter): LetterOutcome | undefined {
  if (replayed?.replay_id !== id) return undefined;
  if (replayed.outcome === "begun") return content.kind === "message" ? undefined : "sent";
  return replayed.outcome;
}

function fitsStatus({ filter }: ReplayState, { fate }: FoundLetter): boolean {
  return filter.status === undefined || statusOfFate(fate) === filter.status;
}

/** Its handler failed more often than a timer may: it stops, and says why. */
export async function failReplay(replays: ReplayBook, claim: TimerClaim, cause: unknown): Promise<void> {
  const reason = String(cause).slice(0, LIMITS.textCharsMax);
  await replays.change(claim.intentId, { kind: "fail", by: "service", reason }).catch((error: unknown) => {
    if (!isOutcryError(error, "replay_ended") && !isOutcryError(error, "replay_not_found")) throw error;
  });
}
