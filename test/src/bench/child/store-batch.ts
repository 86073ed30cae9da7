// Messages for a stream in one atomic batch (ADR-50).

import { type NatsConnection, headers } from "@nats-io/transport-node";
import { randomUUID } from "node:crypto";
import { BARE_TIMEOUT_MS } from "./place.js";

export interface Message {
  subject: string;
  data: Uint8Array;
}

/** Resolves when all of them are stored. */
export async function storeBatch(connection: NatsConnection, messages: readonly Message[]): Promise<void> {
  const batch = randomUUID();
  const fieldsOf = (index: number) => {
    const fields = headers();
    fields.set("Nats-Batch-Id", batch);
    fields.set("Nats-Batch-Sequence", String(index + 1));
    if (index === messages.length - 1) fields.set("Nats-Batch-Commit", "1");
    return fields;
  };
  for (const [index, { subject, data }] of messages.slice(0, -1).entries())
    connection.publish(subject, data, { headers: fieldsOf(index) });
  const last = messages.at(-1)!;
  const options = { headers: fieldsOf(messages.length - 1), timeout: BARE_TIMEOUT_MS };
  const answer = await connection.request(last.subject, last.data, options);
  const { error } = answer.json<{ error?: { description: string } }>();
  if (error !== undefined) throw new Error(`a batch of the bench was refused: ${error.description}`);
}
