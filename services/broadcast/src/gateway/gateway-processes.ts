// Asks every process of the gateway and gathers what they answer (packages/ws-gateway/src/inspect). Who runs is known from what the
// processes say of themselves: so an answer is whole as soon as all have given theirs, and one that is missing is noticed.

import type { Backbone } from "@outcry/backbone";
import { newId } from "@outcry/protocol";
import {
  decodeAnswer,
  decodeHere,
  encodeInspect,
  GATEWAY_LIMITS,
  INSPECT_SUBJECTS,
  type InspectAnswer,
  type InspectQuestion,
} from "@outcry/ws-gateway";

const WINDOW_MS = 2_000; // a process that is busy for longer is as good as silent
const UNKNOWN_WINDOW_MS = 300; // while none is known to run: for those whose first word was lost

export interface Gathered<A extends InspectAnswer = InspectAnswer> {
  readonly answers: readonly A[];
  /** Known to run, without an answer within the window. */
  readonly silent: number;
}

export class GatewayProcesses {
  readonly #backbone: Backbone;
  /** When each was heard last, by `performance.now()`. */
  readonly #heardAt = new Map<string, number>();
  readonly #stopping: (() => void)[];

  constructor(backbone: Backbone) {
    this.#backbone = backbone;
    const heard = backbone.subscribe(INSPECT_SUBJECTS.here, ({ data }) => this.#hear(data));
    this.#stopping = [() => heard.close(), backbone.health.onChange((up) => up && this.#askWho())];
    if (backbone.health.up) this.#askWho();
  }

  close(): void {
    for (const stop of this.#stopping.splice(0)) stop();
  }

  /** `isEnough`: an answer behind which no other is waited for. Rejects while NATS is down. */
  async ask<Q extends InspectQuestion>(
    question: Q,
    isEnough: (answer: InspectAnswer & { kind: Q["kind"] }) => boolean = () => false,
  ): Promise<Gathered<InspectAnswer & { kind: Q["kind"] }>> {
    type Answer = InspectAnswer & { kind: Q["kind"] };
    const ask = newId("msg");
    const answers = new Map<string, Answer>();
    const awaited = new Set(this.#running());
    let finish!: () => void;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const listening = this.#backbone.subscribe(INSPECT_SUBJECTS.answer(ask), ({ data }) => {
      const answer: Answer | undefined = decodeAnswer(data);
      if (answer === undefined) return;
      this.#heardAt.set(answer.process, performance.now());
      answers.set(answer.process, answer);
      const wasAwaited = awaited.delete(answer.process);
      if (isEnough(answer) || (wasAwaited && awaited.size === 0)) finish();
    });
    const timer = setTimeout(finish, awaited.size === 0 ? UNKNOWN_WINDOW_MS : WINDOW_MS);
    try {
      this.#backbone.publish(INSPECT_SUBJECTS.ask, encodeInspect({ ask, ...question }));
      await finished;
    } finally {
      clearTimeout(timer);
      listening.close();
    }
    return { answers: [...answers.values()], silent: awaited.size };
  }

  #hear(data: Uint8Array): void {
    const here = decodeHere(data);
    if (here?.gone === true) this.#heardAt.delete(here.process);
    else if (here !== undefined) this.#heardAt.set(here.process, performance.now());
  }

  /** While we are cut off the silence is ours: what was heard before counts for its time all the same. */
  #running(): string[] {
    const deadline = performance.now() - GATEWAY_LIMITS.presenceDeadMs;
    for (const [process, heardAt] of this.#heardAt) if (heardAt < deadline) this.#heardAt.delete(process);
    return [...this.#heardAt.keys()];
  }

  #askWho(): void {
    this.#backbone.publish(INSPECT_SUBJECTS.ask, encodeInspect({ kind: "who" }));
  }
}
