// A long poll as the place where a connection's bytes go: it takes one portion per poll, which answers it.

import type { ServerResponse } from "node:http";
import type { Outlet } from "../transport/outbox.js";

export type AnswerPoll = (response: ServerResponse, messages: Buffer) => void;

export class PollOutlet implements Outlet {
  destroyed = false;
  /** Since when nobody polls; by `performance.now()`. */
  leftAt = performance.now();
  readonly #answer: AnswerPoll;
  #drained: (() => void) | undefined;
  #waiting: ServerResponse | undefined;
  /** Last words that found no poll. */
  #left: Buffer = Buffer.alloc(0);

  constructor(answer: AnswerPoll) {
    this.#answer = answer;
  }

  get isPolled(): boolean {
    return this.#waiting !== undefined;
  }

  get writableNeedDrain(): boolean {
    return this.#waiting === undefined;
  }

  once(_event: "drain", listener: () => void): void {
    this.#drained = listener;
  }

  /** The earlier poll is answered with nothing: a client has one at a time. */
  poll(response: ServerResponse): void {
    this.release();
    if (this.#left.length > 0) {
      this.#answer(response, this.#left);
      this.#left = Buffer.alloc(0);
      return;
    }
    this.#waiting = response;
    response.on("close", () => {
      if (this.#waiting === response) this.#leave();
    });
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  }

  /** Always asks to wait: for the next poll. Without one, which is the end alone, the next poll is answered with them. */
  write(bytes: Buffer): boolean {
    const response = this.#waiting;
    this.#leave();
    if (response === undefined) this.#left = bytes;
    else this.#answer(response, bytes);
    return false;
  }

  /** Answers a poll that waits. */
  release(): void {
    if (this.#waiting !== undefined) this.write(Buffer.alloc(0));
  }

  #leave(): void {
    this.#waiting = undefined;
    this.leftAt = performance.now();
  }
}
