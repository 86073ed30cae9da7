// One subscriber of one channel over all its visits to any gateway: what it saw in order, and what it was told about gaps. And the judge.

import type { Sink } from "./channels/format.js";
import type { Session } from "./channels/session.js";
import type { Opened } from "./channels/subscribe.js";
import type { GatewayEngine } from "./gateway.js";
import { nativeFormat } from "./native/native-format.js";

export interface Published {
  readonly n: number;
  readonly subject: string;
}

/** Between the numbers: a gap was told, or everything from the first event on that this stream has was promised. */
export const GAP = -1;
export const WHOLE = 0;

export const belongs = (channel: string, subject: string): boolean => {
  const [kind, id] = channel.split(":");
  const [, , group, one] = subject.split(".");
  return kind === "all" || (kind === "group" ? group === id : one === id);
};

export class HistoryReader implements Sink {
  readonly id = "reader";
  readonly format = nativeFormat;
  readonly channel: string;
  readonly seen: number[] = [];
  gaps = 0;
  resumed = 0;
  cursor: string | undefined;
  open = false;
  free = 1_000;
  #engine: GatewayEngine | undefined;
  #session: Session | undefined;
  #wake: (() => void)[] = [];

  constructor(channel: string) {
    this.channel = channel;
  }

  get last(): number | undefined {
    return this.seen.at(-1);
  }

  /** It has everything, or was told that it has not. */
  get isLive(): boolean {
    const [subscription] = this.#session?.inspect() ?? [];
    return subscription?.state === "live";
  }

  isAt(engine: GatewayEngine): boolean {
    return this.open && this.#engine === engine;
  }

  /** With the cursor of the last visit, or from the start. */
  async enter(engine: GatewayEngine) {
    this.leave();
    this.open = true;
    this.drain(1_000);
    this.#engine = engine;
    const session = engine.open({ id: "p", role: "buyer", credential: "p" }, this);
    this.#session = session;
    const announce = (opened: Opened) => {
      if (this.#session === session) this.#onOpened(opened);
    };
    const wanted = this.cursor === undefined ? { from: "start" as const } : { cursor: this.cursor };
    return session.subscribe(this.channel, wanted, announce);
  }

  /** What is on its way is lost to it. */
  leave(): void {
    this.open = false;
    this.#session?.close();
    this.drain(0);
  }

  offer(frames: Buffer): boolean {
    if (this.free <= 0) return false;
    this.free--;
    if (!this.open) return true; // a socket that the reader has left
    for (const text of textsOf(frames)) this.#take(JSON.parse(text) as Message);
    return true;
  }

  async ready(): Promise<boolean> {
    if (this.free <= 0) await new Promise<void>((resolve) => this.#wake.push(resolve));
    return this.open;
  }

  drain(frames: number): void {
    this.free += frames;
    for (const wake of this.#wake.splice(0)) wake();
  }

  #take(message: Message): void {
    this.cursor = message.c ?? message.pos ?? message.reset?.c ?? this.cursor;
    if (message.reset !== undefined) this.#gap();
    if (message.d !== undefined) this.seen.push(message.d.n);
  }

  #onOpened({ cursor, recovered }: Opened): void {
    if (this.cursor === undefined && recovered === true) this.seen.push(WHOLE);
    if (this.cursor !== undefined && recovered === true) this.resumed++;
    if (recovered === false) this.#gap();
    this.cursor = cursor;
  }

  #gap(): void {
    this.gaps++;
    this.seen.push(GAP);
  }
}

/**
 * Between two told gaps: exactly what the channel got, in order, each once. So a resume that falsely says `recovered: true` shows as what is missing
 * behind it. At the end everything is there. `starts` are the first events of the streams that there were. Undefined when all is well.
 */
export function wrongOf(
  channel: string,
  seen: readonly number[],
  published: readonly Published[],
  starts: readonly number[] = [1],
): string | undefined {
  const mine = published.filter(({ subject }) => belongs(channel, subject)).map(({ n }) => n);
  const isFirst = (found: number) => starts.some((start) => mine.findIndex((n) => n >= start) === found);
  let at = 0;
  let after: "event" | "gap" | "whole" = "gap"; // behind a gap any later event may be the next one
  for (const n of seen) {
    if (n === GAP) after = "gap";
    else if (n === WHOLE) after = "whole";
    else {
      const found = mine.indexOf(n, at);
      if (found < 0) return `${channel}: ${n} is doubled, out of order or foreign`;
      if (after === "event" ? found !== at : after === "whole" && !isFirst(found))
        return `${channel}: ${mine[at]} is missing before ${n}`;
      after = "event";
      at = found + 1;
    }
  }
  return at === mine.length ? undefined : `${channel}: ends before ${mine[at]} of ${mine.at(-1)}`;
}

interface Message {
  c?: string;
  pos?: string;
  reset?: { c: string };
  d?: { n: number };
}

/** Of complete text frames of the server, one behind the other. */
export function* textsOf(frames: Buffer): Generator<string> {
  for (let at = 0; at < frames.length;) {
    const short = frames[at + 1]!;
    const begin = at + (short < 126 ? 2 : 4);
    at = begin + (short < 126 ? short : frames.readUInt16BE(at + 2));
    yield frames.subarray(begin, at).toString();
  }
}
