// The same histories on a real nats-server: live messages are lost, doubled and late on their way to each gateway, the server is killed with
// -9 in between, the stream is purged, and deleted and made anew.

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { lossySource, seeded } from "./engine.fixture.js";
import { EventsWorld } from "./events-world.fixture.js";
import { expectSound, historySeeds, named } from "./history-seeds.fixture.js";
import { History, type HistoryOptions, type HistoryWorld } from "./history.fixture.js";
import { deleteEvents, eventually, purgeEvents } from "./nats-server.fixture.js";

const SEEDS = historySeeds(4, 120); // of each of the two kinds
const TIMEOUT_MS = 60_000 + SEEDS.length * 10_000;

let world: EventsWorld;

beforeAll(async () => {
  world = await EventsWorld.start();
});
afterAll(() => world.remove());

function natsWorld(seed: number): HistoryWorld {
  const source = world.source;
  const faults = { random: seeded(seed ^ 0x5eed), drop: 0.08, double: 0.04, late: 0.04 };
  let trimmed = 0;
  return {
    source: () => lossySource(source, faults),
    publish: async (subject) => void (await world.publisher.publish(subject)),
    deliverLate: () => undefined, // they arrive by themselves
    async toggle() {
      await world.nats.kill9();
      await world.nats.restart();
      await eventually(
        async () =>
          source.up &&
          (await source.head().then(
            () => true,
            () => false,
          )),
      );
    },
    bringUp: () => undefined,
    calm: () => void Object.assign(faults, { drop: 0, double: 0, late: 0 }),
    async trim(count) {
      const { lastSeq } = await source.head();
      trimmed = Math.min(lastSeq, trimmed + count);
      if (trimmed > 0) await purgeEvents(world.backbone, trimmed + 1);
    },
    async recreate() {
      trimmed = 0;
      await deleteEvents(world.backbone);
      await world.makeStream();
    },
  };
}

async function runAll(options: HistoryOptions) {
  const sum = { gaps: 0, resets: 0, resumed: 0 };
  for (const seed of SEEDS) {
    await world.renew();
    const result = await new History(natsWorld(seed), seed, options).run();
    expectSound("histories-nats", seed, result, options);
    sum.resets += result.resets;
    for (const { gaps, resumed } of result.readers) {
      sum.gaps += gaps;
      sum.resumed += resumed;
    }
  }
  return sum;
}

test(
  `4.3: nothing missed, nothing doubled, order kept, no gap told (${named(SEEDS)})`,
  async () => {
    const { resumed } = await runAll({ steps: 60, destructive: false });
    expect(resumed).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

test(
  `4.4, 4.8: with trimming and streams made anew every gap is told, none is called recovered (${named(SEEDS)})`,
  async () => {
    const { gaps, resets, resumed } = await runAll({ steps: 60, destructive: true });
    for (const count of [gaps, resets, resumed]) expect(count).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);
