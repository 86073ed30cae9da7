// Two clusters joined to a super-cluster, three servers with JetStream in all: one domain, EVENTS in `eu`, and a tap under a name of its
// own in each cluster (docs/regions.md).

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { createAppender, getLast, streamHead } from "@outcry/backbone";
import { newId, STREAMS, SUBJECTS, tapStream } from "@outcry/protocol";
import { type ClusterLayout, type ServiceProcess, startClusters } from "@outcry/regions";
import { seeded, SEED, sized } from "../faults/sizes.js";
import { eventually, MIRROR_BACK_MS, newLayoutOptions, RegionWorld } from "./region-world.js";
import { Roamer, roaming } from "./roamer.js";
import { placeOf } from "./stream-places.js";

const EVENTS = sized(400, 8_000);
const ROAMERS = 4;
const KILLS = sized(0, 3); // of the server of `us`: each may cost the 40 s of MIRROR_BACK_MS, so none in `npm test`

let layout: ClusterLayout;
let world: RegionWorld;
let gateways: ServiceProcess[];
let euUrls: string[];
let usUrls: string[];

beforeAll(async () => {
  const options = newLayoutOptions();
  layout = await startClusters(options, { eu: 2, us: 1 });
  [euUrls, usUrls] = ["eu-", "us-"].map((cluster) =>
    Object.entries(layout.servers).flatMap(([name, { url }]) => (name.startsWith(cluster) ? [url] : [])),
  ) as [string[], string[]];
  world = await RegionWorld.start(layout, options, { urls: euUrls, replicas: 1, region: "eu" });
  const places = [
    { urls: euUrls, tap: "eu-tap" },
    { urls: usUrls, tap: "us" },
  ];
  await Promise.all(places.map((place) => world.tapKeeper(place)));
  gateways = await Promise.all(places.map((place) => world.gateway(place)));
}, 60_000);
afterAll(() => world?.remove());

const newRoamer = (seed: number): Roamer =>
  new Roamer({
    channel: world.channel,
    secret: world.secret,
    urls: gateways.map(({ url }) => url),
    random: seeded(SEED + seed),
  });

test("the streams lie where their readers are", async () => {
  expect((await placeOf(world.record, STREAMS.events))?.leader).toMatch(/^eu-/);
  expect((await placeOf(world.record, tapStream("eu-tap")))?.leader).toMatch(/^eu-/);
  expect((await placeOf(world.record, tapStream("us")))?.leader).toBe("us-1");
});

test(
  "readers that change regions with one cursor miss nothing and get nothing twice, in a soak also when the server of the other region is killed",
  async () => {
    const roamers = Array.from({ length: ROAMERS }, (_, at) => newRoamer(at));
    await roaming(roamers, async () => {
      for (let slice = 0; slice < 8; slice++) {
        const isKilled = slice % 3 === 1 && slice < 3 * KILLS;
        if (isKilled) await layout.servers["us-1"]!.kill9();
        await world.tell(EVENTS / 8);
        if (isKilled) {
          await layout.servers["us-1"]!.restart();
          await world.inStep("us");
        }
        await sleep(100);
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
  60_000 + KILLS * MIRROR_BACK_MS + EVENTS * 20,
);

test("an intent and an event that are published from us reach the record in eu once, and both regions hear the event", async () => {
  const us = await world.connect(usUrls);
  const id = newId("int");
  const entry = { subject: SUBJECTS.intent(id), data: Buffer.from("{}"), expectFirst: true } as const;
  await createAppender(us, { stream: STREAMS.intents }).append(entry);
  expect(await getLast(world.record, STREAMS.intents, entry.subject)).toBeDefined();
  const { lastSeq } = await streamHead(world.record, STREAMS.events);
  await world.tell(1, createAppender(us, { stream: STREAMS.events }));
  expect((await streamHead(world.record, STREAMS.events)).lastSeq).toBe(lastSeq + 1);
  for (const at of [0, 1]) {
    const reader = newRoamer(100 + at);
    await eventually(async () => (await reader.visit(at, 50)) && reader.got.at(-1) === world.told - 1);
  }
});
