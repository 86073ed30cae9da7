// Revocations of buyers' rights and the tokens around them, at two processes of the service on one record.

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type BuyerRevocationView, LIMITS, newId, silentLog } from "@outcry/protocol";
import { call, makeKey } from "../http/call.fixture.js";
import { eventually, startServers, startService, type TestServers, type TestService } from "../http/service.fixture.js";
import { keepSweepingRights } from "./buyer-rights.js";

const REVOCATIONS = "/v1/gateway/revocations";
const LIVING_MS = LIMITS.buyerTokenMs + LIMITS.clockSkewMs;

let servers: TestServers;
let one: TestService;
let two: TestService;
let nowMs = Date.now();
let key: { secret: string; backend_id?: string };

beforeAll(async () => {
  servers = await startServers();
  const clock = { now: () => nowMs };
  one = await startService(servers, { clock });
  two = await startService(servers, { clock, signingKey: one.signingKey });
  key = await makeKey(one, one.adminSecret!, "backend");
  await eventually(async () => (await call(two, "GET", REVOCATIONS, { as: key.secret })).status === 200);
});
afterAll(async () => {
  await one?.close();
  await two?.close();
  await servers?.stop();
});

const revoke = (at: TestService, buyer: string, channel?: string) =>
  call<BuyerRevocationView & { code: string }>(at, "POST", REVOCATIONS, {
    as: key.secret,
    body: { buyer_id: buyer, reason: "a test", ...(channel === undefined ? {} : { channel }) },
  });

/** Seconds that a new token of this buyer is dated. */
async function dated(at: TestService, buyer: string): Promise<number> {
  const { body } = await call(at, "POST", "/v1/tokens", {
    as: key.secret,
    body: { buyer_id: buyer, channels: [`buyer:${buyer}`] },
  });
  return (JSON.parse(Buffer.from(body.token.split(".")[1]!, "base64url").toString()) as { iat: number }).iat;
}

/** What the gateways read. */
async function untils(buyer: string): Promise<number[]> {
  for await (const { key: name, value } of one.accessBucket.entries()) {
    if (!name.startsWith("buyer-rights.")) continue;
    const record = JSON.parse(Buffer.from(value).toString()) as { buyer_id: string; revoked: { until: number }[] };
    if (record.buyer_id === buyer) return record.revoked.map(({ until }) => until);
  }
  return [];
}

test("each token is void by every later revocation and by no earlier one, all within one second and at both processes", async () => {
  expect(await dated(two, "chain")).toBe(Math.floor(nowMs / 1_000)); // not ahead without a reason
  for (let round = 0; round < 6; round++) {
    const [here, there] = round % 2 === 0 ? [one, two] : [two, one];
    const before = await dated(there, "chain");
    expect((await revoke(here, "chain", round < 3 ? undefined : `buyer:${round}`)).status).toBe(201);
    const latest = Math.max(...(await untils("chain")));
    const after = await dated(there, "chain");
    expect([round, before <= latest, after > latest]).toEqual([round, true, true]);
  }
  nowMs += 60_000;
  expect(await dated(one, "chain")).toBe(Math.floor(nowMs / 1_000)); // and not for ever
});

test("revocations of one buyer at the same time are all recorded, each behind the other", async () => {
  const all = await Promise.all(
    Array.from({ length: 8 }, (_, at) => revoke(at % 2 === 0 ? one : two, "together", `intent:${at}`)),
  );
  expect(all.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 201));
  const until = await untils("together");
  expect(new Set(until).size).toBe(8);
});

test("no token is dated further ahead than verifiers tolerate: too many within a moment are limited", async () => {
  const statuses: number[] = [];
  for (let n = 0; n < 40; n++) statuses.push((await revoke(one, "often")).status);
  expect(statuses.slice(0, 20).every((status) => status === 201)).toBe(true);
  const refused = await revoke(one, "often");
  expect([refused.status, refused.body.code]).toEqual([429, "rate_limited"]);
  expect((await dated(one, "often")) * 1_000 - nowMs).toBeLessThan(LIMITS.clockSkewMs);
  nowMs += Number(refused.headers["retry-after"]) * 1_000;
  expect((await revoke(one, "often")).status).toBe(201);
});

test("one buyer has a bounded number of channels, of which those that no token can concern make room", async () => {
  for (let n = 0; n < LIMITS.revocationsPerBuyerMax; n++) {
    expect([n, (await revoke(one, "wide", `intent:${n}`)).status]).toEqual([n, 201]);
    nowMs += 1_000;
  }
  expect(await revoke(one, "wide", "intent:more")).toMatchObject({ status: 429, body: { code: "rate_limited" } });
  nowMs += LIVING_MS;
  expect((await revoke(one, "wide", "intent:more")).status).toBe(201);
  expect(await untils("wide")).toHaveLength(LIMITS.revocationsPerBuyerMax);
}, 30_000);

test("is read for seven days, then gone", async () => {
  await revoke(one, "week");
  const listed = async () =>
    (await call<{ data: BuyerRevocationView[] }>(two, "GET", `${REVOCATIONS}?buyer_id=week`, { as: key.secret })).body
      .data;
  await eventually(async () => (await listed()).length === 1);
  nowMs += LIMITS.revocationsKeptMs - 1_000;
  keepSweepingRights(two.book, silentLog)();
  await revoke(one, "week-after"); // behind the sweep, if there had been one
  expect(await untils("week")).toHaveLength(1);
  nowMs += 2_000;
  keepSweepingRights(two.book, silentLog)();
  await eventually(async () => (await listed()).length === 0);
  expect(await untils("week")).toEqual([]);
  expect(await untils("week-after")).toHaveLength(1);
});

test("one backend's buyers are bounded, too; those that no token can concern make room", async () => {
  const { revocationsPerBackendMax: max } = LIMITS;
  const backend = await makeKey(one, one.adminSecret!, "backend");
  const at = new Date(nowMs).toISOString();
  const entry = { id: newId("rvk"), at, until: Math.floor(nowMs / 1_000), by: "key_x", reason: "a test" };
  const create = (n: number) =>
    one.book.buyerRights.create(`crowd-${n}`, {
      backend_id: backend.backend_id!,
      buyer_id: String(n),
      revoked: [entry],
    });
  for (let n = 0; n < max; n += 500) await Promise.all(Array.from({ length: 500 }, (_, more) => create(n + more)));
  const another = () =>
    call(one, "POST", REVOCATIONS, { as: backend.secret, body: { buyer_id: "another", reason: "a test" } });
  expect(await another()).toMatchObject({ status: 429, body: { code: "rate_limited" } });
  expect((await revoke(one, "not-theirs")).status).toBe(201);
  nowMs += LIVING_MS + 1_000;
  expect((await another()).status).toBe(201);
}, 120_000);
