import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type ApiKeyView, newId } from "@outcry/protocol";
import { verifyToken, keySource, verificationKey } from "@outcry/signing";
import { call, makeKey } from "../http/call.fixture.js";
import {
  eventually,
  SERVICE_ID,
  startServers,
  startService,
  type TestServers,
  type TestService,
} from "../http/service.fixture.js";
import { claimAdminKey } from "./api-keys.js";
import { TOKEN_AUDIENCE } from "./tokens.js";

let servers: TestServers;
let service: TestService;
let second: TestService;
let admin: string;

beforeAll(async () => {
  servers = await startServers();
  const together = await Promise.all([startService(servers), startService(servers)]);
  const first = together.findIndex(({ adminSecret }) => adminSecret !== undefined);
  service = together[first]!;
  second = together[1 - first]!;
  admin = service.adminSecret!;
});
afterAll(async () => {
  await service?.close();
  await second?.close();
  await servers?.stop();
});

const statusOf = async (at: TestService, as: string) => (await call(at, "GET", "/v1/nodes", { as })).status;
const keys = "/v1/api-keys";

test("of processes that start together one makes the admin key, which works in both at once", async () => {
  expect(second.adminSecret).toBeUndefined();
  expect([await statusOf(service, admin), await statusOf(second, admin)]).toEqual([200, 200]);
  expect(await claimAdminKey(service.book)).toBeUndefined();
});

test("a first start that died after its claim is finished by the next start", async () => {
  const claim = (await service.book.adminClaim.read("claim"))!.value;
  await service.accessBucket.delete(`api-key.${claim.id}`);
  expect(await claimAdminKey(second.book)).toBeUndefined();
  expect((await second.book.apiKeys.read(claim.id))!.value).toEqual(claim);
  await eventually(async () => (await statusOf(service, admin)) === 200);
});

test("a key works at once in another process, and is void there within a second of its revocation", async () => {
  const { secret, id } = await makeKey(service, admin, "operator");
  expect([await statusOf(second, secret), await statusOf(service, secret)]).toEqual([200, 200]);
  expect((await call(service, "DELETE", `${keys}/${id}`, { as: admin })).status).toBe(204);
  expect(await call(service, "GET", "/v1/nodes", { as: secret })).toMatchObject({
    status: 401,
    body: { code: "credentials_invalid" },
  });
  await eventually(async () => (await statusOf(second, secret)) === 401, 1_000);
  expect((await call(second, "DELETE", `${keys}/${id}`, { as: admin })).status).toBe(204);
  expect((await call(second, "DELETE", `${keys}/${newId("key")}`, { as: admin })).body.code).toBe("api_key_not_found");
  expect((await call(second, "DELETE", `${keys}/x`, { as: admin })).body.code).toBe("api_key_not_found");
});

test("the last admin key stays, until there is another", async () => {
  const all = (await call(service, "GET", keys, { as: admin })).body.data as ApiKeyView[];
  const own = all.find(({ role, revoked }) => role === "admin" && revoked === undefined)!;
  const refused = await call(service, "DELETE", `${keys}/${own.id}`, { as: admin });
  expect([refused.status, refused.body.code]).toEqual([409, "last_admin_key"]);
  const other = await makeKey(service, admin, "admin");
  expect((await call(service, "DELETE", `${keys}/${other.id}`, { as: admin })).status).toBe(204);
  expect((await call(service, "DELETE", `${keys}/${own.id}`, { as: admin })).body.code).toBe("last_admin_key");
});

test("a secret that differs anywhere is invalid", async () => {
  const { secret } = await makeKey(service, admin, "operator");
  const turned = (at: number) => secret.slice(0, at) + (secret[at] === "A" ? "B" : "A") + secret.slice(at + 1);
  for (const wrong of [
    turned(secret.length - 1),
    turned(40),
    secret.slice(0, -1),
    `${secret}A`,
    secret.toUpperCase(),
    secret.replace("ock", "oci"),
  ]) {
    expect(await statusOf(service, wrong)).toBe(401);
  }
});

