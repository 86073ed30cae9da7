// What the live log makes of a stream that is replaced while it repairs itself.

import { silentLog } from "@outcry/protocol";
import { afterEach, expect, test } from "@jest/globals";
import { GATEWAY_LIMITS } from "../limits.js";
import { eventually } from "../nats-server.fixture.js";
import { LiveLog } from "./live-log.js";
import { MemorySource } from "./memory-source.fixture.js";

const source = new MemorySource();
const said: (number | string)[] = [];
let onEvent: (seq: number) => void = () => undefined;
const log = new LiveLog({
  source,
  log: silentLog,
  limits: { ...GATEWAY_LIMITS, dispatchSlice: 1, tailCheckMs: 10 },
  onEvent({ seq, data }) {
    said.push((JSON.parse(Buffer.from(data).toString()) as { n: number }).n);
    onEvent(seq);
  },
  onReset: (reason) => said.push(reason),
});

afterEach(() => log.stop());

test("what is heard on a new connection waits for a proof of its own, though a repair from before it ends just then", async () => {
  source.publish("rt.x", 1);
  await log.start();
  source.fate = () => "lost";
  for (const n of [2, 3, 4]) source.publish("rt.x", n);
  source.fate = () => "now";
  onEvent = (seq) => {
    if (seq !== 2) return; // the repair has its proof, and dispatches what it has read
    source.fate = () => "lost";
    source.recreate("e2");
    source.setUp(false);
    source.setUp(true);
    for (const n of [101, 102, 103, 104, 105]) source.publish("rt.x", n);
    source.fate = () => "now";
    source.publish("rt.x", 106); // with the sequence that would follow in the lost stream
  };
  source.publish("rt.x", 5);
  await eventually(() => said.includes("epoch"));
  source.publish("rt.x", 107);
  await eventually(() => said.includes(107));
  expect(said).toEqual([2, 3, 4, 5, "epoch", 107]);
});
