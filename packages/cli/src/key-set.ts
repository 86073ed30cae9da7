// The service's public keys, from /.well-known/jwks.json. Needs no API key.

import { OutcryError, type PublicKey } from "@outcry/protocol";
import type { CommandContext } from "./command.js";

const TIMEOUT_MS = 5_000;

export type PublishedKey = PublicKey & { alg?: string; use?: string };

export async function fetchKeySet({ url, signal }: Pick<CommandContext, "url" | "signal">): Promise<PublishedKey[]> {
  const where = `${url}/.well-known/jwks.json`;
  const answer = await fetch(where, { signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]) }).catch(
    (cause: unknown) => {
      throw new OutcryError("dependency_unavailable", `${where} does not answer`, { cause });
    },
  );
  if (!answer.ok) throw new OutcryError("dependency_unavailable", `${where} answered ${answer.status}`);
  const { keys } = (await answer.json()) as { keys?: PublishedKey[] };
  if (!Array.isArray(keys)) throw new OutcryError("dependency_unavailable", `${where} holds no key set`);
  return keys;
}
