// Registration and credentials over HTTP: the node proves its registered key by signing the service's challenge (DESIGN "Trust").

import {
  canonicalize,
  check,
  type Clock,
  derivedId,
  isId,
  isOutcryError,
  newId,
  newNonce,
  newTraceId,
  NodeCredentials,
  OutcryError,
  PROTOCOL,
  PROTOCOL_VERSION,
  toRfc3339,
} from "@outcry/protocol";
import { publicJwk, signEnvelope, type SigningKey } from "@outcry/signing";
import type { Identity } from "./identity.js";
import { NODE_LIMITS } from "./limits.js";
import type { NodeDescription } from "./options.js";
import type { ServiceApi } from "./service-api.js";

export interface RegisterDeps {
  readonly api: ServiceApi;
  readonly identity: Identity;
  readonly invite: string | undefined;
  readonly description: NodeDescription;
}

/** The id under which the service knows this node from now on. */
export async function registerNode(deps: RegisterDeps, signal?: AbortSignal): Promise<string> {
  try {
    const answer = await deps.api.post("/v1/nodes", registrationOf(deps), signal);
    const id = (answer as { node?: { id?: unknown } } | undefined)?.node?.id;
    if (!isId("nod", id)) throw new OutcryError("internal", "the service registered the node without telling its id");
    return id;
  } catch (error) {
    // An earlier registration whose answer was lost: the id follows from the NATS key, and the credentials will prove that it is ours.
    if (isOutcryError(error, "node_exists")) return derivedId("nod", deps.identity.natsPublicKey);
    throw error;
  }
}

const registrationOf = ({ identity, invite, description }: RegisterDeps) => ({
  name: description.name,
  categories: description.categories,
  regions: description.regions,
  capabilities: description.capabilities ?? [],
  public_keys: [publicJwk(identity.key)],
  nats_public_key: identity.natsPublicKey,
  ...(invite === undefined ? {} : { invite }),
});

export interface CredentialsDeps {
  readonly api: ServiceApi;
  readonly nodeId: string;
  readonly key: SigningKey;
  readonly clock: Clock;
}

export async function fetchCredentials(deps: CredentialsDeps, signal?: AbortSignal): Promise<NodeCredentials> {
  const { api, nodeId, key } = deps;
  const bytes = await answerChallenge(deps, "credentials", {}, signal);
  const { jws } = signEnvelope(bytes, "credentials", key);
  const answer = await api.post(
    `/v1/nodes/${nodeId}/credentials`,
    { envelope: new TextDecoder().decode(bytes), signature: jws },
    signal,
  );
  const checked = check(NodeCredentials, answer);
  if (checked.kind === "ok") return checked.value;
  throw new OutcryError("internal", `the service's credentials are malformed at ${checked.pointers[0]?.pointer}`, {
    pointers: checked.pointers,
  });
}

/** Registers another key: signed for by the one that is registered, and by itself. */
export async function addKey(deps: CredentialsDeps, added: SigningKey, signal?: AbortSignal): Promise<void> {
  const bytes = await answerChallenge(deps, "node-key", { public_key: publicJwk(added) }, signal);
  await deps.api.post(
    `/v1/nodes/${deps.nodeId}/keys`,
    {
      envelope: new TextDecoder().decode(bytes),
      signature: signEnvelope(bytes, "node-key", deps.key).jws,
      proof: signEnvelope(bytes, "node-key", added).jws,
    },
    signal,
  );
}

/** The bytes to sign: an envelope of this type over a fresh challenge. */
async function answerChallenge(
  { api, nodeId, clock }: CredentialsDeps,
  type: string,
  payload: object,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const asked = await api.post(`/v1/nodes/${nodeId}/credentials/challenge`, {}, signal);
  const { challenge, service_id: audience } = (asked ?? {}) as { challenge?: unknown; service_id?: unknown };
  if (typeof challenge !== "string" || typeof audience !== "string")
    throw new OutcryError("internal", "the service sent no challenge");
  return canonicalize(
    proof({ nodeId, audience, nowMs: clock.now(), type, payload: { ...payload, node_id: nodeId, challenge } }),
  );
}

interface Proof {
  nodeId: string;
  audience: string;
  nowMs: number;
  type: string;
  payload: object;
}

const proof = ({ nodeId, audience, nowMs, type, payload }: Proof) => ({
  protocol: PROTOCOL,
  version: PROTOCOL_VERSION,
  type,
  id: newId("msg"),
  trace_id: newTraceId(),
  sender: { id: nodeId },
  audience,
  created: toRfc3339(nowMs),
  expires: toRfc3339(nowMs + NODE_LIMITS.credentialsProofMs),
  nonce: newNonce(),
  payload,
});
