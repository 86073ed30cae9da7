// Frames are found again for the same event, channel, view and wire protocol, and for nothing else; what they hold is bounded.

import { expect, test } from "@jest/globals";
import { nativeFormat } from "../native/native-format.js";
import { phoenixSocketFormat } from "../phoenix/phoenix-format.js";
import { FrameCache } from "./frame-cache.js";
import type { Route } from "./policy.js";

const event = (seq: number) => ({ seq, time: seq, subject: "rt.x", data: new Uint8Array(10) });
const route: Route = { channel: "one:x", key: "one.x", view: "full", replayFilter: async () => "rt.x" };
const framed = (text: string) => ({ type: "TICK", frame: Buffer.from(text) });

test("a frame is found for those who get the same bytes, and for no one else", () => {
  const cache = new FrameCache({ framesBytesMax: 100_000 });
  const [one, other] = [event(1), event(2)];
  cache.add(one, route, nativeFormat, framed("native"));
  cache.add(one, route, phoenixSocketFormat, framed("phoenix"));
  expect(cache.find(one, { ...route }, nativeFormat)?.frame.toString()).toBe("native");
  expect(cache.find(one, route, phoenixSocketFormat)?.frame.toString()).toBe("phoenix");
  expect(cache.find(other, route, nativeFormat)).toBeUndefined();
  for (const different of [{ view: "buyer" }, { channel: "group:x" }, { key: "one.y" }])
    expect(cache.find(one, { ...route, ...different }, nativeFormat)).toBeUndefined();
});

test("the oldest frames go when there are too many bytes, and all when cursors are bound to another epoch", () => {
  const cache = new FrameCache({ framesBytesMax: 10_000 });
  const events = Array.from({ length: 100 }, (_, index) => event(index + 1));
  for (const each of events) {
    cache.add(each, route, nativeFormat, framed("x".repeat(100)));
    expect(cache.bytes).toBeLessThanOrEqual(10_000);
  }
  const kept = events.filter((each) => cache.find(each, route, nativeFormat) !== undefined);
  expect(kept).toEqual(events.slice(-43)); // 128 + 100 bytes each
  cache.clear();
  expect(cache.bytes).toBe(0);
  expect(cache.find(events.at(-1)!, route, nativeFormat)).toBeUndefined();
});
