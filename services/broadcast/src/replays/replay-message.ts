// Hands a message that was set aside to its handler again. It is noted before and after: a handler that takes its process along is
// found there and counts as failed, so that no message can end process after process.

import { type Appender, getBySeq, type Stored } from "@outcry/backbone";
import { type DeadMessage, causeText, encodeFollowUp } from "@outcry/delivery";
import { isRebuildNeeded } from "@outcry/jobs";
import { type LetterReplay, SUBJECTS, isTemporary, toRfc3339 } from "@outcry/protocol";
import type { FoundLetter } from "../dead-letters/find-letters.js";
import type { Hold, LetterOutcome } from "./hold.js";
import type { JudgeDeps } from "./judge-letters.js";

const OUTAGE_POLL_MS = 200;

export interface ReplayMessageDeps extends JudgeDeps {
  deadLetters: Appender;
  /** Hands it to who handles messages of its kind. `sent`: it is on its way, and its outcome is told elsewhere. */
  handOver: (stored: Stored, replayId: string) => Promise<"handled" | "sent">;
  gate: (signal: AbortSignal) => Promise<void>;
}

export async function replayMessage(
  deps: ReplayMessageDeps,
  replayId: string,
  letter: FoundLetter,
  { signal }: Hold,
): Promise<LetterOutcome> {
  const { source } = letter.content as DeadMessage;
  const word = (outcome: LetterReplay["outcome"], cause?: string): LetterReplay => ({
    replay_id: replayId,
    time: toRfc3339(deps.clock.now()),
    outcome,
    ...(cause === undefined ? {} : { cause }),
  });
  const { replayed, replayedSeq } = letter.fate;
  if (replayed?.replay_id === replayId) {
    await note(deps, letter.id, replayedSeq, word("failed", "its process ended while it ran"));
    return "failed";
  }
  const stored = await getBySeq(deps.backbone, source.stream, source.sequence);
  if (stored === undefined) return { skipped: "message_gone" };
  const begunSeq = await note(deps, letter.id, replayedSeq, word("begun"));
  if (begunSeq === undefined) return { skipped: "in_another_replay" };
  const ended = await handled(deps, replayId, stored, signal);
  await note(deps, letter.id, begunSeq, word(ended.outcome, ended.cause));
  return ended.outcome;
}

type Ended = { outcome: "handled" | "sent" | "failed"; cause?: string };

/** Waits out an outage; any other failure is its outcome. */
async function handled(deps: ReplayMessageDeps, replayId: string, stored: Stored, signal: AbortSignal): Promise<Ended> {
  for (;;) {
    try {
      return { outcome: await deps.handOver(stored, replayId) };
    } catch (error) {
      if (!isTemporary(error) && !isRebuildNeeded(error)) return { outcome: "failed", cause: causeText(error) };
      if (signal.aborted) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, OUTAGE_POLL_MS));
    await deps.gate(signal);
  }
}

/** The sequence of the note; undefined when another one came first. */
async function note(
  { deadLetters }: ReplayMessageDeps,
  id: string,
  expectedSeq: number,
  word: LetterReplay,
): Promise<number | undefined> {
  const subject = SUBJECTS.letterFollowUp(id, "replayed");
  const written = await deadLetters.append({ subject, data: encodeFollowUp(word), expectLast: { seq: expectedSeq } });
  return written.kind === "appended" ? written.seq : undefined;
}
