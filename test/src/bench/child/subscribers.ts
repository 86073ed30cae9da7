// Everyone who is connected to the gateway or to the bare server, and who publishes what they hear: one process, so that one clock times both ends.

import type { NatsConnection } from "@nats-io/transport-node";
import { setTimeout as sleep } from "node:timers/promises";
import { type Run, closedLoop, orStuck } from "../closed-loop.js";
import { EventFeed } from "./event-feed.js";
import { type Place, connectBare } from "./place.js";
import { stormVerbs } from "./storm-clients.js";
import { type Access, Subscriber } from "./subscriber.js";

const LATENCY_OF_EVERY = 7; // clients whose deliveries are timed: all would be a million numbers

export interface OpenOptions {
  /** Name of the pool that they are in from now on. */
  pool: string;
  port: number;
  count: number;
  inFlight: number;
  /** Each its own in turn; empty for the bare server. */
  access: Access[];
}

export interface Broadcast {
  pool: string;
  topic: string;
  /** Rounds of `size` events that are stored together. */
  batches: number;
  size: number;
  answers: number;
  /** Batches on the way: the next one goes out when the first of them is with everyone. */
  inFlight: number;
  /** Instead of `inFlight`: one batch each so many milliseconds, whatever has arrived. */
  everyMs?: number;
}

class Pool {
  readonly subscribers: Subscriber[] = [];
  delivered = 0;
  onDelivered: () => void = () => undefined;

  add(subscriber: Subscriber): void {
    this.subscribers.push(subscriber);
    subscriber.onEvent = () => {
      this.delivered++;
      this.onDelivered();
    };
  }

  /** Resolves when so many deliveries have been made. */
  until(delivered: number): Promise<void> {
    return new Promise((resolve) => {
      const look = () => void (this.delivered >= delivered && resolve());
      this.onDelivered = look;
      look();
    });
  }
}

export function subscribersRole() {
  const pools = new Map<string, Pool>();
  let connection: NatsConnection;
  let feed: EventFeed;
  const poolOf = (name: string): Pool => {
    const pool = pools.get(name) ?? new Pool();
    pools.set(name, pool);
    return pool;
  };

  const verbs = {
    async start(place: Place): Promise<void> {
      connection = await connectBare(place, "subscribers");
      feed = new EventFeed(connection);
    },
    /** The time of each until it is connected and subscribed. */
    async open({ pool, port, count, inFlight, access }: OpenOptions): Promise<Run> {
      const into = poolOf(pool);
      return closedLoop({ count, inFlight }, async (index) => {
        into.add(await Subscriber.open(port, access[index % access.length]));
      });
    },
    async close(name: string): Promise<void> {
      for (const { client } of poolOf(name).subscribers) client.drop();
      pools.delete(name);
    },
    /** All of them, beside the channel that they have. */
    async subscribeAlso({ pool, channel }: { pool: string; channel: string }): Promise<void> {
      for (const subscriber of poolOf(pool).subscribers) await subscriber.command({ op: "sub", ch: channel });
    },
    /** All of them stop reading. */
    async pause({ pool }: { pool: string }): Promise<void> {
      for (const { client } of poolOf(pool).subscribers) client.socket.pause();
    },
    /** Bytes of one event's frame, as the pool gets it. */
    async frameBytes(name: string): Promise<number> {
      return poolOf(name).subscribers[0]!.frameBytes;
    },
    /** Past every subscriber: `perSecond` events on a topic that nobody in a pool has, in batches. */
    async publish({ topic, count, answers, perSecond, size }: Publish): Promise<void> {
      const messages = feed.build(topic, count, answers);
      const begunMs = performance.now();
      for (let from = 0; from < count; from += size) {
        const waitMs = begunMs + (from / perSecond) * 1_000 - performance.now();
        if (waitMs > 1) await sleep(waitMs);
        await feed.publish(messages.slice(from, from + size));
      }
    },
    /** To everyone in the pool. Latencies are from the publishing of a batch to an event of it at one client. */
    async broadcast({ pool: name, topic, batches, size, answers, inFlight, everyMs }: Broadcast): Promise<Run> {
      const pool = poolOf(name);
      const { subscribers } = pool;
      const perBatch = size * subscribers.length;
      const before = pool.delivered;
      const messages = feed.build(topic, batches * size, answers);
      const sentMs: number[] = [];
      const timing = timed(subscribers, (event) => sentMs[Math.floor(event / size)]!);
      const stored: Promise<void>[] = [];
      const begunMs = performance.now();
      for (let batch = 0; batch < batches; batch++) {
        if (everyMs !== undefined) await sleepUntil(begunMs + batch * everyMs);
        else if (batch >= inFlight) await arrived(pool, before + (batch - inFlight + 1) * perBatch);
        sentMs.push(performance.now());
        stored.push(feed.publish(messages.slice(batch * size, (batch + 1) * size)));
      }
      await arrived(pool, before + batches * perBatch);
      const seconds = (performance.now() - begunMs) / 1_000;
      await Promise.all(stored);
      return { count: batches * size, seconds, latenciesMs: timing.end() };
    },
    /** Each resume is one client's whole wish: what came behind its cursor, until `events` are there. */
    async resume({ pool, count, events, cursors, say }: Resume): Promise<Run> {
      const { subscribers } = poolOf(pool);
      const free = [...subscribers.keys()];
      return closedLoop({ count, inFlight: free.length }, async () => {
        const index = free.pop()!;
        await resumed(subscribers[index]!, events, cursors[index] ?? { say });
        free.push(index);
      });
    },
    /** Where each of them has come to. */
    async cursors(name: string): Promise<string[]> {
      return poolOf(name).subscribers.map(({ cursor }) => cursor);
    },
    ...stormVerbs(() => feed),
  };
  return {
    verbs,
    async stop() {
      for (const { subscribers } of pools.values()) for (const { client } of subscribers) client.drop();
      await connection?.close();
    },
  };
}

