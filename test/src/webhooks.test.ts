// Webhooks on real servers: a receiver on a real socket, the stock library of Standard Webhooks as the judge of signatures.

import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import {
  type DeadLetter,
  type DeadLetterDetail,
  type Event,
  type EventPage,
  LIMITS,
  STREAMS,
  type WebhookAttempts,
  type WebhookCreated,
  type WebhookSecret,
  type WebhookTested,
  type WebhookView,
} from "@outcry/protocol";
import { Webhook } from "standardwebhooks";
import type { Backend } from "./api-calls.js";
import { eventually, type Market, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";
import { type Arrived, Receiver } from "./receiver.js";

const SCHEDULE_MS = [150, 200, 250];
const TIMEOUT_MS = 3_000;
const DISABLE_AFTER_MS = 2_500;

let market: Market;
let backend: Backend;
let node: RawNode;
const receivers: Receiver[] = [];
const made: { backend: Backend; id: string }[] = [];

beforeAll(async () => {
  market = await startMarket({
    webhooks: { scheduleMs: SCHEDULE_MS, timeoutMs: TIMEOUT_MS, disableAfterMs: DISABLE_AFTER_MS },
  });
  backend = await market.backend();
  node = await connectRaw(market);
});
afterEach(async () => {
  for (const { backend: owner, id } of made.splice(0)) await owner.call("DELETE", `/v1/webhooks/${id}`);
  await Promise.all(receivers.splice(0).map((one) => one.close()));
});
afterAll(() => market.stop());

async function receiver(): Promise<Receiver> {
  const opened = await new Receiver().open();
  receivers.push(opened);
  return opened;
}

async function hook(to: { url: string }, more: object = {}, owner = backend): Promise<WebhookCreated> {
  const { status, body } = await owner.call<WebhookCreated>("POST", "/v1/webhooks", { url: to.url, ...more });
  expect([status, body]).toEqual([201, expect.objectContaining({ secret: expect.stringMatching(/^whsec_/) })]);
  made.push({ backend: owner, id: body.id });
  return body;
}

/** An intent whose one node has quoted nothing and which was then closed: four events at least. */
async function closedIntent(owner = backend): Promise<string> {
  const id = await owner.broadcast({ routing: { targets: [node.id] } });
  node.ack(await node.hears(id));
  await owner.call("POST", `/v1/intents/${id}/close`);
  await market.ended(owner, id);
  return id;
}

const verify = ({ headers, body }: Arrived, secret: string): Event =>
  new Webhook(secret).verify(body, headers as Record<string, string>) as Event;
const typesOf = (events: readonly { event: Event }[]) => events.map(({ event }) => event.type);
const attemptsOf = async (id: string) =>
  (await backend.call<WebhookAttempts>("GET", `/v1/webhooks/${id}/attempts?limit=100`)).body;
const consumers = async () => {
  const names: string[] = [];
  for await (const { name } of market.manager.consumers.list(STREAMS.events)) names.push(name);
  return names.filter((name) => name.startsWith("webhook-"));
};

async function feedOf(owner: Backend, after?: string): Promise<EventPage> {
  const query = after === undefined ? "" : `&after=${after}`;
  return (await owner.call<EventPage>("GET", `/v1/events?limit=200${query}`)).body;
}

describe("a webhook", () => {
  test("gets its backend's events in the order of the feed, signed as the stock library expects", async () => {
    const [to, before] = [await receiver(), await feedOf(backend)];
    const { id, secret } = await hook(to);
    const intent = await closedIntent();
    await eventually(() => typesOf(to.about(intent)).includes("INTENT_CLOSED"));
    const feed = await feedOf(backend, before.next_cursor);
    expect(to.arrived.map(({ event }) => event)).toEqual(feed.data);
    for (const arrived of to.arrived) {
      expect(verify(arrived, secret)).toEqual(arrived.event);
      expect(arrived.headers).toMatchObject({ "webhook-id": arrived.event.id, "content-type": "application/json" });
      expect(() => verify({ ...arrived, body: Buffer.concat([arrived.body, Buffer.from(" ")]) }, secret)).toThrow(
        "No matching signature",
      );
    }
    const { data } = await attemptsOf(id);
    expect(data[0]).toMatchObject({ event_type: "INTENT_CLOSED", outcome: "delivered", status: 204, attempt: 1 });
  });
});

describe("a receiver that fails", () => {
  test("gets the same bytes and id again at each attempt, with the time of the attempt, until it takes them", async () => {
    const to = await receiver();
    to.answer = (_, nth) => (nth < 2 ? 503 : 200);
    const { id, secret } = await hook(to, { types: ["INTENT_CLOSED"] });
    await closedIntent();
    await eventually(async () => to.arrived.length === 3);
    const [first] = to.arrived;
    for (const [index, arrived] of to.arrived.entries()) {
      expect(arrived.body.equals(first!.body)).toBe(true);
      expect(arrived.headers["webhook-id"]).toBe(first!.headers["webhook-id"]);
      expect(Math.abs(Number(arrived.headers["webhook-timestamp"]) * 1_000 - arrived.atMs)).toBeLessThan(1_500);
      expect(verify(arrived, secret).id).toBe(first!.event.id);
      const waitedMs = index === 0 ? undefined : arrived.atMs - to.arrived[index - 1]!.atMs;
      if (waitedMs !== undefined) expect(waitedMs).toBeGreaterThan(SCHEDULE_MS[index - 1]! * 0.75);
    }
    const { data } = await eventually(async () => {
      const found = await attemptsOf(id);
      return found.data.length === 3 && found;
    });
    expect(data.map(({ attempt, outcome, status }) => [attempt, outcome, status])).toEqual([
      [3, "delivered", 200],
      [2, "retrying", 503],
      [1, "retrying", 503],
    ]);
    expect(Date.parse(data[2]!.next_attempt!)).toBeGreaterThan(Date.parse(data[2]!.time));
    expect(data[2]).toMatchObject({ error: "answered 503", duration_ms: expect.any(Number) });
  });

  test("that never takes one event leaves a dead letter of it, and the events behind come meanwhile", async () => {
    const to = await receiver();
    to.answer = ({ event }) => (event.type === "INTENT_CREATED" ? 500 : 200);
    const { id } = await hook(to);
    const intent = await closedIntent();
    await eventually(() => typesOf(to.about(intent)).includes("INTENT_CLOSED"));
    const poisoned = () => to.arrived.filter(({ event }) => event.type === "INTENT_CREATED");
    expect(poisoned().length).toBeLessThan(4); // the rest passed it
    const [letter] = await eventually(async () => {
      const found = await market.stored(STREAMS.deadLetters, `dead.webhook.${id}.*`);
      return found.length > 0 && found;
    });
    expect(poisoned()).toHaveLength(SCHEDULE_MS.length + 1);
    expect(new Set(poisoned().map(({ body }) => body.toString())).size).toBe(1);
    const dead = JSON.parse(Buffer.from(letter!.data).toString()) as DeadLetterDetail;
    expect(dead).toMatchObject({ kind: "webhook", cause: "answered 500", attempts: 4, webhook_id: id });
    expect(JSON.parse(Buffer.from(dead.payload!, "base64").toString())).toEqual(poisoned()[0]!.event);
    const operator = await market.operator();
    const listed = (await operator<{ data: DeadLetter[] }>("GET", "/v1/dead-letters?limit=200")).body.data;
    expect(listed.find(({ id: subject }) => subject === letter!.subject)).toMatchObject({ webhook_id: id });
    expect((await attemptsOf(id)).data[0]).toMatchObject({ outcome: "dead", attempt: 4 });
    await eventually(async () => (await attemptsOf(id)).in_hand === 0);
  });

  test("slowly, or not at all, holds up no other webhook", async () => {
    const [slow, dead, well] = [await receiver(), await receiver(), await receiver()];
    slow.answer = () => "never";
    const closed = dead.url;
    await dead.close();
    receivers.splice(receivers.indexOf(dead), 1);
    await Promise.all([hook(slow), hook({ url: closed }), hook(well)]);
    await closedIntent(); // all are running
    const startedMs = Date.now();
    const intent = await closedIntent();
    await eventually(() => typesOf(well.about(intent)).includes("INTENT_CLOSED"));
    expect(Date.now() - startedMs).toBeLessThan(TIMEOUT_MS - 500);
  });

  test("with 410 is paused, and goes on where it stopped", async () => {
    const to = await receiver();
    to.answer = () => 410;
    const { id } = await hook(to, { types: ["INTENT_CLOSED"] });
    await closedIntent();
    const paused = await eventually(async () => {
      const { body } = await backend.call<WebhookView>("GET", `/v1/webhooks/${id}`);
      return !body.enabled && body;
    });
    expect(paused).toMatchObject({ disabled_reason: "gone" });
    expect((await attemptsOf(id)).data[0]).toMatchObject({ outcome: "disabled", status: 410 });
    await closedIntent();
    expect(to.arrived).toHaveLength(1);
    to.answer = () => 200;
    const { body } = await backend.call<WebhookView>("PATCH", `/v1/webhooks/${id}`, { enabled: true });
    expect(body.disabled_reason).toBeUndefined();
    await eventually(() => to.arrived.length === 3);
    expect(new Set(to.arrived.map(({ event }) => event.id)).size).toBe(2);
  });

  test("with a redirect is not followed", async () => {
    const [to, behind] = [await receiver(), await receiver()];
    to.answer = () => ({ status: 302, headers: { location: behind.url } });
    const { id } = await hook(to, { types: ["INTENT_CLOSED"] });
    await closedIntent();
    await eventually(() => to.arrived.length === 4);
    expect([behind.sockets, behind.arrived.length]).toEqual([0, 0]);
    expect((await attemptsOf(id)).data.at(-1)).toMatchObject({ error: "redirects are not followed (302)" });
  });
});

describe("what a killed process had in hand", () => {
  test("spends no attempt: the receiver gets as many as are promised", async () => {
    const to = await receiver();
    to.answer = () => 500;
    const { id } = await hook(to, { types: ["INTENT_CLOSED"], enabled: true });
    await eventually(async () => (await consumers()).includes(`webhook-${id}-1`));
    await backend.call("PATCH", `/v1/webhooks/${id}`, { enabled: false });
    await sleep(300); // its runner has let go
    const intent = await closedIntent();
    // As often delivered, and left behind, as by a process that is killed again and again.
    const taken = await market.manager.jetstream().consumers.get(STREAMS.events, `webhook-${id}-1`);
    let deliveries = 0;
    while (deliveries < 7) {
      const messages = [];
      for await (const message of await taken.fetch({ max_messages: 20, expires: 1_000 })) messages.push(message);
      const ended = messages.find((message) => message.json<Event>().type === "INTENT_CLOSED");
      deliveries = ended?.info.deliveryCount ?? 0;
      for (const message of messages) message.nak();
    }
    await backend.call("PATCH", `/v1/webhooks/${id}`, { enabled: true });
    const [letter] = await eventually(async () => {
      const found = await market.stored(STREAMS.deadLetters, `dead.webhook.${id}.*`);
      return found.length > 0 && found;
    });
    expect(to.about(intent)).toHaveLength(SCHEDULE_MS.length + 1);
    expect(JSON.parse(Buffer.from(letter!.data).toString())).toMatchObject({ attempts: 4, cause: "answered 500" });
    // The letter is written first.
    const data = await eventually(async () => {
      const told = (await attemptsOf(id)).data;
      return told.length > SCHEDULE_MS.length && told;
    });
    expect(data.map(({ attempt, outcome }) => `${attempt} ${outcome}`)).toEqual([
      "4 dead",
      "3 retrying",
      "2 retrying",
      "1 retrying",
    ]);
  });
});

describe("a receiver with nothing but failures", () => {
  const view = async (id: string) => (await backend.call<WebhookView>("GET", `/v1/webhooks/${id}`)).body;
  const disabled = (id: string) => eventually(async () => !(await view(id)).enabled && view(id));

  test("is disabled after the documented time with a reason, and loses nothing that comes later", async () => {
    const to = await receiver();
    to.answer = () => 500;
    const { id } = await hook(to, { types: ["INTENT_CLOSED"] });
    const startedMs = Date.now();
    await closedIntent();
    await eventually(() => to.arrived.length === 1);
    const failingSince = await eventually(async () => (await attemptsOf(id)).failing_since);
    expect(Math.abs(Date.parse(failingSince) - startedMs)).toBeLessThan(2_000);
    while (Date.now() - startedMs < DISABLE_AFTER_MS + 500) await closedIntent();
    expect(await disabled(id)).toMatchObject({ enabled: false, disabled_reason: "failing" });
    expect(Date.now() - Date.parse(failingSince)).toBeGreaterThan(DISABLE_AFTER_MS);

    const late = await closedIntent();
    const arrived = to.arrived.length;
    to.answer = () => 200;
    const { body } = await backend.call<WebhookView>("PATCH", `/v1/webhooks/${id}`, { enabled: true });
    expect([body.enabled, body.disabled_reason]).toEqual([true, undefined]);
    await eventually(() => to.about(late).length === 1);
    expect(to.arrived.length).toBeGreaterThan(arrived);
    expect((await view(id)).enabled).toBe(true);
    await eventually(async () => (await attemptsOf(id)).failing_since === undefined);
  });

  test("once let go on by its owner has its whole time again", async () => {
    const to = await receiver();
    to.answer = () => 500;
    const { id } = await hook(to, { types: ["INTENT_CLOSED"] });
    const startedMs = Date.now();
    while (Date.now() - startedMs < DISABLE_AFTER_MS + 500) await closedIntent();
    await disabled(id);
    const againMs = Date.now();
    await backend.call("PATCH", `/v1/webhooks/${id}`, { enabled: true });
    const arrived = to.arrived.length;
    await closedIntent();
    await eventually(() => to.arrived.length > arrived + 1);
    expect((await view(id)).enabled).toBe(true);
    expect(Date.parse((await attemptsOf(id)).failing_since!)).toBeGreaterThanOrEqual(againMs - 1_000);
  });

  test("that took one event in between is not disabled", async () => {
    const to = await receiver();
    to.answer = (_, nth) => (nth % 4 === 3 ? 200 : 500);
    const { id } = await hook(to, { types: ["INTENT_CLOSED"] });
    const startedMs = Date.now();
    while (Date.now() - startedMs < DISABLE_AFTER_MS + 1_000) await closedIntent();
    expect(to.taken.size).toBeGreaterThan(0);
    expect((await view(id)).enabled).toBe(true);
  });
});

describe("what a backend can do", () => {
  test("test: sends a signed event now and tells what came back, one KiB of it", async () => {
    const to = await receiver();
    to.answer = () => ({ status: 418, body: "x".repeat(5_000) });
    const { id, secret } = await hook(to, { enabled: false });
    const { status, body } = await backend.call<WebhookTested>("POST", `/v1/webhooks/${id}/test`);
    expect([status, body.delivered, body.status, body.error]).toEqual([200, false, 418, "answered 418"]);
    expect(body.body).toBe("x".repeat(1_024));
    expect(verify(to.arrived[0]!, secret)).toMatchObject({ type: "WEBHOOK_TEST", id: body.event_id });
    expect((await attemptsOf(id)).data).toMatchObject([{ outcome: "test", status: 418 }]);
  });

  test("test: so often in a minute, however many requests its key may make", async () => {
    const to = await receiver();
    const owner = await market.backend("one that tests");
    const { id } = await hook(to, { enabled: false }, owner);
    for (let nth = 0; nth < LIMITS.webhookTestsPerMinute; nth++)
      expect((await owner.call("POST", `/v1/webhooks/${id}/test`)).status).toBe(200);
    const refused = await owner.call("POST", `/v1/webhooks/${id}/test`);
    expect([refused.status, refused.body.code]).toEqual([429, "rate_limited"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(to.arrived).toHaveLength(LIMITS.webhookTestsPerMinute);
  });

  test("recover: everything since a time comes again under the same ids", async () => {
    const to = await receiver();
    const since = new Date().toISOString();
    const { id } = await hook(to);
    const intent = await closedIntent();
    await eventually(() => typesOf(to.about(intent)).includes("INTENT_CLOSED"));
    const first = to.arrived.splice(0).map(({ event }) => event.id);
    const answer = await backend.call("POST", `/v1/webhooks/${id}/recover`, { since });
    expect([answer.status, answer.body]).toEqual([202, { id, since, complete: true }]);
    await eventually(() => typesOf(to.about(intent)).includes("INTENT_CLOSED"));
    expect(to.arrived.map(({ event }) => event.id)).toEqual(first);
    await eventually(async () => (await consumers()).join() === `webhook-${id}-2`);
  });

  test("secret: both sign for a day, and the old one is shown nowhere", async () => {
    const to = await receiver();
    const { id, secret } = await hook(to, { types: ["INTENT_CLOSED"] });
    const rotated = (await backend.call<WebhookSecret>("POST", `/v1/webhooks/${id}/secret`)).body;
    expect(Date.parse(rotated.previous_until) - Date.now()).toBeGreaterThan(23.9 * 3_600_000);
    await closedIntent();
    await eventually(() => to.arrived.length === 1);
    const [arrived] = to.arrived;
    expect(String(arrived!.headers["webhook-signature"]).split(" ")).toHaveLength(2);
    expect(verify(arrived!, secret).id).toBe(verify(arrived!, rotated.secret).id);
    for (const route of ["/v1/webhooks", `/v1/webhooks/${id}`, `/v1/webhooks/${id}/attempts`])
      expect(JSON.stringify((await backend.call("GET", route)).body)).not.toContain("whsec_");
    const kept = (await market.stored("KV_access")).map(({ data }) => Buffer.from(data).toString()).join("\n");
    for (const shown of [secret, rotated.secret]) expect(kept).not.toContain(shown.slice(6, 30));
    expect(JSON.stringify(market.logs)).not.toContain("whsec_");
  });

  test("delete: its consumer goes, and nothing more comes", async () => {
    const to = await receiver();
    const { id } = await hook(to);
    await closedIntent();
    await eventually(() => to.arrived.length >= 4);
    expect(await consumers()).toContain(`webhook-${id}-1`);
    expect((await backend.call("DELETE", `/v1/webhooks/${id}`)).status).toBe(204);
    made.length = 0;
    await eventually(async () => (await consumers()).length === 0);
    const arrived = to.arrived.length;
    await closedIntent();
    expect(to.arrived).toHaveLength(arrived);
    expect((await backend.call("GET", `/v1/webhooks/${id}`)).body.code).toBe("webhook_not_found");
    expect(await consumers()).toEqual([]);
  });

  test("change: another URL counts from the next attempt on; wrong values name their place", async () => {
    const [to, other] = [await receiver(), await receiver()];
    to.answer = () => 500;
    const { id } = await hook(to, { types: ["INTENT_CLOSED"] });
    await closedIntent();
    await eventually(() => to.arrived.length === 1);
    await backend.call("PATCH", `/v1/webhooks/${id}`, { url: other.url, description: "moved" });
    await eventually(() => other.arrived.length === 1);
    const wrong = await backend.call("PATCH", `/v1/webhooks/${id}`, { types: ["INTENT_CLOSED", "NOTHING"] });
    expect([wrong.status, wrong.body.code]).toEqual([400, "validation_failed"]);
    expect(wrong.body.errors.map(({ pointer }) => pointer)).toContain("/types/1");
    const ftp = await backend.call("PATCH", `/v1/webhooks/${id}`, { url: "ftp://example.com" });
    expect([ftp.status, ftp.body.code, ftp.body.errors[0]?.pointer]).toEqual([400, "webhook_url_refused", "/url"]);
  });

  test("nothing with a webhook of another backend, whose events it never gets", async () => {
    const stranger = await market.backend("another marketplace");
    const [to, theirs] = [await receiver(), await receiver()];
    const { id } = await hook(to);
    await hook(theirs, {}, stranger);
    const intent = await closedIntent();
    const foreign = await closedIntent(stranger);
    await eventually(() => typesOf(to.about(intent)).includes("INTENT_CLOSED"));
    await eventually(() => typesOf(theirs.about(foreign)).includes("INTENT_CLOSED"));
    expect([to.about(foreign), theirs.about(intent)]).toEqual([[], []]);
    expect((await stranger.call<{ data: WebhookView[] }>("GET", "/v1/webhooks")).body.data).toHaveLength(1);
    const since = new Date().toISOString();
    for (const [method, rest, body] of [
      ["GET", ""],
      ["PATCH", "", {}],
      ["DELETE", ""],
      ["GET", "/attempts"],
      ["POST", "/test"],
      ["POST", "/secret"],
      ["POST", "/recover", { since }],
    ] as const) {
      const { status, body: problem } = await stranger.call(method, `/v1/webhooks/${id}${rest}`, body);
      expect([method, rest, status, problem.code]).toEqual([method, rest, 404, "webhook_not_found"]);
    }
  });
});

test("the example receiver registers, verifies, prints each event and takes its webhook with it", async () => {
  const key = { role: "backend", name: "example", backend_id: backend.id };
  const { secret } = (await market.admin<{ secret: string }>("POST", "/v1/api-keys", key)).body;
  const file = path.resolve(import.meta.dirname, "../../examples/receiver/receiver.mjs");
  const child = spawn(process.execPath, [file], {
    env: { PATH: process.env["PATH"], OUTCRY_URL: market.url, OUTCRY_API_KEY: secret },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  child.stdout.on("data", (text: Buffer) => (printed += text.toString()));
  await eventually(() => printed.includes("the test event arrived"));
  const intent = await closedIntent();
  await eventually(() => printed.includes(`INTENT_CLOSED  ${intent}`));
  expect(printed).not.toContain("refused");
  child.kill("SIGINT");
  const [code] = (await once(child, "exit")) as [number];
  expect(code).toBe(0);
  expect((await backend.call<{ data: unknown[] }>("GET", "/v1/webhooks")).body.data).toEqual([]);
});
