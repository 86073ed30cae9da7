// Receivers of webhooks in a process of their own, as a fault test sees them.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import type { Event } from "@outcry/protocol";
import type { ArrivedText, Asked } from "./receiver-process.js";

export interface Arrived {
  readonly body: string;
  readonly headers: Record<string, string>;
  readonly event: Event;
}

export class Receivers {
  readonly #child: ChildProcess = fork(path.join(import.meta.dirname, "receiver-process.js"), {
    serialization: "advanced",
  });
  #asking: Promise<unknown> = Promise.resolve();

  /** The URL of one more; `flaky` is the share of events whose first attempt it fails. */
  async open(options: { flaky: number; seed: number }): Promise<string> {
    return (await this.#ask({ open: options })) as string;
  }

  /** How many events each has taken, in the order in which they were opened. */
  async taken(): Promise<number[]> {
    return (await this.#ask({ taken: true })) as number[];
  }

  /** All that came to one of them, in order. */
  async arrived(index: number): Promise<Arrived[]> {
    const all = (await this.#ask({ arrived: index })) as ArrivedText[];
    return all.map(({ body, headers }) => ({ body, headers, event: JSON.parse(body) as Event }));
  }

  async close(): Promise<void> {
    const exited = once(this.#child, "exit");
    this.#child.disconnect();
    await exited;
  }

  /** One question at a time: the answers have no names. */
  #ask(asked: Asked): Promise<unknown> {
    const answer = this.#asking.then(async () => {
      this.#child.send(asked);
      const [value] = await once(this.#child, "message");
      return value as unknown;
    });
    this.#asking = answer.catch(() => undefined);
    return answer;
  }
}