interface Publish {
  topic: string;
  count: number;
  answers: number;
  perSecond: number;
  size: number;
}

interface Resume {
  pool: string;
  count: number;
  events: number;
  /** By subscriber; empty for the bare server, which is asked by a message. */
  cursors: string[];
  say: string;
}

export type SubscribersVerbs = ReturnType<typeof subscribersRole>["verbs"];

const arrived = (pool: Pool, delivered: number): Promise<void> =>
  orStuck(pool.until(delivered), () => `${pool.delivered} of ${delivered} deliveries`);

async function sleepUntil(atMs: number): Promise<void> {
  const waitMs = atMs - performance.now();
  if (waitMs > 0) await sleep(waitMs);
}

/** From now on until its end, each event of some clients. */
function timed(subscribers: readonly Subscriber[], sentMsOf: (event: number) => number): { end(): number[] } {
  const latenciesMs: number[] = [];
  const some = subscribers.filter((_, index) => index % LATENCY_OF_EVERY === 0);
  const before = some.map(({ onEvent }) => onEvent);
  for (const [index, subscriber] of some.entries()) {
    let event = 0;
    subscriber.onEvent = (payload) => {
      latenciesMs.push(performance.now() - sentMsOf(event++));
      before[index]!(payload);
    };
  }
  return {
    end() {
      for (const [index, subscriber] of some.entries()) subscriber.onEvent = before[index]!;
      return latenciesMs;
    },
  };
}

function resumed(subscriber: Subscriber, events: number, asked: string | { say: string }): Promise<void> {
  const until = subscriber.events + events;
  return new Promise((resolve, reject) => {
    subscriber.onEvent = () => void (subscriber.events === until && resolve());
    if (typeof asked !== "string") subscriber.client.send(asked.say);
    else
      subscriber.subscribe(asked).then((recovered) => {
        if (recovered !== true) reject(new Error("the gateway did not recover what it had"));
      }, reject);
  });
}
