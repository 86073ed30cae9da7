// Three servers keep EVENTS with three replicas; gateways read its tap on one of them. On replicas any follower answers reads, also one
// that stood still: readers through the tap must not notice, whichever server is paused or killed (docs/regions.md).

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { STREAMS, tapStream } from "@outcry/protocol";
import { type ClusterLayout, type ServiceProcess, startClusters } from "@outcry/regions";
import { seeded, SEED, sized } from "../faults/sizes.js";
import { eventually, MIRROR_BACK_MS, newLayoutOptions, RegionWorld } from "./region-world.js";
import { Roamer, roaming } from "./roamer.js";
import { leadAwayFrom, placeOf } from "./stream-places.js";

const TAP = "eu-tap";
const ROUNDS = sized(1, 10);
const EVENTS = sized(120, 200); // between two faults
const ROAMERS = 4;
const PAUSE_MS = 1_500; // an election without it, and less than the self-check of a connection

let layout: ClusterLayout;
let world: RegionWorld;
let gateways: ServiceProcess[];

beforeAll(async () => {
  const options = newLayoutOptions();
  layout = await startClusters(options, { eu: 3 });
  const urls = Object.values(layout.servers).map(({ url }) => url);
  world = await RegionWorld.start(layout, options, { urls, replicas: 3, region: "eu" });
  await world.tapKeeper({ urls, tap: TAP });
  gateways = [await world.gateway({ urls, tap: TAP }), await world.gateway({ urls, tap: TAP })];
}, 60_000);
afterAll(() => world?.remove());

/** The tap's server, the one that leads EVENTS, and the third. */
async function places(): Promise<{ tap: string; leader: string; follower: string }> {
  let tap: string | undefined;
  await eventually(async () => (tap = (await placeOf(world.record, tapStream(TAP)))?.leader) !== undefined, 30_000);
  const leader = await leadAwayFrom(world.record, STREAMS.events, tap!);
  const follower = Object.keys(layout.servers).find((name) => name !== tap && name !== leader)!;
  return { tap: tap!, leader, follower };
}

async function killAndBack(name: string): Promise<void> {
  await layout.servers[name]!.kill9();
  await world.tell(EVENTS);
  await layout.servers[name]!.restart();
  await world.tell(EVENTS);
}

test(
  "a paused follower, a killed leader and a killed tap: nothing lost, nothing twice, every resumption whole",
  async () => {
    const urls = gateways.map(({ url }) => url);
    const roamers = Array.from(
      { length: ROAMERS },
      (_, at) => new Roamer({ channel: world.channel, secret: world.secret, urls, random: seeded(SEED + at) }),
    );
    await roaming(roamers, async () => {
      for (let round = 0; round < ROUNDS; round++) {
        await world.tell(EVENTS);
        const paused = layout.servers[(await places()).follower]!;
        paused.pause();
        await Promise.all([sleep(PAUSE_MS), world.tell(EVENTS)]);
        paused.resume();
        await world.tell(EVENTS);
        await killAndBack((await places()).leader);
        await killAndBack((await places()).tap);
      }
    });
    await world.inStep(TAP);
    const recorded = await world.recorded();
    expect(new Set(recorded).size).toBe(world.told);
    for (const roamer of roamers) {
      await roamer.finish(recorded.length);
      expect(roamer.got).toEqual(recorded);
      expect(new Set(roamer.recoveries)).toEqual(new Set([true]));
      expect(roamer.resets).toEqual([]);
    }
  },
  30_000 + MIRROR_BACK_MS + ROUNDS * 60_000,
);
