// What the tests of the realtime client share: a peer gateway, connections to it, and what was read from a channel.

import { afterEach, beforeEach } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";
import type { Channel, ChannelOptions } from "./channel.js";
import type { ChannelMessage, ChannelName, RealtimeStatus } from "./channel-types.js";
import { PeerGateway } from "./gateway.fixture.js";
import { createRealtime, type Realtime, type RealtimeOptions } from "./realtime.js";
import type { RealtimeError } from "./realtime-error.js";

export class Bench {
  gateway = new PeerGateway();
  readonly statuses: RealtimeStatus[] = [];
  readonly errors: RealtimeError[] = [];
  readonly #connections: Realtime[] = [];

  /** Each test of the file has its own gateway on it, and leaves nothing open. */
  static forEachTest(): Bench {
    const bench = new Bench();
    beforeEach(async () => {
      bench.gateway = await new PeerGateway().open();
    });
    afterEach(() => bench.close());
    return bench;
  }

  connect(options: Partial<RealtimeOptions> = {}): Realtime {
    const realtime = createRealtime({
      url: this.gateway.url,
      getToken: () => "key",
      random: () => 0.1,
      WebSocket,
      ...options,
    });
    realtime.on("status", (status) => void this.statuses.push(status));
    realtime.on("error", (error) => void this.errors.push(error));
    this.#connections.push(realtime);
    return realtime;
  }

  /** A channel on a connection of its own. */
  follow(options: ChannelOptions = {}, connection: Partial<RealtimeOptions> = {}): Channel<"intent:a"> {
    return this.connect(connection).channel("intent:a", options);
  }

  states(state: RealtimeStatus["state"]): RealtimeStatus[] {
    return this.statuses.filter((status) => status.state === state);
  }

  opened(times = 1): Promise<void> {
    return eventually(() => this.states("open").length >= times);
  }

  async close(): Promise<void> {
    for (const realtime of this.#connections.splice(0)) await realtime.close();
    await this.gateway.close();
    this.statuses.length = 0;
    this.errors.length = 0;
  }
}

/** Reads on with one iterator; also what is no event. */
export class Reader<N extends ChannelName> {
  readonly #iterator: AsyncIterator<ChannelMessage<N>, undefined>;

  constructor(channel: Channel<N>) {
    this.#iterator = channel[Symbol.asyncIterator]();
  }

  async take(count: number): Promise<ChannelMessage<N>[]> {
    const taken: ChannelMessage<N>[] = [];
    while (taken.length < count) {
      const { value, done } = await this.#iterator.next();
      if (done === true) break;
      taken.push(value);
    }
    return taken;
  }
}

export const take = <N extends ChannelName>(channel: Channel<N>, count: number): Promise<ChannelMessage<N>[]> =>
  new Reader(channel).take(count);

/** Names of events, and the kinds of everything else. */
export const namesOf = (messages: readonly ChannelMessage[]): string[] =>
  messages.map((message) => (message.kind === "event" ? message.event.type : message.kind));

export async function eventually(check: () => boolean, withinMs = 10_000): Promise<void> {
  const untilMs = Date.now() + withinMs;
  while (!check()) {
    if (Date.now() > untilMs) throw new Error(`not within ${withinMs} ms: ${check.toString()}`);
    await sleep(5);
  }
}
