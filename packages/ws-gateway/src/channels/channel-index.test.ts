// The events of a channel as the index gives them are those that looking at the whole ring would give, whatever the ring forgets.

import { expect, test } from "@jest/globals";
import { seeded } from "../engine.fixture.js";
import type { SourceMessage } from "../log/event-source.js";
import { Ring } from "../log/ring.js";
import { ChannelIndex } from "./channel-index.js";

const KEYS = ["a", "b", "c"];
const keysOf = (subject: string): string[] => [subject, "all"];

const message = (seq: number, subject: string): SourceMessage => ({
  seq,
  time: seq,
  subject,
  data: new Uint8Array(1),
});

test.each([1, 2, 3, 4, 5])(
  "it gives what the ring has of a channel, behind every position, after every clearing (seed %i)",
  (seed) => {
    const random = seeded(seed);
    const upTo = (max: number) => Math.floor(random() * (max + 1));
    const ring = new Ring({ bytesMax: 1_000_000_000, eventsMax: 1_500 });
    const index = new ChannelIndex(ring, keysOf);
    let seq = 0;
    for (let step = 0; step < 30; step++) {
      if (random() < 0.1) ring.clear((seq = upTo(3_000))); // a new stream may begin before the end of the old one
      for (let more = upTo(700); more > 0; more--) ring.push(message(++seq, KEYS[upTo(KEYS.length - 1)]!));
      const behind = ring.floor + upTo(seq - ring.floor);
      for (const key of [...KEYS, "all", "none"]) {
        const expected = Array.from({ length: seq - behind }, (_, at) => behind + 1 + at).filter((each) =>
          keysOf(ring.subjectAt(each)!).includes(key),
        );
        expect(index.after(key, behind)).toEqual(expected);
        expect(index.hasAfter(key, behind)).toBe(expected.length > 0);
      }
    }
  },
);
