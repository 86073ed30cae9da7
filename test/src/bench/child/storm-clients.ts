// Many clients that all lose their gateway at once and come back to it, each with its cursor. Every event is looked at: what is lost or
// doubled on the way is counted.

import { setTimeout as sleep } from "node:timers/promises";
import { closedLoop, orStuck } from "../closed-loop.js";
import { type EventFeed, numberOf } from "./event-feed.js";
import { type Access, cursorIn, Subscriber } from "./subscriber.js";

const RETRY_MS = 20; // until there is a server again
const IN_FLIGHT = 256; // handshakes at a time: all at once would measure the kernel's queue

export interface StormOptions {
  port: number;
  count: number;
  access: Access;
}

export interface StormResult {
  /** From the first try to connect until everyone had everything. */
  seconds: number;
  /** Distinct ones that they came back with. */
  cursors: number;
  lost: number;
  doubled: number;
}

class Roamer {
  closed: Promise<void> = Promise.resolve();
  cursor = "";
  lost = 0;
  doubled = 0;
  /** Of the last event. */
  number: number;
  subscriber: Subscriber | undefined;
  readonly #onNumber: (number: number) => void;

  constructor(number: number, onNumber: (number: number) => void) {
    this.number = number;
    this.#onNumber = onNumber;
  }

  async connect({ port, access }: StormOptions): Promise<void> {
    const subscriber = await Subscriber.open(port, access, {
      onEvent: (payload) => this.#hear(payload, access),
      ...(this.cursor === "" ? {} : { cursor: this.cursor }),
    });
    if (this.cursor === "") this.cursor = subscriber.cursor;
    this.subscriber = subscriber;
    this.closed = new Promise((resolve) => (subscriber.client.onClose = resolve));
  }

  async connectAgain(options: StormOptions): Promise<void> {
    for (;;) {
      try {
        return await this.connect(options);
      } catch {
        await sleep(RETRY_MS); // refused or cut off: that it comes to an end is watched over by the storm
      }
    }
  }

  #hear(payload: Buffer, access: Access): void {
    const number = numberOf(payload);
    if (number <= this.number) this.doubled++;
    else this.lost += number - this.number - 1;
    this.number = Math.max(this.number, number);
    this.cursor = cursorIn(payload, access.channel);
    this.#onNumber(number);
  }
}

export function stormVerbs(feedOf: () => EventFeed) {
  let roamers: Roamer[] = [];
  let options: StormOptions;
  let look: (number: number) => void = () => undefined;

  return {
    /** All at the head. */
    async openStorm(given: StormOptions): Promise<void> {
      options = given;
      const { last } = feedOf();
      roamers = Array.from({ length: given.count }, () => new Roamer(last, (number) => look(number)));
      await closedLoop({ count: given.count, inFlight: IN_FLIGHT }, (index) => roamers[index]!.connect(given));
    },
    /** One event after another. */
    async feedStorm({
      topic,
      count,
      everyMs,
      answers,
    }: {
      topic: string;
      count: number;
      everyMs: number;
      answers: number;
    }) {
      for (let event = 0; event < count; event++) {
        await feedOf().publish(feedOf().build(topic, 1, answers));
        await sleep(everyMs);
      }
    },
    /** The gateway is gone: everyone comes back, and stays until it has the last event that was published. */
    async ride(): Promise<StormResult> {
      await orStuck(Promise.all(roamers.map(({ closed }) => closed)), () => "not all connections are closed,");
      const cursors = new Set(roamers.map(({ cursor }) => cursor)).size;
      const begunMs = performance.now();
      const { last } = feedOf();
      let behind = roamers.length;
      const caughtUp = new Promise<void>((resolve) => {
        look = (number) => void (number === last && --behind === 0 && resolve());
      });
      await closedLoop({ count: roamers.length, inFlight: IN_FLIGHT }, (index) =>
        roamers[index]!.connectAgain(options),
      );
      await orStuck(caughtUp, () => `${roamers.length - behind} of ${roamers.length} are caught up; that is what was`);
      const seconds = (performance.now() - begunMs) / 1_000;
      const total = (of: "lost" | "doubled") => roamers.reduce((sum, roamer) => sum + roamer[of], 0);
      return { seconds, cursors, lost: total("lost"), doubled: total("doubled") };
    },
    /** The same at the bare server: an upgrade, a message, so many frames. */
    async rawStorm({ port, count, frames }: { port: number; count: number; frames: number }): Promise<number> {
      const clients: Subscriber[] = [];
      const begunMs = performance.now();
      await closedLoop({ count, inFlight: IN_FLIGHT }, async () => {
        const subscriber = await Subscriber.open(port, undefined);
        clients.push(subscriber);
        await new Promise<void>((resolve) => {
          subscriber.onEvent = () => void (subscriber.events === frames && resolve());
          subscriber.client.send("more");
        });
      });
      const seconds = (performance.now() - begunMs) / 1_000;
      for (const { client } of clients) client.drop();
      return seconds;
    },
    async closeStorm(): Promise<void> {
      for (const { subscriber } of roamers) subscriber?.client.drop();
      roamers = [];
    },
  };
}
