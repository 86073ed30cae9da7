// A node's way back in: it signs a challenge with a registered key and gets NATS credentials and a token. Its HTTP identity is
// that signature alone. Nothing secret is stored for it; the challenge counts once.

import { type AuthTree, mintNodeUser } from "@outcry/backbone";
import type { Nonces } from "@outcry/jobs";
import {
  check,
  CredentialsPayload,
  Envelope,
  LIMITS,
  type NodeCredentials,
  nodeInboxPrefix,
  type NodeRecord,
  OutcryError,
  PROTOCOL,
  PROTOCOL_VERSION,
  toRfc3339,
} from "@outcry/protocol";
import { checkFreshness, type SignedEnvelope, verifyEnvelopeAsync } from "@outcry/signing";
import type { SigningKeys } from "../access/signing-keys.js";
import { issueNodeToken, type TokenDeps } from "../access/tokens.js";
import type { Registry } from "./registry.js";
import type { Revocations } from "./revocations.js";

export interface CredentialsDeps extends TokenDeps {
  registry: Registry;
  revocations: Revocations;
  nonces: Nonces;
  authTree: AuthTree;
  /** As nodes reach the servers. */
  natsUrls: readonly string[];
  /** Those published, for verifying intents. */
  signingKeys: Pick<SigningKeys, "published">;
}

export interface Challenge {
  challenge: string;
  expires: string;
  /** `audience` of the envelope that answers. */
  service_id: string;
}

export async function issueChallenge(deps: CredentialsDeps, nodeId: string): Promise<Challenge> {
  if ((await deps.registry.nodes.find(nodeId)) === undefined) throw new OutcryError("node_not_found");
  const challenge = await deps.nonces.issue(nonceSubject(nodeId));
  return { challenge, expires: toRfc3339(deps.clock.now() + LIMITS.nonceMs), service_id: deps.serviceId };
}

export async function renewCredentials(
  deps: CredentialsDeps,
  nodeId: string,
  signed: { envelope: string; signature: string },
): Promise<NodeCredentials> {
  // From the bucket: memory may not have heard of a suspension yet.
  const node = (await deps.registry.nodes.read(nodeId))?.value;
  if (node === undefined) throw new OutcryError("node_not_found");
  const verdict = await verifyEnvelopeAsync(
    Buffer.from(signed.envelope),
    signed.signature,
    deps.registry.keysOf(nodeId),
  );
  if (verdict.kind === "refused") throw new OutcryError(verdict.code, verdict.detail);
  const challenge = challengeIn(deps, nodeId, verdict.envelope);
  if (node.status === "suspended") throw new OutcryError("node_suspended", node.status_reason);
  const consumed = await deps.nonces.consume(nonceSubject(nodeId), challenge);
  if (consumed !== "ok") throw new OutcryError("nonce_invalid", `The challenge is ${consumed}.`);
  return grant(deps, node);
}

const nonceSubject = (nodeId: string): string => `credentials ${nodeId}`;
const CredentialsEnvelope = Envelope("credentials", CredentialsPayload);

/** The challenge of a current envelope of this type for this service. */
function challengeIn({ clock, serviceId }: CredentialsDeps, nodeId: string, envelope: SignedEnvelope): string {
  if (envelope["protocol"] !== PROTOCOL || envelope["version"] !== PROTOCOL_VERSION)
    throw new OutcryError("version_unknown");
  if (envelope.type !== "credentials") throw new OutcryError("message_type_wrong", "The type is not `credentials`.");
  const checked = check(CredentialsEnvelope, envelope);
  if (checked.kind === "invalid")
    throw new OutcryError("validation_failed", "The envelope does not fit its schema.", checked);
  const { payload, audience } = checked.value;
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
  return payload.challenge;
}

function grant(deps: CredentialsDeps, node: NodeRecord): NodeCredentials {
  const revokedAtMs = deps.revocations.revokedAtMs(node.nats_public_key);
  const user = mintNodeUser(deps.authTree, deps, {
    nodeId: node.id,
    publicKey: node.nats_public_key,
    ...(revokedAtMs === undefined ? {} : { revokedAtMs }),
  });
  const token = issueNodeToken(deps, node.id, LIMITS.nodeCredentialsMs);
  return {
    node_id: node.id,
    nats_urls: [...deps.natsUrls],
    nats_user_jwt: user.jwt,
    inbox_prefix: nodeInboxPrefix(node.id),
    gateway_token: token.token,
    expires: token.expires, // not after the user JWT's own end: both begin in the same second
    service_keys: deps.signingKeys.published(),
    service_id: deps.serviceId,
  };
}
