// What leaves the log before a webhook was given it, on a real nats-server.

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { consumerPlace, createAppender, runConsumer } from "@outcry/backbone";
import { newId, silentLog, STREAMS, TOPICS, toRfc3339 } from "@outcry/protocol";
import type { StoredWebhook } from "../access/access-book.js";
import { eventually, startServers, startService, type TestServers, type TestService } from "../http/service.fixture.js";
import { trimEvents } from "../trim-events.js";
import { markMissed } from "./mark-missed.js";
import { durableOf } from "./webhook-book.js";

let servers: TestServers;
let service: TestService;
beforeAll(async () => {
  servers = await startServers();
  service = await startService(servers);
});
afterAll(async () => {
  await service.close();
  await servers.stop();
});

async function webhookOf(backendId: string): Promise<StoredWebhook> {
  const now = toRfc3339(Date.now());
  const stored: StoredWebhook = {
    id: newId("whk"),
    backend_id: backendId,
    url: "https://hooks.example.com/",
    types: [],
    enabled: true,
    secrets: [{ sealed: "x.y" }],
    start_seq: 1,
    generation: 1,
    created: now,
    updated: now,
  };
  await service.book.webhooks.create(stored.id, stored);
  return stored;
}

test("is said on a webhook that was behind, and on no other", async () => {
  const { backbone, book } = service;
  const [backend, quiet] = [newId("bkd"), newId("bkd")];
  const appender = createAppender(backbone, { stream: STREAMS.events });
  for (let nth = 0; nth < 5; nth++)
    await appender.append({ subject: TOPICS.intent(backend, undefined, newId("int")), data: new Uint8Array(1) });
  const [behind, through, other] = [await webhookOf(backend), await webhookOf(backend), await webhookOf(quiet)];
  const consumer = runConsumer(backbone, {
    stream: STREAMS.events,
    durable: durableOf(through),
    filters: [TOPICS.backend(backend)],
    deliveryLimit: 1,
    handler: () => Promise.resolve(),
    onExhausted: () => Promise.resolve(),
    log: silentLog,
  });
  await eventually(async () => (await consumerPlace(backbone, STREAMS.events, durableOf(through)))?.nextSeq === 6);
  await consumer.stop();

  const beforeMs = Date.now() + 1_000;
  const beforePurge = (seq: number, ms: number) => markMissed({ backbone, book, log: silentLog }, seq, ms);
  expect(await trimEvents({ backbone, beforePurge }, beforeMs)).toBe(5);
  const missed = async ({ id }: StoredWebhook) => (await book.webhooks.read(id))?.value.missed_until;
  expect(await missed(behind)).toBe(toRfc3339(beforeMs));
  expect([await missed(through), await missed(other)]).toEqual([undefined, undefined]);
});
