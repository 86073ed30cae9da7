import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { newKeyPair } from "@outcry/backbone";
import { newId, toBase64Url } from "@outcry/protocol";
import { selectTargets } from "@outcry/selection";
import { generateKey, publicJwk } from "@outcry/signing";
import { call } from "../http/call.fixture.js";
import { eventually, startServers, startService, type TestServers, type TestService } from "../http/service.fixture.js";
import { registerTestNode, registrationOf } from "./node.fixture.js";

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

const register = (body: unknown, as: string | undefined = admin, at = service) =>
  call(at, "POST", "/v1/nodes", { as, body });
const pointersOf = (body: { errors: { pointer: string }[] }) => body.errors.map(({ pointer }) => pointer).sort();

test("a registered node is selected at once here, and within a second elsewhere", async () => {
  const node = await registerTestNode(service, admin);
  const found = ({ registry }: TestService) => {
    const selection = selectTargets(registry.index, { categories: ["Shoes"], region: "DE" });
    return selection.kind === "selected" && selection.targets.includes(node.record.id);
  };
  expect(found(service)).toBe(true);
  await eventually(() => found(second), 1_000);
  await eventually(() => second.registry.index.revision === service.registry.index.revision, 1_000);
  expect((await service.nodesBucket.get(node.record.id))!.revision).toBe(service.registry.index.revision);
});

test("unacceptable keys are refused with every pointer", async () => {
  const good = publicJwk(generateKey());
  const small = { ...good, kid: "small", x: toBase64Url(new Uint8Array(32).fill(1, 0, 1)) }; // the identity point
  const padded = {
    ...good,
    kid: "padded",
    x: `${good.x.slice(0, -1)}${String.fromCharCode(good.x.charCodeAt(42) + 1)}`,
  };
  const nats = newKeyPair("user").publicKey;
  const { status, body } = await register({
    ...registrationOf(),
    public_keys: [good, small, padded, good],
    nats_public_key: `${nats.slice(0, -1)}${nats.endsWith("A") ? "B" : "A"}`,
  });
  expect([status, body.code]).toEqual([400, "key_unacceptable"]);
  expect(pointersOf(body)).toEqual(["/nats_public_key", "/public_keys/1", "/public_keys/2", "/public_keys/3/kid"]);
});

test("of twenty registrations of one NATS key in two processes one wins", async () => {
  const nats = newKeyPair("user");
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, at) => register(registrationOf({ nats }), admin, at % 2 ? service : second)),
  );
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  expect(answers.filter(({ body }) => body.code === "node_exists")).toHaveLength(19);
});

test("an invite registers one node, whoever races", async () => {
  const { body: invite } = await call(service, "POST", "/v1/invites", { as: admin, body: {} });
  const racers = Array.from({ length: 10 }, () => ({ ...registrationOf(), invite: invite.invite }));
  const answers = await Promise.all(
    racers.map((body, at) => call(at % 2 ? service : second, "POST", "/v1/nodes", { body })),
  );
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  for (const { status, body } of answers)
    if (status !== 201) expect([status, body.code]).toEqual([403, "invite_invalid"]);
  expect(
    (await call(service, "POST", "/v1/nodes", { body: { ...registrationOf(), invite: invite.invite } })).body.code,
  ).toBe("invite_invalid");
});

test("an invite survives a wrong registration, is finished by a repeated one, and expires", async () => {
  const { body: invite } = await call(service, "POST", "/v1/invites", { as: admin, body: { name: "for acme" } });
  const registration = { ...registrationOf(), invite: invite.invite };
  const wrong = await call(service, "POST", "/v1/nodes", {
    body: { ...registration, nats_public_key: `U${"A".repeat(55)}` },
  });
  expect(wrong.body.code).toBe("key_unacceptable");
  const first = await call(service, "POST", "/v1/nodes", { body: registration });
  expect(first.status).toBe(201);
  // As after a crash between using the invite up and creating the node.
  const kept = (await service.nodesBucket.get(first.body.node.id))!;
  await service.nodesBucket.delete(first.body.node.id, kept.revision);
  expect(await call(second, "POST", "/v1/nodes", { body: registration })).toMatchObject({
    status: 201,
    body: { node: { id: first.body.node.id } },
  });
  expect((await call(service, "POST", "/v1/nodes", { body: registration })).body.code).toBe("node_exists");

  const past = await startService(servers, {
    clock: { now: () => Date.now() - 120_000 },
    signingKey: service.signingKey,
  });
  const { body: old } = await call(past, "POST", "/v1/invites", { as: admin, body: { ttl_ms: 60_000 } });
  await past.close();
  const late = await call(service, "POST", "/v1/nodes", { body: { ...registrationOf(), invite: old.invite } });
  expect(late.body).toMatchObject({ code: "invite_invalid", detail: "The invite has expired." });
});

