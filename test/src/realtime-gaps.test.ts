// What the client says where the record itself lost something: EVENTS trimmed past its cursor, EVENTS made anew. On real gateways, which
// have to find it out, and keep next to nothing in memory, where it would still be there; what the client makes of each answer: packages/client/src/realtime/realtime.test.ts.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { ChannelMessage, ChannelOptions, CursorStore } from "@outcry/client";
import { eventually } from "./in-process.js";
import { type OwnGateway, startOwnGateway } from "./own-gateway.js";
import { Heard, newIntent, RealtimeWorld, upTo } from "./realtime-world.js";
import { TcpProxy } from "./tcp-proxy.js";

let world: RealtimeWorld;
/** Two, with one cursor secret. */
let gateways: OwnGateway[];
let proxy: TcpProxy;

beforeAll(async () => {
  world = await RealtimeWorld.start();
  const start = () => startOwnGateway(world.stack.brokers, { limits: { ringEventsMax: 1 } });
  gateways = [await start(), await start()];
  proxy = await TcpProxy.to(gateways[0]!.url);
}, 60_000);
afterAll(async () => {
  await proxy?.close();
  for (const gateway of gateways ?? []) await gateway.stop();
  await world?.stop();
});

/** One buyer's channel, programs that follow it one after the other, and the cursor that they hand on. */
class Follower {
  readonly channel = `intent:${newIntent()}` as const;
  readonly saved: string[] = [];
  readonly #intentId = this.channel.slice("intent:".length);
  readonly #token = world.token([this.channel]);
  #told = 0;
  readonly #store: CursorStore = {
    get: () => this.saved.at(-1),
    set: (_, cursor) => void this.saved.push(cursor),
  };

  get told(): number {
    return this.#told;
  }

  async tell(count: number): Promise<void> {
    for (let done = 0; done < count; done++) await world.tell(this.#intentId, this.#told++);
  }

  /** Subscribed, by a program that begins where the store says. */
  async program(url = gateways[0]!.url, options: ChannelOptions = {}): Promise<Program> {
    const realtime = world.connect({
      url,
      getToken: () => this.#token,
      cursors: this.#store,
      backoff: { baseMs: 50, capMs: 500 },
    });
    const heard = new Heard(realtime, this.channel, options);
    await heard.channel.ready();
    return Object.assign(heard, { end: () => realtime.close() });
  }
}

type Program = Heard<`intent:${string}`> & { end(): Promise<void> };

/** A program that is online and has read `count` events, with its cursor behind them. */
async function reading(follower: Follower, count: number, url?: string): Promise<{ program: Program; old: string }> {
  const program = await follower.program(url);
  await follower.tell(count);
  await eventually(() => program.numbers.length === count);
  return { program, old: program.channel.cursor! };
}

/** A program that read `count` events and ended. Resolves with the cursor that it left behind. */
async function hasRead(follower: Follower, count: number): Promise<string> {
  const { program } = await reading(follower, count);
  await program.end();
  expect(program.gaps).toEqual([]);
  return follower.saved.at(-1)!;
}

/** The gap's cursor is stored, what is told from now on arrives, and what is stored then resumes without a gap at either gateway. */
async function goesOn(follower: Follower, program: Program, old: string): Promise<void> {
  const gap = program.others.find(({ kind }) => kind === "gap") as Extract<ChannelMessage, { kind: "gap" }>;
  await eventually(() => follower.saved.includes(gap.cursor));
  const { length } = program.story;
  await follower.tell(2);
  await eventually(() => program.story.length === length + 2);
  expect(program.story.slice(length)).toEqual([follower.told - 2, follower.told - 1]);
  await program.end();
  expect(follower.saved).toContain(program.channel.cursor);
  expect(follower.saved.at(-1)).not.toBe(old);
  for (const { url } of gateways) {
    await follower.tell(1);
    const next = await follower.program(url);
    await eventually(() => next.recovered.length === 1 && next.numbers.length === 1);
    expect([next.numbers, next.gaps]).toEqual([[follower.told - 1], []]);
    await next.end();
  }
}

const through = (): string => `ws://${proxy.host}/v1/ws`;

