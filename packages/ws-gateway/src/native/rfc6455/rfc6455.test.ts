// RFC 6455 on right and wrong frames, after the Autobahn|Testsuite's cases without compression (1 to 7, and 9 for our limits). In every case
// a subscriber beside the peer goes on to hear everything, and nothing of the peer is left behind.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { setImmediate as nextTurn } from "node:timers/promises";
import { startGateway, TestClient, type TestGateway } from "../../engine.fixture.js";
import { MemorySource } from "../../log/memory-source.fixture.js";
import { echo, type Rfc6455Case } from "./case.fixture.js";
import { CLOSES } from "./close-cases.fixture.js";
import { FRAGMENTATION, LIMITS } from "./fragmentation-cases.fixture.js";
import { closeFrame } from "./frames.fixture.js";
import { FRAMING, OPCODES, PINGS, RESERVED_BITS } from "./framing-cases.fixture.js";
import { RawPeer } from "./raw-peer.fixture.js";
import { UTF8 } from "./utf8-cases.fixture.js";

const GROUPS: readonly (readonly [string, readonly Rfc6455Case[]])[] = [
  ["1 framing", FRAMING],
  ["2 pings and pongs", PINGS],
  ["3 reserved bits", RESERVED_BITS],
  ["4 opcodes", OPCODES],
  ["5 fragmentation", FRAGMENTATION],
  ["6 UTF-8", UTF8],
  ["7 close handling", CLOSES],
  ["9 limits", LIMITS],
];

const ENDS_WITHIN_MS = 4_000; // twice GATEWAY_LIMITS.closeMs

let source: MemorySource;
let gateway: TestGateway;
let neighbour: TestClient;
let published = 0;

const publish = () => source.publish("rt.t.g.x", ++published);

beforeAll(async () => {
  source = new MemorySource();
  gateway = await startGateway(source);
  neighbour = await TestClient.open(gateway.url, "neighbour");
  await neighbour.subscribe("all:");
});
afterAll(async () => {
  await neighbour.close();
  await gateway.stop();
});

/** Only the neighbour is left, and it has heard everything. */
async function settled(): Promise<void> {
  publish();
  const heard = () => gateway.engine.connections === 1 && neighbour.numbers("all:").at(-1) === published;
  await repeatUntil(heard, () => undefined);
  expect(gateway.engine.connections).toBe(1);
  expect(neighbour.numbers("all:")).toHaveLength(published);
  expect(neighbour.closed).toBeUndefined();
  expect(gateway.engine.hub.groups).toBe(1);
}

async function repeatUntil(isOver: () => boolean, work: () => void): Promise<void> {
  const until = performance.now() + ENDS_WITHIN_MS;
  while (!isOver() && performance.now() < until) {
    work();
    await nextTurn();
  }
}

/** What came, without the commands by which the peer made itself known. */
async function run({ write, close, echoes = [] }: Rfc6455Case, meanwhile?: () => void) {
  const peer = await RawPeer.subscribed(gateway.url);
  const writing = peer.write(write);
  if (meanwhile !== undefined) await repeatUntil(() => peer.over, meanwhile);
  await writing;
  if (close === undefined) {
    await peer.write([echo("still here")]);
    await peer.until(() => peer.answered("still here"));
    await peer.write([closeFrame(1000)]);
  }
  await peer.until(() => peer.over, ENDS_WITHIN_MS);
  const answered = [...echoes, ...(close === undefined ? ["still here"] : [])];
  return {
    failure: peer.failure,
    closes: peer.closes,
    echoes: peer.echoes.slice(2),
    pongs: peer.pongs,
    expected: answered,
    peer,
  };
}

describe.each(GROUPS)("RFC 6455, %s", (_group, cases) => {
  test.each(
    cases.map(
      (each) => [each.id, each.what, each.close === undefined ? "goes on" : `close ${each.close}`, each] as const,
    ),
  )("%s: %s → %s", async (_id, _what, _outcome, wanted) => {
    const { failure, closes, echoes, pongs, expected } = await run(wanted);
    expect({ clause: wanted.clause, failure, closes, echoes, pongs }).toEqual({
      clause: wanted.clause,
      failure: undefined,
      closes: [wanted.close ?? 1000],
      echoes: expected,
      pongs: wanted.pongs ?? [],
    });
    await settled();
  });
});

const ending = GROUPS.flatMap(([, cases]) => cases).filter(({ close, id }) => close !== undefined && !id.endsWith("f"));

test(`§5.5.1: behind the close frame comes nothing, also when the channel is busy (${ending.length} cases)`, async () => {
  for (const wanted of ending) {
    const { failure, closes, peer } = await run(wanted, publish);
    expect({ id: wanted.id, failure, closes }).toEqual({ id: wanted.id, failure: undefined, closes: [wanted.close] });
    const { numbers } = peer;
    expect(numbers).toEqual(numbers.map((_, at) => numbers[0]! + at)); // what was sent before it is whole
    await settled();
  }
}, 60_000);