test("a change replaces the named fields, and If-Match guards against another's change", async () => {
  const { record } = await registerTestNode(service, admin);
  const path = `/v1/nodes/${record.id}`;
  const read = await call(service, "GET", path, { as: admin });
  const etag = String(read.headers["etag"]);
  const changed = await call(service, "PATCH", path, {
    as: admin,
    body: { regions: ["fr"] },
    headers: { "if-match": etag },
  });
  expect(changed).toMatchObject({ status: 200, body: { ...record, regions: ["fr"], changed: expect.any(String) } });
  expect(
    await call(service, "PATCH", path, { as: admin, body: { name: "x" }, headers: { "if-match": etag } }),
  ).toMatchObject({ status: 409, body: { code: "node_changed" } });
  expect(
    (await call(service, "PATCH", path, { as: admin, body: { name: "x" }, headers: { "if-match": "W/1" } })).body.code,
  ).toBe("request_invalid");
  const rotated = publicJwk(generateKey());
  const weak = { ...rotated, x: toBase64Url(new Uint8Array(32)) };
  expect((await call(service, "PATCH", path, { as: admin, body: { public_keys: [weak] } })).body).toMatchObject({
    code: "key_unacceptable",
    errors: [{ pointer: "/public_keys/0" }],
  });
  await call(service, "PATCH", path, { as: admin, body: { public_keys: [rotated] } });
  expect(service.registry.keysOf(record.id).find(rotated.kid)).toMatchObject({ owner: record.id });
  expect(service.registry.keysOf(record.id).find(record.public_keys[0]!.kid)).toBeUndefined();
  const racing = await Promise.all(
    ["a", "b", "c", "d"].map((name, at) =>
      call(at % 2 ? service : second, "PATCH", path, { as: admin, body: { name } }),
    ),
  );
  expect(racing.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
});

test("the list pages through every node once, and refuses a cursor of its own making", async () => {
  for (let count = 0; count < 5; count++) await registerTestNode(service, admin);
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const { body } = await call(service, "GET", `/v1/nodes?limit=2${cursor === undefined ? "" : `&cursor=${cursor}`}`, {
      as: admin,
    });
    seen.push(...body.data.map(({ id }: { id: string }) => id));
    expect(body.has_more).toBe(body.next_cursor !== undefined);
    cursor = body.next_cursor;
  } while (cursor !== undefined);
  expect(seen).toEqual([...service.registry.nodes.all()].map(([id]) => id).sort());
  for (const wrong of ["x", newId("nod"), Buffer.from(`1 ${newId("int")}`).toString("base64url")]) {
    expect(await call(service, "GET", `/v1/nodes?cursor=${wrong}`, { as: admin })).toMatchObject({
      status: 400,
      body: { code: "request_invalid", errors: [{ pointer: "/cursor" }] },
    });
  }
  const suspended = (await call(service, "GET", "/v1/nodes?status=suspended", { as: admin })).body.data;
  expect(suspended).toEqual([]);
});

test("what is not a node's id names none", async () => {
  for (const id of ["x", "nod_*", "..", "%3E", `${newId("nod")}x`]) {
    for (const method of ["GET", "DELETE"])
      expect((await call(service, method, `/v1/nodes/${id}`, { as: admin })).body.code).toMatch(
        /node_not_found|route_not_found/,
      );
  }
});
