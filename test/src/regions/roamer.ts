// A reader of one channel that comes and goes, with its cursor, at any of the gateways; what it got is held against the record.

import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";
import { eventually } from "./region-world.js";

const REPLY_MS = 10_000;
const SUBSCRIBE = 2;
const PING = "{}";
const VISITS_MIN = 5;
const VISITS_MS = 30_000;

interface Message {
  readonly id?: number;
  readonly ok?: { readonly c?: string; readonly recovered?: boolean; readonly reason?: string };
  readonly err?: { readonly code: string; readonly retry: string };
  readonly c?: string;
  readonly pos?: string;
  readonly reset?: { readonly reason: string; readonly c: string };
  readonly d?: { readonly data: { readonly dispatched: number } };
}

export interface RoamerOptions {
  readonly channel: string;
  readonly secret: string;
  readonly random: () => number;
  /** HTTP addresses of the gateways. */
  readonly urls: readonly string[];
}

export class Roamer {
  readonly got: number[] = [];
  /** What each resumption said. */
  readonly recoveries: (string | true)[] = [];
  readonly resets: string[] = [];
  /** Connections that could not be made, or commands that got a temporary refusal. */
  refused = 0;
  /** Visits by place in `urls`. */
  readonly visits: number[];
  readonly #options: RoamerOptions;
  #cursor: string | undefined;
  #stopped = false;

  constructor(options: RoamerOptions) {
    this.#options = options;
    this.visits = options.urls.map(() => 0);
  }

  get cursor(): string | undefined {
    return this.#cursor;
  }

  /** As it is now, to come back later from here. */
  copy(): Roamer {
    const copy = new Roamer(this.#options);
    copy.#cursor = this.#cursor;
    copy.got.push(...this.got);
    return copy;
  }

  async roam(stayMs = 80): Promise<void> {
    const { random, urls } = this.#options;
    while (!this.#stopped) await this.visit(Math.floor(random() * urls.length), 5 + random() * stayMs);
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Goes from one to the next until it has that many. */
  async finish(count: number, withinMs = 20_000): Promise<void> {
    const until = Date.now() + withinMs;
    for (let at = 0; this.got.length < count && Date.now() < until; at++)
      await this.visit(at % this.visits.length, 200);
  }

  /** True when it was served. */
  async visit(at: number, stay: number | Promise<unknown>): Promise<boolean> {
    const socket = new WebSocket(`${this.#options.urls[at]!.replace("http", "ws")}/v1/ws`, "outcry.v1");
    const messages: Message[] = [];
    let closed = false;
    socket.on("message", (data) => {
      for (const line of (data as Buffer).toString().split("\n")) {
        if (line === PING) socket.send('{"op":"pong"}');
        else this.#take(messages, JSON.parse(line) as Message);
      }
    });
    socket.on("close", () => (closed = true));
    socket.on("error", () => undefined); // a close follows
    const opened = new Promise((resolve) => socket.once("open", resolve).once("close", resolve));
    try {
      await opened;
      const served = !closed && (await this.#subscribe(socket, messages, () => closed));
      if (served) await (typeof stay === "number" ? sleep(stay) : stay);
      else this.refused++;
      this.visits[at]! += served ? 1 : 0;
      return served;
    } finally {
      socket.terminate();
      await eventually(() => closed);
      if (this.refused > 0) await sleep(20);
    }
  }

  async #subscribe(socket: WebSocket, messages: readonly Message[], isClosed: () => boolean): Promise<boolean> {
    const { secret, channel } = this.#options;
    const reply = async (command: {
      id: number;
      op: string;
      [more: string]: string | number;
    }): Promise<Message | undefined> => {
      socket.send(JSON.stringify(command));
      const find = () => messages.find(({ id }) => id === command.id);
      await eventually(() => isClosed() || find() !== undefined, REPLY_MS);
      return find();
    };
    if ((await reply({ id: 1, op: "auth", token: secret }))?.ok === undefined) return false;
    const resumes = this.#cursor !== undefined;
    const place: Record<string, string> = this.#cursor === undefined ? { from: "start" } : { cur: this.#cursor };
    const answer = await reply({ id: SUBSCRIBE, op: "sub", ch: channel, ...place });
    if (answer?.err !== undefined && answer.err.retry === "never") throw new Error(`refused: ${answer.err.code}`);
    if (answer?.ok === undefined) return false;
    if (resumes) this.recoveries.push(answer.ok.recovered === true || String(answer.ok.reason));
    return true;
  }

  #take(messages: Message[], message: Message): void {
    messages.push(message);
    const { id, ok, c, pos, reset, d } = message;
    if (id !== undefined && id !== SUBSCRIBE) return;
    this.#cursor = ok?.c ?? c ?? pos ?? reset?.c ?? this.#cursor;
    if (reset !== undefined) this.resets.push(reset.reason);
    if (d !== undefined) this.got.push(d.data.dispatched);
  }
}

/** Lets them roam while `work` runs, and until each was at every gateway several times. */
export async function roaming(roamers: readonly Roamer[], work: () => Promise<void>): Promise<void> {
  const all = roamers.map((roamer) => roamer.roam());
  await work();
  await eventually(() => roamers.every(({ visits }) => Math.min(...visits) >= VISITS_MIN), VISITS_MS);
  for (const roamer of roamers) roamer.stop();
  await Promise.all(all);
}
