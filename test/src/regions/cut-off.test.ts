// What a region says while it is cut off, behind a home that was trimmed or made anew meanwhile, and when its own copy is lost:
// late is waited for, gone is told, and no `recovered: true` is false (docs/regions.md).

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { type Backbone, purgeBelow, streamHead } from "@outcry/backbone";
import { STREAMS, tapStream } from "@outcry/protocol";
import { type LeafLayout, type ServiceProcess, startLeafRegions } from "@outcry/regions";
import { seeded, SEED } from "../faults/sizes.js";
import { TcpProxy } from "../tcp-proxy.js";
import { eventually, MIRROR_BACK_MS, newLayoutOptions, RegionWorld, settled } from "./region-world.js";
import { Roamer } from "./roamer.js";

const [EU, US] = [0, 1];
const TAP = tapStream("us");
const TIMEOUT_MS = 3 * MIRROR_BACK_MS; // seconds, as a rule

let line: TcpProxy;
let layout: LeafLayout;
let world: RegionWorld;
let keeper: ServiceProcess;
let usGateway: ServiceProcess;
let urls: string[];
let us: Backbone;
let homeFromUs: Backbone;

beforeAll(async () => {
  const options = newLayoutOptions();
  const lineThrough = async (port: number): Promise<number> =>
    (line = await TcpProxy.to(`tcp://127.0.0.1:${port}`)).port;
  layout = await startLeafRegions({ ...options, lineThrough });
  world = await RegionWorld.start(layout, options, { urls: [layout.home.url], replicas: 1, region: "eu" });
  const place = { urls: [layout.region.url], tap: "us", domain: "eu" };
  keeper = await world.tapKeeper(place);
  usGateway = await world.gateway(place);
  urls = [(await world.gateway({ urls: [layout.home.url], region: "eu" })).url, usGateway.url];
  us = await world.connect([layout.region.url]);
  homeFromUs = await world.connect([layout.region.url], "eu");
}, 60_000);
afterAll(async () => {
  await world?.remove();
  await line?.close();
});
beforeEach(() => inStep());

const newReader = (): Roamer =>
  new Roamer({ channel: world.channel, secret: world.secret, urls, random: seeded(SEED) });

const inStep = (): Promise<void> => world.inStep("us", us);

/** A reader that is online at `at`, and the way to end its visit. */
function online(at: number, reader = newReader()): { reader: Roamer; leave: () => Promise<void> } {
  let end!: () => void;
  const visiting = reader.visit(at, new Promise<void>((resolve) => (end = resolve)));
  return {
    reader,
    async leave() {
      end();
      await visiting;
    },
  };
}

describe("a region that is cut off", () => {
  test(
    "serves what it has; a cursor that is ahead of it is asked to come again, and nothing is lost when the line is back",
    async () => {
      await world.tell(20);
      await inStep();
      const here = online(US);
      await eventually(() => here.reader.got.length === world.told);
      line.cut();
      await world.tell(20);
      const there = newReader();
      await there.finish(world.told);
      const ahead = there.copy();
      expect(await ahead.visit(US, 50)).toBe(false);
      expect([ahead.recoveries, ahead.refused]).toEqual([[], 1]);
      const behind = newReader();
      expect(await behind.visit(US, 200)).toBe(true);
      expect(await behind.visit(US, 200)).toBe(true);
      expect([behind.recoveries, behind.got.length]).toEqual([[true], world.told - 20]);

      line.mend();
      const recorded = await world.recorded();
      await eventually(() => here.reader.got.length === recorded.length, MIRROR_BACK_MS);
      await here.leave();
      expect([here.reader.got, here.reader.resets]).toEqual([recorded, []]);
      await eventually(() => ahead.visit(US, 100), MIRROR_BACK_MS);
      await behind.visit(US, 200);
      expect([ahead.recoveries, ahead.got]).toEqual([[true], recorded]);
      expect([behind.recoveries, behind.got]).toEqual([[true, true], recorded]);
    },
    TIMEOUT_MS,
  );

  test(
    "tells what its home trimmed meanwhile: reset online, recovered: false for a cursor before the hole, true behind it",
    async () => {
      const before = newReader();
      await before.finish(world.told);
      const here = online(US, before.copy());
      await eventually(() => here.reader.recoveries.length === 1);
      line.cut();
      await world.tell(30);
      const { lastSeq } = await streamHead(world.record, STREAMS.events);
      await purgeBelow(world.record, STREAMS.events, lastSeq - 4);
      line.mend();
      await inStep();
      await world.tell(1);
      await eventually(() => here.reader.got.at(-1) === world.told - 1, MIRROR_BACK_MS);
      await here.leave();
      expect(here.reader.resets).toEqual(["trimmed"]);

      const seen = before.got.length;
      expect(await before.visit(US, 300)).toBe(true);
      expect([before.recoveries, before.got.length]).toEqual([["trimmed"], seen]);
      const behind = here.reader.copy();
      await world.tell(3);
      await eventually(async () => (await behind.visit(US, 300)) && behind.got.at(-1) === world.told - 1);
      expect(new Set(behind.recoveries)).toEqual(new Set([true]));
    },
    TIMEOUT_MS,
  );
});

