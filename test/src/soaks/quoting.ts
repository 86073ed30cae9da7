// Nodes that quote until they are told "stored", whatever dies meanwhile, and keep what they were told.

import { headers as natsHeaders } from "@nats-io/transport-node";
import { setTimeout as sleep } from "node:timers/promises";
import { buildQuote, canonicalize, type Intent, type QuoteAnswer, SUBJECTS } from "@outcry/protocol";
import { generateKey, signEnvelope, type SigningKey } from "@outcry/signing";
import type { StoredReport } from "../faults/sellers.js";
import type { BareIntent, BareNode } from "./bare-node.js";

const ASK_TIMEOUT_MS = 2_000;
const AGAIN_MS = 100;
const GIVE_UP_MS = 120_000;

export interface SignedQuote {
  intentId: string;
  quoteId: string;
  bytes: Uint8Array;
  signature: string;
}

/** `forged`: by a key that is not the node's. */
export function signQuote(node: BareNode, heard: BareIntent, ordinal: number, forged = false): SignedQuote {
  const intent = JSON.parse(Buffer.from(heard.bytes).toString("utf8")) as Intent;
  const price = { amountMinor: 1_000 + ordinal };
  const quote = buildQuote(intent, price, { nodeId: node.id, ordinal, requestDigest: heard.digest });
  const bytes = canonicalize(quote);
  const { jws } = signEnvelope(bytes, "quote", forged ? foreignKey(node) : node.key);
  return { intentId: heard.id, quoteId: quote.id, bytes, signature: jws };
}

/** Names the node's key and is another. */
const foreignKey = ({ key }: BareNode): SigningKey => ({ ...generateKey(), kid: key.kid });

/** One request; undefined when no answer came. */
export async function ask({ id, nats }: BareNode, quote: SignedQuote): Promise<QuoteAnswer | undefined> {
  const headers = natsHeaders();
  headers.set("Outcry-Signature", quote.signature);
  try {
    const options = { timeout: ASK_TIMEOUT_MS, headers };
    const answer = await nats.request(SUBJECTS.nodeQuote(id, quote.intentId), quote.bytes, options);
    return answer.json<QuoteAnswer>();
  } catch {
    return undefined; // nobody there, cut off or too late: the outcome is unknown
  }
}

/** The same bytes again and again until they are stored; `tries` counts the requests. */
export async function askUntilStored(node: BareNode, quote: SignedQuote): Promise<StoredReport & { tries: number }> {
  const untilMs = Date.now() + GIVE_UP_MS;
  for (let tries = 1; ; tries++) {
    const answer = await ask(node, quote);
    if (answer?.kind === "stored")
      return { intentId: quote.intentId, nodeId: node.id, quoteId: answer.quote_id, digest: answer.digest, tries };
    if (answer?.kind === "refused" && !answer.temporary) throw new Error(`${quote.quoteId}: ${answer.code}`);
    if (Date.now() > untilMs) throw new Error(`${quote.quoteId} was not stored within ${GIVE_UP_MS} ms`);
    await sleep(AGAIN_MS);
  }
}
