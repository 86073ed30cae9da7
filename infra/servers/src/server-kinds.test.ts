import { expect, test } from "@jest/globals";
import { chromium, natsServer, parseVersion, redisServer } from "./server-kinds.js";

test.each([
  ["nats-server: v2.9.10", false],
  ["nats-server: v2.12.6", false],
  ["nats-server: v2.12.7", true],
  ["nats-server: v2.12.15", true],
  ["nats-server: v2.13.0", false],
  ["nats-server: v2.14.0", true],
  ["nats-server: v2.15.1", true],
  ["nats-server: v3.0.0", true],
])("nats-server: %s is on the floor: %s", (text, enough) => {
  const version = parseVersion(natsServer, text);
  expect(version && natsServer.isNewEnough(version)).toBe(enough);
});

test.each([
  ["Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64", false],
  ["Redis server v=6.2.0 sha=00000000:0", true],
  ["Redis server v=7.0.15 sha=00000000:0", true],
  ["Valkey server v=8.0.1 sha=00000000:0", true],
])("redis-server: %s is on the floor: %s", (text, enough) => {
  const version = parseVersion(redisServer, text);
  expect(version && redisServer.isNewEnough(version)).toBe(enough);
});

test.each([
  ["Chromium 119.0.6045.199 built on Debian", false],
  ["Chromium 120.0.6099.71", true],
  ["Google Chrome 156.0.8078.108", true],
])("chromium: %s is on the floor: %s", (text, enough) => {
  const version = parseVersion(chromium, text);
  expect(version && chromium.isNewEnough(version)).toBe(enough);
});

test("a program that says something else has no version", () => {
  expect(parseVersion(natsServer, "error while loading shared libraries")).toBeUndefined();
});
