import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { check, LIMITS, newId, NodeCredentials, SUBJECTS, toRfc3339 } from "@outcry/protocol";
import { generateKey, signEnvelope } from "@outcry/signing";
import { call } from "../http/call.fixture.js";
import { startServers, startService, type TestServers, type TestService } from "../http/service.fixture.js";
import { challengeFor, credentialsOf, present, proofOf, registerTestNode, type TestNode } from "./node.fixture.js";

let servers: TestServers;
let service: TestService;
let node: TestNode;
let other: TestNode;

beforeAll(async () => {
  servers = await startServers();
  service = await startService(servers);
  node = await registerTestNode(service, service.adminSecret!);
  other = await registerTestNode(service, service.adminSecret!);
});
afterAll(async () => {
  await service?.close();
  await servers?.stop();
});

const codeOf = async (proof: { envelope: string; signature: string }, of = node) => {
  const { status, body } = await present(service, of.record.id, proof);
  return status === 200 ? "granted" : body.code;
};

test("a signed challenge is answered with what a node needs to connect, and it connects", async () => {
  const credentials = await credentialsOf(service, node);
  expect(check(NodeCredentials, credentials)).toMatchObject({ kind: "ok" });
  expect(credentials).toMatchObject({
    node_id: node.record.id,
    inbox_prefix: `_INBOX.${node.record.id}`,
    nats_urls: [servers.natsUrl],
  });
  expect(Date.parse(credentials.expires) - Date.now()).toBeGreaterThan(LIMITS.nodeCredentialsMs - 5_000);
  const backbone = await servers.connectAs(
    { jwt: credentials.nats_user_jwt, seed: node.nats.seed },
    credentials.inbox_prefix,
  );
  const heard = new Promise<string>((resolve) =>
    backbone.subscribe(SUBJECTS.nodeAll(node.record.id), ({ data }) => resolve(Buffer.from(data).toString())),
  );
  await backbone.flush();
  service.backbone.publish(SUBJECTS.nodeIntent(node.record.id), Buffer.from("for you"));
  expect(await heard).toBe("for you");
  const self = await call(service, "GET", `/v1/nodes/${node.record.id}`, { as: credentials.gateway_token });
  expect(self).toMatchObject({ status: 200, body: { id: node.record.id } });
});

test("a challenge counts once, for one node, and not for ever", async () => {
  const challenge = await challengeFor(service, node.record.id);
  const proof = proofOf(node, challenge);
  const answers = await Promise.all([codeOf(proof), codeOf(proof), codeOf(proofOf(node, challenge))]);
  expect(answers.sort()).toEqual(["granted", "nonce_invalid", "nonce_invalid"]);
  expect(await codeOf(proofOf(node, await challengeFor(service, other.record.id)))).toBe("nonce_invalid");
  expect(await codeOf(proofOf(node, "made-up-by-the-node"))).toBe("nonce_invalid");
  const late = await startService(servers, {
    clock: { now: () => Date.now() - LIMITS.nonceMs - 1 },
    signingKey: service.signingKey,
  });
  expect(await codeOf(proofOf(node, await challengeFor(late, node.record.id)))).toBe("nonce_invalid");
  await late.close();
});

test("each forgery has its code, and none uses the challenge up", async () => {
  const challenge = await challengeFor(service, node.record.id);
  const good = proofOf(node, challenge);
  const resigned = (envelope: string) => ({
    envelope,
    signature: signEnvelope(Buffer.from(envelope), "credentials", node.key).jws,
  });
  const past = { created: toRfc3339(Date.now() - 120_000), expires: toRfc3339(Date.now() - 60_000) };
  const future = { created: toRfc3339(Date.now() + 600_000), expires: toRfc3339(Date.now() + 700_000) };
  expect(await codeOf({ ...good, envelope: good.envelope.replace('"nonce":"', '"nonce":"A') })).toBe(
    "signature_invalid",
  );
  expect(await codeOf({ ...good, signature: `${good.signature.slice(0, -3)}AAA` })).toMatch(
    /^signature_(invalid|malformed)$/,
  );
  expect(await codeOf({ ...good, signature: "" })).toBe("signature_missing");
  expect(await codeOf({ ...good, signature: "a.b.c" })).toBe("signature_malformed");
  expect(await codeOf(proofOf(node, challenge, {}, generateKey()))).toBe("key_unknown");
  expect(await codeOf(proofOf(node, challenge, {}, other.key))).toBe("key_unknown");
  expect(await codeOf(proofOf(node, challenge, { sender: { id: other.record.id } }))).toBe("key_not_of_sender");
  expect(await codeOf(proofOf(node, challenge, {}, node.key, "quote"))).toBe("signature_type_mismatch");
  expect(await codeOf(proofOf(node, challenge, { type: "quote" }, node.key, "quote"))).toBe("message_type_wrong");
  expect(await codeOf(proofOf(node, challenge, { version: "2020-01-01" }))).toBe("version_unknown");
  expect(await codeOf(proofOf(node, challenge, past))).toBe("message_expired");
  expect(await codeOf(proofOf(node, challenge, future))).toBe("message_future_dated");
  expect(await codeOf(proofOf(node, challenge, { audience: "another-service" }))).toBe("request_invalid");
  expect(await codeOf(proofOf(node, challenge, { payload: { node_id: other.record.id, challenge } }))).toBe(
    "request_invalid",
  );
  expect(await codeOf(proofOf(node, challenge, { payload: { node_id: node.record.id, challenge: 7 } }))).toBe(
    "validation_failed",
  );
  expect(await codeOf(resigned(JSON.stringify({ z: 1, ...JSON.parse(good.envelope) })))).toBe("json_not_canonical");
  expect(await codeOf(good)).toBe("granted");
});

test("one node's proof opens no other node's door, even when both gave their key the same id", async () => {
  const named = (kid: string) => ({ ...generateKey(), kid });
  const twin = await registerTestNode(service, service.adminSecret!, named("primary"));
  const victim = await registerTestNode(service, service.adminSecret!, named("primary"));
  const challenge = await challengeFor(service, victim.record.id);
  expect(await codeOf(proofOf(victim, challenge, {}, twin.key), victim)).toBe("signature_invalid");
  expect(await codeOf(proofOf(twin, challenge), victim)).toMatch(/signature_invalid|key_not_of_sender/);
  expect(await codeOf(proofOf(victim, challenge), victim)).toBe("granted");
  expect(service.registry.keysOf(victim.record.id).find("primary")).toMatchObject({ owner: victim.record.id });
  expect(service.registry.keysOf(newId("nod")).find("primary")).toBeUndefined();
});

test("an unknown node gets no challenge", async () => {
  for (const id of [newId("nod"), "x", "nod_", `${newId("nod")}.>`, "%2a"]) {
    expect(await call(service, "POST", `/v1/nodes/${id}/credentials/challenge`)).toMatchObject({
      status: 404,
      body: { code: "node_not_found" },
    });
  }
});