test("a backend outlives its keys and takes further ones; others name none", async () => {
  const first = await makeKey(service, admin, "backend");
  expect(first.backend_id).toMatch(/^bkd_[0-9a-z]{26}$/);
  await call(service, "DELETE", `${keys}/${first.id}`, { as: admin });
  const more = (body: unknown) => call(second, "POST", keys, { as: admin, body });
  expect(await more({ role: "backend", name: "next", backend_id: first.backend_id })).toMatchObject({
    status: 201,
    body: { backend_id: first.backend_id },
  });
  const unknown = await more({ role: "backend", name: "x", backend_id: newId("bkd") });
  expect(unknown).toMatchObject({
    status: 400,
    body: { code: "validation_failed", errors: [{ pointer: "/backend_id" }] },
  });
  expect((await more({ role: "operator", name: "x", backend_id: first.backend_id })).body.code).toBe(
    "validation_failed",
  );
  expect((await more({ role: "buyer", name: "x" })).body.code).toBe("validation_failed");
  expect((await makeKey(service, admin, "backend")).backend_id).not.toBe(first.backend_id);
});

test("the list shows every key, revoked ones too, and no secret or hash", async () => {
  const made = await makeKey(service, admin, "operator");
  const { body } = await call(service, "GET", keys, { as: admin });
  expect(body.data.map(({ id }: { id: string }) => id)).toContain(made.id);
  expect(body.data.some(({ revoked }: { revoked?: string }) => revoked !== undefined)).toBe(true);
  expect(JSON.stringify(body)).not.toMatch(/secret|sha256/);
});

test("a buyer's token names channels of the caller's own backend alone", async () => {
  const [mine, theirs] = [await makeKey(service, admin, "backend"), await makeKey(service, admin, "backend")];
  const [ours, foreign] = [newId("int"), newId("int")];
  service.ownedIntents.set(ours, mine.backend_id!).set(foreign, theirs.backend_id!);
  const ask = (as: string, channels: string[], more: object = {}) =>
    call(service, "POST", "/v1/tokens", { as, body: { buyer_id: "42", channels, ...more } });

  const made = await ask(mine.secret, ["buyer:42", `intent:${ours}`], { ttl_ms: 60_000 });
  expect(made.status).toBe(201);
  const keySet = keySource([verificationKey(service.signingKey, SERVICE_ID)]);
  const verdict = verifyToken(made.body.token, keySet, Date.now(), { audience: TOKEN_AUDIENCE, issuer: SERVICE_ID });
  expect(verdict).toMatchObject({
    kind: "verified",
    claims: { role: "buyer", sub: "42", backend: mine.backend_id, channels: ["buyer:42", `intent:${ours}`] },
  });
  const others = await ask(theirs.secret, ["buyer:42"]);
  const other = verifyToken(others.body.token, keySet, Date.now(), { audience: TOKEN_AUDIENCE, issuer: SERVICE_ID });
  expect(other).toMatchObject({ kind: "verified", claims: { sub: "42", backend: theirs.backend_id } }); // the same buyer id, another backend's

  for (const channel of [
    "buyer:43",
    `intent:${foreign}`,
    `intent:${newId("int")}`,
    "intent:x",
    "node:x",
    "admin:live",
    "analytics:all",
  ]) {
    expect(await ask(mine.secret, ["buyer:42", channel])).toMatchObject({
      status: 403,
      body: { code: "channel_forbidden", errors: [{ pointer: "/channels/1" }] },
    });
  }
  expect((await ask(theirs.secret, [`intent:${ours}`])).body.code).toBe("channel_forbidden");
  for (const channel of ["buyer", "buyer:", ":42", "buyer:*", "Buyer:42"])
    expect((await ask(mine.secret, [channel])).body.code).toBe("channel_invalid");
  expect((await ask(mine.secret, ["buyer:42"], { ttl_ms: 15 * 60_000 + 1 })).body.code).toBe("validation_failed");
  expect((await call(service, "GET", keys, { as: made.body.token })).body.code).toBe("permission_denied");
});
