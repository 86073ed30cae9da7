// A replay of dead letters as DEAD_LETTERS holds it: each change is a message with the whole state on the replay's own subject.
// The last message is the state, the ones before it are its history (DESIGN "Deals are subjects").

import { type Backbone, readLast, subjectsOf } from "@outcry/backbone";
import { type ReplayStatus, type ReplayView, STREAMS, SUBJECTS } from "@outcry/protocol";

export interface ReplayState {
  record_version: 1;
  id: string;
  status: ReplayStatus;
  filter: ReplayView["filter"];
  rate_per_second: number;
  /** What was found when it was asked for. */
  matched: number;
  valid: number;
  invalid: Record<string, number>;
  complete: boolean;
  /** Letters up to here were looked at; a sequence of DEAD_LETTERS. */
  position: number;
  /** Letters behind here are not of this replay. */
  through: number;
  progress: Omit<ReplayView["progress"], "recovered"> & { handled: number };
  /** When the next letters are due. */
  next_due_ms: number;
  /** How long it has been running, without pauses, up to `running_since_ms`. */
  ran_ms: number;
  running_since_ms?: number;
  created: string;
  changed: string;
  audit: ReplayView["audit"];
}

export interface KeptReplay {
  state: ReplayState;
  /** Of its last message: the next change expects it. */
  seq: number;
}

/** All that DEAD_LETTERS still holds, oldest change first; each with its last state. */
export async function readReplays(backbone: Backbone): Promise<KeptReplay[]> {
  const subjects = await subjectsOf(backbone, STREAMS.deadLetters, SUBJECTS.allReplays);
  const found = await readLast(backbone, STREAMS.deadLetters, subjects);
  return found.map(({ data, seq }) => ({ state: JSON.parse(Buffer.from(data).toString()) as ReplayState, seq }));
}
