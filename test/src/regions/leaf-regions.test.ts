// Two regions by leaf node, each with a JetStream domain: `eu` owns EVENTS, `us` reads its tap (docs/regions.md).

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { createAppender, getLast } from "@outcry/backbone";
import { newId, STREAMS, SUBJECTS } from "@outcry/protocol";
import { type LeafLayout, type ServiceProcess, startLeafRegions } from "@outcry/regions";
import { seeded, SEED, sized } from "../faults/sizes.js";
import { eventually, newLayoutOptions, RegionWorld } from "./region-world.js";
import { Roamer, roaming } from "./roamer.js";

const EVENTS = sized(400, 8_000);
const ROAMERS = 4;

let layout: LeafLayout;
let world: RegionWorld;
let gateways: ServiceProcess[];
let urls: string[];

beforeAll(async () => {
  const options = newLayoutOptions();
  layout = await startLeafRegions(options);
  world = await RegionWorld.start(layout, options, { urls: [layout.home.url], replicas: 1, region: "eu" });
  const us = { urls: [layout.region.url], tap: "us", domain: "eu" };
  await world.tapKeeper(us);
  gateways = [await world.gateway({ urls: [layout.home.url], region: "eu" }), await world.gateway(us)];
  urls = gateways.map(({ url }) => url);
}, 60_000);
afterAll(() => world?.remove());

const newRoamer = (seed: number): Roamer =>
  new Roamer({ channel: world.channel, secret: world.secret, urls, random: seeded(SEED + seed) });

describe("two regions by leaf node", () => {
  test(
    "readers that change regions with one cursor miss nothing and get nothing twice, also when a gateway is killed",
    async () => {
      const roamers = Array.from({ length: ROAMERS }, (_, at) => newRoamer(at));
      await roaming(roamers, async () => {
        for (let slice = 0; slice < 8; slice++) {
          await world.tell(EVENTS / 8);
          await sleep(100);
          const gateway = gateways[slice % 2]!;
          if (slice === 3 || slice === 4) {
            await gateway.kill9();
            await gateway.start();
          }
        }
      });
      const recorded = await world.recorded();
      expect(recorded.length).toBe(world.told);
      for (const roamer of roamers) {
        await roamer.finish(recorded.length);
        expect(roamer.got).toEqual(recorded);
        expect(new Set(roamer.recoveries)).toEqual(new Set([true]));
        expect(roamer.resets).toEqual([]);
      }
    },
    30_000 + EVENTS * 20,
  );

  test("the shipped configurations ping as docs/regions.md says: silent-line.test waits for it in a soak", async () => {
    const pings = async ({ monitorUrl }: { monitorUrl: string }): Promise<number[]> => {
      const varz = await (await fetch(`${monitorUrl}/varz`)).json();
      const { ping_interval: intervalNs, ping_max: max } = varz as { ping_interval: number; ping_max: number };
      return [intervalNs / 1e9, max];
    };
    expect([await pings(layout.region), await pings(layout.home)]).toEqual([
      [3, 2],
      [10, 2],
    ]);
  });

  test("an intent and an event that are published from us reach the record in eu, and both regions hear the event", async () => {
    const reader = newRoamer(100);
    await reader.finish(world.told);
    const us = await world.connect([layout.region.url]);
    const id = newId("int");
    await createAppender(us, { stream: STREAMS.intents }).append({
      subject: SUBJECTS.intent(id),
      data: Buffer.from("{}"),
      expectFirst: true,
    });
    expect(await getLast(world.record, STREAMS.intents, SUBJECTS.intent(id))).toBeDefined();
    const before = world.told;
    await world.tell(1, createAppender(us, { stream: STREAMS.events }));
    for (const at of [0, 1]) {
      const here = newRoamer(101 + at);
      await eventually(async () => (await here.visit(at, 50)) && here.got.at(-1) === before);
    }
  });
});
