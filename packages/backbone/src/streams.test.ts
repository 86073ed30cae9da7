import { OutcryError } from "@outcry/protocol";
import { afterEach, expect, test } from "@jest/globals";
import { bytes, startNats } from "./nats-server.fixture.js";
import type { TestServer } from "./nats-server.fixture.js";
import { streamHead, streamInfo } from "./read.js";
import { ensureStreams } from "./streams.js";

let server: TestServer;
afterEach(() => server.remove());
const options = { replicas: 1, region: "local" };

test("all streams and buckets are created once, with an epoch that stays", async () => {
  server = await startNats();
  const backbone = await server.connect();
  const [made, other] = await Promise.all([
    ensureStreams(backbone, options),
    ensureStreams(await server.connect(), options),
  ]);
  expect(made.map((stream) => stream.name)).toEqual([
    "INTENTS",
    "EVENTS",
    "QUOTES",
    "DEAD_LETTERS",
    "KV_nodes",
    "KV_access",
  ]);
  for (const [index, stream] of made.entries()) {
    expect(stream.epoch).toMatch(/^[0-9a-f]{24}$/);
    expect(other[index]?.epoch).toBe(stream.epoch);
    expect(stream.created === other[index]?.created).toBe(false); // exactly one of the two made it
  }
  expect((await streamHead(backbone, "EVENTS")).epoch).toBe(made[1]?.epoch);
  const again = await ensureStreams(backbone, options);
  expect(again.filter((stream) => stream.created)).toEqual([]);
});

test("a stream that breaks a promise is refused by the name of the setting, and left as it is", async () => {
  server = await startNats();
  const backbone = await server.connect();
  await ensureStreams(backbone, options);
  const info = await streamInfo(backbone, "INTENTS");
  const weaker = { ...info!.config, max_age: 3_600e9, discard: "old" };
  await backbone.request("$JS.API.STREAM.UPDATE.INTENTS", bytes(JSON.stringify(weaker)));
  const error = await ensureStreams(backbone, { ...options, replicas: 3 }).catch(
    (reason: unknown) => reason as OutcryError,
  );
  expect(error).toBeInstanceOf(OutcryError);
  const detail = (error as OutcryError).detail;
  expect((error as OutcryError).code).toBe("promise_unkept");
  for (const part of [
    "INTENTS: max_age is 3600000000000",
    'INTENTS: discard is "old", must be "new"',
    "EVENTS: num_replicas is 1, must be at least 3",
  ]) {
    expect(detail).toContain(part);
  }
  expect((await streamInfo(backbone, "INTENTS"))?.config.discard).toBe("old");
});

test("more than what is promised is no mismatch: longer ages, other bounds", async () => {
  server = await startNats();
  const backbone = await server.connect();
  await ensureStreams(backbone, options);
  const info = await streamInfo(backbone, "QUOTES");
  const more = { ...info!.config, max_age: 60 * 86_400e9, max_bytes: 5e8 };
  await backbone.request("$JS.API.STREAM.UPDATE.QUOTES", bytes(JSON.stringify(more)));
  await expect(ensureStreams(backbone, options)).resolves.toHaveLength(6);
});
