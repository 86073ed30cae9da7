// A message that failed at every delivery, set aside with its payload and cause, so that the ones behind it go on.

import type { Appender, Backbone, Stored } from "@outcry/backbone";
import { type Clock, SUBJECTS, digestOf, toRfc3339 } from "@outcry/protocol";
import { encodeFollowUp, readFates } from "./letters.js";

const VERSION_CHARS_MAX = 32; // a date; it becomes a group of the list

export interface DeadMessage {
  kind: "message";
  cause: string;
  attempts: number;
  digest: string;
  /** Of the protocol, as the message itself says. */
  version?: string;
  time: string;
  source: { stream: string; sequence: number; subject: string };
  /** base64 */
  payload: string;
}

export interface AsideDeps {
  backbone: Backbone;
  deadLetters: Appender;
  clock: Clock;
}

export async function setMessageAside(
  deps: AsideDeps,
  stored: Pick<Stored, "stream" | "subject" | "seq" | "data">,
  attempts: number,
  cause: unknown,
): Promise<void> {
  const letter: DeadMessage = {
    kind: "message",
    cause: causeText(cause),
    attempts,
    digest: digestOf(stored.data),
    ...versionOf(stored.data),
    time: toRfc3339(deps.clock.now()),
    source: { stream: stored.stream, sequence: stored.seq, subject: stored.subject },
    payload: Buffer.from(stored.data).toString("base64"),
  };
  const id = SUBJECTS.deadMessage(stored.stream, stored.seq);
  const data = Buffer.from(JSON.stringify(letter));
  const written = await deps.deadLetters.append({ subject: id, data, expectFirst: true });
  if (written.kind === "exists") await noteFailedAgain(deps, id, letter);
}

/** A letter that a replay has handed over again, and that is back: its letter is open again. */
async function noteFailedAgain(deps: AsideDeps, id: string, { cause, time }: DeadMessage): Promise<void> {
  const { replayed, replayedSeq } = (await readFates(deps.backbone, [id])).get(id)!;
  if (replayed?.outcome !== "sent") return; // the same verdict, told twice
  await deps.deadLetters.append({
    subject: SUBJECTS.letterFollowUp(id, "replayed"),
    data: encodeFollowUp({ ...replayed, outcome: "failed", cause, time }),
    expectLast: { seq: replayedSeq },
  });
}

export const causeText = (cause: unknown): string =>
  cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);

/** Of an envelope, or of the one inside an intent's record. What cannot be read names none. */
function versionOf(data: Uint8Array): { version?: string } {
  try {
    const outer = JSON.parse(Buffer.from(data).toString()) as { envelope?: string; version?: unknown };
    const { version } = outer.envelope === undefined ? outer : (JSON.parse(outer.envelope) as { version?: unknown });
    return typeof version === "string" ? { version: version.slice(0, VERSION_CHARS_MAX) } : {};
  } catch {
    return {};
  }
}
