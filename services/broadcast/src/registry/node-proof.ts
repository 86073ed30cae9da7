// What a node signed over a challenge of ours: who, for whom, when, of which type. The challenge counts once; use it up after every other check.

import type { Nonces } from "@outcry/jobs";
import { check, type Clock, type NodeRecord, OutcryError, PROTOCOL, PROTOCOL_VERSION } from "@outcry/protocol";
import { checkFreshness, type SignedEnvelope, verifyEnvelopeAsync } from "@outcry/signing";
import type { Static, TSchema } from "typebox";
import type { Registry } from "./registry.js";

export interface ProofDeps {
  registry: Registry;
  nonces: Nonces;
  serviceId: string;
  clock: Clock;
}

export interface SignedText {
  /** Canonical JSON. */
  envelope: string;
  /** Detached JWS over its bytes, by a registered key. */
  signature: string;
}

interface Proof<S extends TSchema> {
  node: NodeRecord;
  payload: Static<S>;
}

export const nonceSubject = (nodeId: string): string => `credentials ${nodeId}`;

export async function readProof<S extends TSchema>(
  deps: ProofDeps,
  nodeId: string,
  signed: SignedText,
  expected: { type: string; schema: TSchema; payload: S },
): Promise<Proof<S>> {
  // From the bucket: memory may not have heard of a suspension yet.
  const node = (await deps.registry.nodes.read(nodeId))?.value;
  if (node === undefined) throw new OutcryError("node_not_found");
  const verdict = await verifyEnvelopeAsync(
    Buffer.from(signed.envelope),
    signed.signature,
    deps.registry.keysOf(nodeId),
  );
  if (verdict.kind === "refused") throw new OutcryError(verdict.code, verdict.detail);
  const payload = payloadOf(deps, nodeId, verdict.envelope, expected) as Static<S>;
  if (node.status === "suspended") throw new OutcryError("node_suspended", node.status_reason);
  return { node, payload };
}

export async function useUp({ nonces }: ProofDeps, nodeId: string, challenge: string): Promise<void> {
  const consumed = await nonces.consume(nonceSubject(nodeId), challenge);
  if (consumed !== "ok") throw new OutcryError("nonce_invalid", `The challenge is ${consumed}.`);
}

/** Of a current envelope of this type for this service. */
function payloadOf(
  { clock, serviceId }: ProofDeps,
  nodeId: string,
  envelope: SignedEnvelope,
  { type, schema }: { type: string; schema: TSchema },
): unknown {
  if (envelope["protocol"] !== PROTOCOL || envelope["version"] !== PROTOCOL_VERSION)
    throw new OutcryError("version_unknown");
  if (envelope.type !== type) throw new OutcryError("message_type_wrong", `The type is not \`${type}\`.`);
  const checked = check(schema, envelope);
  if (checked.kind === "invalid")
    throw new OutcryError("validation_failed", "The envelope does not fit its schema.", checked);
  const { payload, audience } = checked.value as { payload: { node_id: string }; audience: string };
  const freshness = checkFreshness(envelope, clock.now());
  if (freshness.kind === "expired") throw new OutcryError("message_expired");
  if (freshness.kind === "future_dated") throw new OutcryError("message_future_dated");
  // A challenge passed on by another service must not open this one.
  const pointers = [
    ...(audience === serviceId ? [] : [{ pointer: "/audience", detail: "is another service" }]),
    ...(payload.node_id === nodeId ? [] : [{ pointer: "/payload/node_id", detail: "is another node" }]),
  ];
  if (pointers.length > 0)
    throw new OutcryError("request_invalid", "The envelope is meant for another place.", { pointers });
  return payload;
}
