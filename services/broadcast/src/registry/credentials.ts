// A node's way back in: it signs a challenge with a registered key and gets NATS credentials and a token. Its HTTP identity is
// that signature alone. Nothing secret is stored for it; the challenge counts once.

import { type AuthTree, mintNodeUser } from "@outcry/backbone";
import {
  CredentialsPayload,
  Envelope,
  LIMITS,
  type NodeCredentials,
  nodeInboxPrefix,
  type NodeRecord,
  OutcryError,
  toRfc3339,
} from "@outcry/protocol";
import type { SigningKeys } from "../access/signing-keys.js";
import { issueNodeToken, type TokenDeps } from "../access/tokens.js";
import { nonceSubject, type ProofDeps, readProof, type SignedText, useUp } from "./node-proof.js";
import type { Revocations } from "./revocations.js";

export interface CredentialsDeps extends TokenDeps, ProofDeps {
  revocations: Revocations;
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
  signed: SignedText,
): Promise<NodeCredentials> {
  const { node, payload } = await readProof(deps, nodeId, signed, CREDENTIALS);
  await useUp(deps, nodeId, payload.challenge);
  return grant(deps, node);
}

const CREDENTIALS = {
  type: "credentials",
  schema: Envelope("credentials", CredentialsPayload),
  payload: CredentialsPayload,
} as const;

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
