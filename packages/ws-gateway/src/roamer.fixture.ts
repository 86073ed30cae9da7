// A reader of one channel that comes and goes, with its cursor, at any of the gateways.

import { setTimeout as sleep } from "node:timers/promises";
import { TestClient } from "./engine.fixture.js";

export class Roamer {
  readonly got: number[] = [];
  readonly recoveries: (boolean | undefined)[] = [];
  readonly channel: string;
  readonly #urls: string[];
  readonly #random: () => number;
  #cursor: string | undefined;
  #stopped = false;

  constructor(channel: string, urls: string[], random: () => number) {
    this.channel = channel;
    this.#urls = urls;
    this.#random = random;
  }

  async roam(): Promise<void> {
    while (!this.#stopped) await this.#visit(5 + this.#random() * 120);
  }

  /** Makes the current visit of `roam` its last one. */
  stop(): void {
    this.#stopped = true;
  }

  /** Comes back until it has that many. */
  async finish(count: number): Promise<void> {
    for (let tries = 0; this.got.length < count && tries < 50; tries++) await this.#visit(100);
  }

  async #visit(ms: number): Promise<void> {
    const client = await TestClient.open(this.#urls[Math.floor(this.#random() * this.#urls.length)]!).catch(
      () => undefined,
    );
    if (client === undefined) return sleep(20);
    const want = this.#cursor === undefined ? { from: "start" } : { cur: this.#cursor };
    const { ok } = await client.subscribe(this.channel, want);
    if (ok !== undefined && this.#cursor !== undefined) this.recoveries.push(ok.recovered);
    await sleep(ms);
    await client.close();
    this.got.push(...client.numbers(this.channel));
    this.#cursor = client.cursors.get(this.channel) ?? this.#cursor;
  }
}
