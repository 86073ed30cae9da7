// The line between two regions loses every packet for a while, and neither side is told: no FIN, no RST. Only missing pings tell
// (infra/regions/nats/leaf-*.conf). Readers of the further region may be late; they lose nothing, get nothing twice, and are told
// nothing that is false (docs/regions.md).

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import type { Backbone } from "@outcry/backbone";
import { type LeafLayout, startLeafRegions } from "@outcry/regions";
import { seeded, SEED, sized } from "../faults/sizes.js";
import { TcpProxy } from "../tcp-proxy.js";
import { eventually, MIRROR_BACK_MS, newLayoutOptions, RegionWorld } from "./region-world.js";
import { Roamer, roaming } from "./roamer.js";

const US = 1;
const PING_MAX = 2;
const SHIPPED = { home: 10_000, region: 3_000 };
const SHORT = { home: 1_000, region: 1_000 };
const IS_SOAK = sized(0, 1) > 0;
const PING_MS = IS_SOAK ? SHIPPED : SHORT;
const DEAD_MS = (PING_MAX + 1) * PING_MS.region; // the ping that is due then finds two unanswered
const HOME_DEAD_MS = (PING_MAX + 2) * PING_MS.home; // it puts a ping off where it has heard something within the interval
const REDIAL_MS = 1_000; // leafnodes.reconnect of nats-server
const SLACK_MS = 3_000; // of a busy machine, and of the mirror
const MIRROR_PATIENCE_MS = 10_000; // of silence; what a mirror asks for behind that, on a line that is not there, costs it 40 s
const REFUSAL_MS = 5_000; // a gateway asks the record's head for 2 s
const TIMEOUT_MS = 60_000 + HOME_DEAD_MS + MIRROR_BACK_MS;

let line: TcpProxy;
let layout: LeafLayout;
let world: RegionWorld;
let us: Backbone;
let urls: string[];
/** One that stays in `us`, and two that change regions: all of them through the whole test. */
let readers: Roamer[];
let leave: () => Promise<void>;

beforeAll(async () => {
  const options = newLayoutOptions();
  const lineThrough = async (port: number): Promise<number> =>
    (line = await TcpProxy.to(`tcp://127.0.0.1:${port}`)).port;
  const pings = IS_SOAK ? {} : { pingMs: SHORT.home };
  layout = await startLeafRegions({ ...options, lineThrough, ...pings });
  world = await RegionWorld.start(layout, options, { urls: [layout.home.url], replicas: 1, region: "eu" });
  const place = { urls: [layout.region.url], tap: "us", domain: "eu" };
  await world.tapKeeper(place);
  urls = [(await world.gateway({ urls: [layout.home.url], region: "eu" })).url, (await world.gateway(place)).url];
  us = await world.connect([layout.region.url]);
}, 60_000);
afterAll(async () => {
  line?.release();
  await world?.remove();
  await line?.close();
});

beforeEach(async () => {
  await world.tell(20);
  await world.inStep("us", us);
  readers = [0, 1, 2].map(
    (at) => new Roamer({ channel: world.channel, secret: world.secret, urls, random: seeded(SEED + at) }),
  );
  const [stays, ...others] = readers as [Roamer, ...Roamer[]];
  let end!: () => void;
  const staying = stays.visit(US, new Promise<void>((resolve) => (end = resolve)));
  let done!: () => void;
  const moving = roaming(others, () => new Promise<void>((resolve) => (done = resolve)));
  leave = async () => {
    done();
    end();
    await Promise.all([moving, staying]);
  };
  await eventually(() => readers.every(({ got }) => got.length > 0));
}, MIRROR_BACK_MS);

afterEach(() => {
  line.release(); // where a test failed before
  return leave();
});

/** Once they have left: everything that is recorded came to everyone once, in order, and every resumption was whole. */
async function nothingLost(): Promise<void> {
  await leave();
  const recorded = await world.recorded();
  expect(recorded).toHaveLength(world.told);
  for (const [at, reader] of readers.entries()) {
    await reader.finish(recorded.length);
    expect(reader.got).toEqual(recorded);
    expect(reader.resets).toEqual([]);
    if (at > 0) expect(new Set(reader.recoveries)).toEqual(new Set([true]));
  }
}

/** Leaf node connections as either server counts them. */
const linesOf = (): Promise<number[]> =>
  Promise.all(
    [layout.home, layout.region].map(async ({ monitorUrl }) => {
      const answer = await fetch(`${monitorUrl}/leafz`);
      return ((await answer.json()) as { leafnodes: number }).leafnodes;
    }),
  );

/** Until `us` has all of it, readers included. */
async function backWithin(ms: number): Promise<void> {
  const from = performance.now();
  await world.inStep("us", us);
  await eventually(() => readers[0]!.got.length === world.told);
  expect(performance.now() - from).toBeLessThan(ms);
}

test(
  "a silence that ends before the pings are missed is a delay: the connection holds, and what was sent comes late",
  async () => {
    const dialled = line.accepted;
    line.hold();
    await world.tell(20);
    await sleep(PING_MS.region);
    expect(readers[0]!.got.length).toBeLessThan(world.told);
    line.release();
    await backWithin(SLACK_MS);
    expect([line.accepted, await linesOf()]).toEqual([dialled, [1, 1]]);
    await nothingLost();
  },
  TIMEOUT_MS,
);

test(
  "a connection that goes silent for good is given up after the missing pings, and another one brings the rest",
  async () => {
    const dialled = line.accepted;
    line.forget();
    const from = performance.now();
    await world.tell(20);
    await backWithin(DEAD_MS + REDIAL_MS + SLACK_MS);
    expect(performance.now() - from).toBeGreaterThan(PING_MS.region); // nothing else told of it
    expect(line.accepted).toBe(dialled + 1);
    await eventually(async () => (await linesOf()).every((count) => count === 1)); // home gives up the one that was replaced
    await nothingLost();
  },
  TIMEOUT_MS,
);

test.each([
  ["comes back with all that was held", () => undefined],
  ["is reset and comes back", () => line.reset()],
])(
  "a line that is silent until either side has given it up, and %s: cursors ahead of the tap wait, those behind are served",
  async (_, before) => {
    line.hold();
    await world.tell(20);
    await eventually(async () => (await linesOf()).every((count) => count === 0), HOME_DEAD_MS + SLACK_MS);
    const ahead = new Roamer({ channel: world.channel, secret: world.secret, urls, random: seeded(SEED) });
    await ahead.finish(world.told);
    const behind = readers[0]!.copy();
    const from = performance.now();
    expect(await ahead.visit(US, 50)).toBe(false);
    expect(performance.now() - from).toBeLessThan(REFUSAL_MS);
    expect(await behind.visit(US, 50)).toBe(true);
    expect([ahead.recoveries, behind.recoveries]).toEqual([[], [true]]);
    await world.tell(20);
    before();
    line.release();
    await backWithin(HOME_DEAD_MS < MIRROR_PATIENCE_MS ? REDIAL_MS + SLACK_MS : MIRROR_BACK_MS);
    for (const reader of [ahead, behind]) {
      await eventually(() => reader.visit(US, 200));
      expect([reader.got.length, new Set(reader.recoveries)]).toEqual([world.told, new Set([true])]);
    }
    await nothingLost();
  },
  TIMEOUT_MS,
);
