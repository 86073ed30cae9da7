import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { type Backbone, openBucket } from "@outcry/backbone";
import { BUCKETS, silentLog } from "@outcry/protocol";
import { call } from "../http/call.fixture.js";
import { eventually, startServers, startService, type TestServers, type TestService } from "../http/service.fixture.js";
import {
  challengeFor,
  credentialsOf,
  present,
  proofOf,
  registerTestNode,
  registrationOf,
  type TestNode,
} from "./node.fixture.js";

let servers: TestServers;
let service: TestService;
let second: TestService;
let admin: string;

beforeAll(async () => {
  servers = await startServers();
  service = await startService(servers);
  second = await startService(servers, { signingKey: service.signingKey });
  admin = service.adminSecret!;
});
afterAll(async () => {
  await service?.close();
  await second?.close();
  await servers?.stop();
});

const open: Backbone[] = [];
async function connected(node: TestNode): Promise<Backbone> {
  const credentials = await credentialsOf(service, node);
  const backbone = await servers.connectAs(
    { jwt: credentials.nats_user_jwt, seed: node.nats.seed },
    credentials.inbox_prefix,
  );
  open.push(backbone);
  return backbone;
}
// A refused node tries again for ever, and each try signs a nonce in JavaScript.
afterEach(() => Promise.all(open.splice(0).map((backbone) => backbone.close())));

const act = (node: TestNode, verb: "suspend" | "resume", body?: unknown) =>
  call(service, "POST", `/v1/nodes/${node.record.id}/${verb}`, { as: admin, body });
const restarted = async () => {
  const began = Date.now();
  await servers.restartNats();
  const back = ({ backbone: { health } }: TestService) => health.lastDownAt >= began && health.up;
  await eventually(() => back(service) && back(second), 10_000);
};
const stays = async (backbone: Backbone, up: boolean, forMs: number) => {
  const until = Date.now() + forMs;
  while (Date.now() < until) {
    expect(backbone.health.up).toBe(up);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

test("suspending cuts the live connection within a second, and another node's stays", async () => {
  const [node, neighbour] = [await registerTestNode(service, admin), await registerTestNode(service, admin)];
  const [victim, bystander] = [await connected(node), await connected(neighbour)];
  const answer = await act(node, "suspend", { reason: "unpaid" });
  expect(answer).toMatchObject({ status: 200, body: { status: "suspended", status_reason: "unpaid" } });
  await eventually(() => !victim.health.up, 1_000);
  expect(victim.health.lastDownAt - Date.parse(answer.body.changed)).toBeLessThan(1_000);
  await stays(victim, false, 1_500);
  expect(bystander.health.up).toBe(true);
  expect(service.registry.index.get(node.record.id)?.active).toBe(false);
  await eventually(() => second.registry.index.get(node.record.id)?.active === false, 1_000);
  const proof = proofOf(node, await challengeFor(second, node.record.id));
  expect(await present(second, node.record.id, proof)).toMatchObject({
    status: 403,
    body: { code: "node_suspended", detail: "unpaid" },
  });
  expect(await act(node, "suspend", { reason: "again" })).toMatchObject({
    status: 200,
    body: { status_reason: "unpaid" },
  });
});

test("a suspension holds after kill -9 and restart of NATS, and resuming lets new credentials in, not the old ones", async () => {
  const node = await registerTestNode(service, admin);
  const victim = await connected(node);
  await act(node, "suspend");
  await eventually(() => !victim.health.up, 1_000);
  await restarted();
  await stays(victim, false, 1_500);

  expect(await act(node, "resume")).toMatchObject({ status: 200, body: { status: "active" } });
  const again = await connected(node); // at once: the new JWT is dated behind the revocation
  expect(again.health.up).toBe(true);
  await stays(victim, false, 1_000);
  await restarted();
  await again.health.whenUp(AbortSignal.timeout(10_000));
  expect(victim.health.up).toBe(false);
  expect(service.registry.index.get(node.record.id)?.active).toBe(true);
});

test("deleting cuts the connection, forgets the node, and never takes its NATS key again", async () => {
  const node = await registerTestNode(service, admin);
  const victim = await connected(node);
  const deleting = call(service, "DELETE", `/v1/nodes/${node.record.id}`, { as: admin });
  const cut = eventually(() => !victim.health.up, 2_000);
  expect(await deleting).toMatchObject({ status: 204 });
  await cut;
  const revoked = (await service.book.revocations.read(node.nats.publicKey))!.value;
  expect(revoked).toMatchObject({ node_id: node.record.id, deleted: true });
  expect(victim.health.lastDownAt).toBeLessThan(Date.parse(revoked.at)); // it is dated two seconds behind the deletion
  expect(await call(service, "GET", `/v1/nodes/${node.record.id}`, { as: admin })).toMatchObject({ status: 404 });
  await eventually(() => second.registry.get(node.record.id) === undefined, 1_000);
  await restarted();
  await stays(victim, false, 1_000);
  const again = await call(service, "POST", "/v1/nodes", { as: admin, body: registrationOf({ nats: node.nats }) });
  expect(again).toMatchObject({ status: 409, body: { code: "node_exists" } });
  expect(await call(service, "DELETE", `/v1/nodes/${node.record.id}`, { as: admin })).toMatchObject({ status: 404 });
});

test("a suspension or deletion that only reached KV is enforced by whichever process sees it", async () => {
  const node = await registerTestNode(service, admin);
  const victim = await connected(node);
  const kept = (await service.registry.nodes.read(node.record.id))!;
  const dying = { ...kept.value, status: "suspended" as const, changed: new Date().toISOString() };
  await service.nodesBucket.update(node.record.id, Buffer.from(JSON.stringify(dying)), kept.revision);
  await eventually(() => !victim.health.up, 1_500);

  const half = await registerTestNode(service, admin);
  await act(half, "suspend");
  const revocation = (await service.book.revocations.read(half.nats.publicKey))!;
  await service.book.revocations.update(
    half.nats.publicKey,
    { ...revocation.value, deleted: true },
    revocation.revision,
  );
  await eventually(async () => (await service.nodesBucket.get(half.record.id)) === undefined, 2_000);
});

test("a process that starts later enforces what was decided before", async () => {
  const node = await registerTestNode(service, admin);
  const victim = await connected(node);
  await Promise.all([service.close(), second.close()]);
  const backbone = await servers.connect("service");
  const bucket = openBucket(backbone, BUCKETS.nodes, { log: silentLog });
  const entry = (await bucket.get(node.record.id))!;
  const suspended = {
    ...JSON.parse(Buffer.from(entry.value).toString()),
    status: "suspended",
    changed: new Date().toISOString(),
  };
  await bucket.update(node.record.id, Buffer.from(JSON.stringify(suspended)), entry.revision);
  await stays(victim, true, 300);
  service = await startService(servers);
  second = await startService(servers, { signingKey: service.signingKey });
  await eventually(() => !victim.health.up, 1_000);
});