describe("EVENTS that were trimmed past a client's cursor", () => {
  test("while its program was away are a gap, with nothing of what is left of it; what comes then arrives", async () => {
    const follower = new Follower();
    const old = await hasRead(follower, 5);
    await follower.tell(10);
    await world.trim(9);
    const back = await follower.program();
    await eventually(() => back.story.length > 0);
    expect(back.others).toEqual([
      { kind: "gap", channel: follower.channel, reason: "trimmed", cursor: expect.any(String) },
    ]);
    await goesOn(follower, back, old);
    expect(back.story).toEqual(["gap: trimmed", 15, 16]);
  });

  test("up to its cursor and no further are no gap: everything behind it is there", async () => {
    const follower = new Follower();
    await hasRead(follower, 5);
    await follower.tell(10);
    await world.trim(10);
    const back = await follower.program();
    await eventually(() => back.recovered.length === 1);
    expect(back.story).toEqual([...upTo(15, 5), "recovered 10"]);
    await back.end();
  });

  test("while its connection was cut are a gap in the same channel", async () => {
    const follower = new Follower();
    const { program, old } = await reading(follower, 5, through());
    proxy.cut();
    await follower.tell(10);
    await world.trim(3);
    proxy.mend();
    await eventually(() => program.gaps.length === 1);
    await goesOn(follower, program, old);
    expect(program.story).toEqual([...upTo(5), "gap: trimmed", 15, 16]);
    expect(program.opened()).toBe(2);
  });

  test("while it had left the channel, because its reader is slow, are a gap behind what had been read in", async () => {
    const follower = new Follower();
    const token = world.token([follower.channel]);
    const realtime = world.connect({ url: gateways[0]!.url, getToken: () => token });
    const channel = realtime.channel(follower.channel, { bufferMax: 10 });
    await channel.ready();
    await follower.tell(40);
    const followed = async () => (await world.admin.gateway.connections({ channel: follower.channel })).matched;
    await eventually(async () => (await followed()) === 0);
    await world.trim(3);
    const story: string[] = [];
    for await (const message of channel) {
      story.push(message.kind === "gap" ? message.reason : message.kind);
      if (message.kind === "gap") break;
    }
    const read = story.length - 1;
    expect(story).toEqual([...Array.from({ length: read }, () => "event"), "trimmed"]);
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(40);
  });

  test("for who begins at the start: the gap first, then what is kept", async () => {
    const follower = new Follower();
    await follower.tell(10);
    await world.trim(4);
    const program = await follower.program(gateways[0]!.url, { from: "start" });
    await eventually(() => program.numbers.length === 4);
    await goesOn(follower, program, "");
    expect(program.story).toEqual(["gap: trimmed", 6, 7, 8, 9, 10, 11]);
  });
});

describe("EVENTS that were made anew", () => {
  test("while clients are online, at either gateway, are a gap in each channel, and the new events follow", async () => {
    const followers = [new Follower(), new Follower()];
    const programs = await Promise.all(followers.map((one, gateway) => one.program(gateways[gateway]!.url)));
    for (const follower of followers) await follower.tell(3);
    await eventually(() => programs.every(({ numbers }) => numbers.length === 3));
    const old = programs.map(({ channel }) => channel.cursor!);
    await world.deleteEvents();
    await world.makeEvents();
    await eventually(() => programs.every(({ gaps }) => gaps.length === 1), 20_000);
    for (const [at, follower] of followers.entries()) {
      await goesOn(follower, programs[at]!, old[at]!);
      expect(programs[at]!.story).toEqual([0, 1, 2, "gap: epoch", 3, 4]);
      expect(programs[at]!.opened()).toBe(1);
    }
  }, 60_000);

  test("while its program was away are a gap for the cursor that it had kept, and no event of before", async () => {
    const follower = new Follower();
    const old = await hasRead(follower, 5);
    await world.deleteEvents();
    await world.makeEvents();
    await follower.tell(10); // as many as to reach the old position in the new stream
    const back = await follower.program();
    await eventually(() => back.gaps.length === 1);
    await goesOn(follower, back, old);
    expect(back.story).toEqual(["gap: epoch", 15, 16]);
  }, 60_000);

  test("while its connection was cut, and were gone for a while, are a gap as soon as there are others", async () => {
    const follower = new Follower();
    const { program, old } = await reading(follower, 5, through());
    proxy.cut();
    await world.deleteEvents();
    await eventually(() => !gateways[0]!.isReady(), 20_000);
    proxy.mend();
    await eventually(() => program.recovered.length === 1, 20_000);
    expect(program.story).toEqual([...upTo(5), "recovered 0"]); // up to where the gateway had heard, and nothing came behind it
    await world.makeEvents();
    await eventually(() => program.gaps.length === 1, 20_000);
    await goesOn(follower, program, old);
    expect(program.story).toEqual([...upTo(5), "recovered 0", "gap: epoch", 5, 6]);
  }, 60_000);
});