describe("a copy that is not what it was", () => {
  test(
    "a tap that is lost, and empty for a while, doubles nothing and is no gap",
    async () => {
      await world.tell(10);
      await inStep();
      const here = online(US);
      await eventually(() => here.reader.got.at(-1) === world.told - 1);
      const place = here.reader.copy();
      const got = here.reader.got.length;
      await keeper.kill9();
      const { config } = await ask(us, `STREAM.INFO.${TAP}`);
      line.cut();
      await ask(us, `STREAM.DELETE.${TAP}`);
      await ask(us, `STREAM.CREATE.${TAP}`, config); // as the keeper makes it; it finds no origin yet
      await eventually(async () => !(await usGateway.isReady()));
      await world.tell(10);
      await ask(us, `STREAM.DELETE.${TAP}`); // this one would ask for its origin again after 40 s only
      line.mend();
      await eventually(async () => (await settled(streamHead(homeFromUs, STREAMS.events))) !== undefined, 30_000);
      await keeper.start();
      await inStep();
      await eventually(() => here.reader.got.length === got + 10, MIRROR_BACK_MS);
      await here.leave();
      expect(here.reader.resets).toEqual([]);
      await eventually(() => place.visit(US, 200), MIRROR_BACK_MS);
      expect([place.recoveries, place.got]).toEqual([[true], here.reader.got]);
    },
    TIMEOUT_MS,
  );

  test.each([
    ["with its keeper", false],
    ["while its keeper is away", true],
  ])(
    "the events made anew at home reset every reader of the other region, %s",
    async (_, away) => {
      await world.tell(10);
      await inStep();
      const here = online(US);
      await eventually(() => here.reader.got.at(-1) === world.told - 1);
      const old = here.reader.copy();
      if (away) await keeper.kill9();
      await ask(world.record, `STREAM.DELETE.${STREAMS.events}`);
      await eventually(async () => (await world.makeStreams()) !== undefined);
      await eventually(() => here.reader.resets.length > 0, MIRROR_BACK_MS);
      if (away) await keeper.start();
      const from = world.told;
      await world.tell(20);
      const expected = Array.from({ length: 20 }, (__, n) => from + n);
      await eventually(() => here.reader.got.at(-1) === world.told - 1, MIRROR_BACK_MS);
      await here.leave();
      expect(here.reader.resets).toEqual(["epoch"]);
      expect(here.reader.got.slice(-20)).toEqual(expected);
      for (const at of [EU, US]) {
        const copy = old.copy();
        await eventually(() => copy.visit(at, 100), MIRROR_BACK_MS);
        expect(copy.recoveries).toEqual(["epoch"]);
        const fresh = newReader();
        await eventually(async () => (await fresh.visit(at, 200)) && fresh.got.length === 20, MIRROR_BACK_MS);
        expect(fresh.got).toEqual(expected);
      }
    },
    TIMEOUT_MS,
  );
});

async function ask(backbone: Backbone, verb: string, body: object = {}): Promise<{ config: object }> {
  const answer = await backbone.request(`$JS.API.${verb}`, Buffer.from(JSON.stringify(body)));
  const parsed = JSON.parse(Buffer.from(answer.data).toString()) as { config: object };
  expect(parsed).not.toHaveProperty("error");
  return parsed;
}
