// A message that failed at every delivery, set aside with its payload and cause, so that the ones behind it go on.

import type { Appender, Stored } from "@outcry/backbone";
import { type Clock, SUBJECTS, digestOf, toRfc3339 } from "@outcry/protocol";

export interface DeadMessage {
  kind: "message";
  cause: string;
  attempts: number;
  digest: string;
  time: string;
  source: { stream: string; sequence: number; subject: string };
  /** base64 */
  payload: string;
}

export async function setMessageAside(
  deps: { deadLetters: Appender; clock: Clock },
  stored: Pick<Stored, "stream" | "subject" | "seq" | "data">,
  attempts: number,
  cause: unknown,
): Promise<void> {
  const letter: DeadMessage = {
    kind: "message",
    cause: cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause),
    attempts,
    digest: digestOf(stored.data),
    time: toRfc3339(deps.clock.now()),
    source: { stream: stored.stream, sequence: stored.seq, subject: stored.subject },
    payload: Buffer.from(stored.data).toString("base64"),
  };
  await deps.deadLetters.append({
    subject: SUBJECTS.deadMessage(stored.stream, stored.seq),
    data: Buffer.from(JSON.stringify(letter)),
    expectFirst: true,
  });
}
