// For tests: a node with its keys, as its operator holds them.

import { type KeyPair, newKeyPair } from "@outcry/backbone";
import {
  canonicalText,
  newId,
  newNonce,
  newTraceId,
  type NodeCredentials,
  type NodeRecord,
  PROTOCOL,
  PROTOCOL_VERSION,
  toRfc3339,
} from "@outcry/protocol";
import { generateKey, publicJwk, signEnvelope, type SigningKey } from "@outcry/signing";
import { call } from "../http/call.fixture.js";
import { SERVICE_ID, type TestService } from "../http/service.fixture.js";

export interface TestNode {
  key: SigningKey;
  nats: KeyPair;
  record: NodeRecord;
}

export const registrationOf = ({
  key = generateKey(),
  nats = newKeyPair("user"),
}: { key?: SigningKey; nats?: KeyPair } = {}) => ({
  name: "a node",
  categories: ["shoes"],
  regions: ["de"],
  capabilities: [],
  public_keys: [publicJwk(key)],
  nats_public_key: nats.publicKey,
});

export async function registerTestNode(service: TestService, admin: string, key = generateKey()): Promise<TestNode> {
  const nats = newKeyPair("user");
  const { status, body } = await call(service, "POST", "/v1/nodes", { as: admin, body: registrationOf({ key, nats }) });
  if (status !== 201) throw new Error(JSON.stringify(body));
  return { key, nats, record: body.node };
}

export async function challengeFor(service: TestService, nodeId: string): Promise<string> {
  const { status, body } = await call(service, "POST", `/v1/nodes/${nodeId}/credentials/challenge`);
  if (status !== 201) throw new Error(JSON.stringify(body));
  return body.challenge;
}

/** A proof as a right node makes it, with `changes` of a wrong one. */
export function proofOf(
  node: TestNode,
  challenge: string,
  changes: Record<string, unknown> = {},
  key = node.key,
  type = "credentials",
) {
  const now = Date.now();
  const envelope = canonicalText({
    protocol: PROTOCOL,
    version: PROTOCOL_VERSION,
    type: "credentials",
    id: newId("msg"),
    trace_id: newTraceId(),
    sender: { id: node.record.id },
    audience: SERVICE_ID,
    created: toRfc3339(now),
    expires: toRfc3339(now + 60_000),
    nonce: newNonce(),
    payload: { node_id: node.record.id, challenge },
    ...changes,
  });
  return { envelope, signature: signEnvelope(Buffer.from(envelope), type, key).jws };
}

export const present = (service: TestService, nodeId: string, proof: { envelope: string; signature: string }) =>
  call(service, "POST", `/v1/nodes/${nodeId}/credentials`, { body: proof });

export async function credentialsOf(service: TestService, node: TestNode): Promise<NodeCredentials> {
  const { status, body } = await present(
    service,
    node.record.id,
    proofOf(node, await challengeFor(service, node.record.id)),
  );
  if (status !== 200) throw new Error(JSON.stringify(body));
  return body;
}
