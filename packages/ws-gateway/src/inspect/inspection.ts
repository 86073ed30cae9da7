// This process's ear for operators' questions: says that it is there, and answers what it is asked.

import { hostname } from "node:os";
import { newId } from "@outcry/protocol";
import type { GatewayLimits } from "../limits.js";
import type { ProcessBus } from "../presence/process-bus.js";
import { answerInspection, type InspectedProcess } from "./inspect-peers.js";
import { decodeAsk, encodeInspect, type InspectAnswer, INSPECT_SUBJECTS, type ProcessHere } from "./inspect-wire.js";

export interface InspectionDeps {
  readonly bus: ProcessBus;
  readonly limits: GatewayLimits;
  /** Of the process. Default: one that tells its host and is unique. */
  readonly name: string | undefined;
  readonly peers: InspectedProcess["peers"];
  readonly liveLog: InspectedProcess["liveLog"];
}

export class Inspection {
  readonly #deps: InspectionDeps;
  readonly #process: InspectedProcess;
  readonly #stopping: (() => void)[] = [];

  constructor(deps: InspectionDeps) {
    const { peers, liveLog, name = processName() } = deps;
    this.#deps = deps;
    this.#process = { name, peers, liveLog };
  }

  start(): void {
    const { bus, limits } = this.#deps;
    const beat = setInterval(() => this.#sayHere(), limits.presenceBeatMs);
    this.#stopping.push(
      () => clearInterval(beat),
      bus.subscribe(INSPECT_SUBJECTS.ask, (data) => this.#hear(data)),
      bus.onUp((up) => up && this.#sayHere()),
    );
    this.#sayHere();
  }

  stop(): void {
    if (this.#stopping.length === 0) return;
    for (const stop of this.#stopping.splice(0)) stop();
    this.#sayHere({ gone: true });
  }

  #hear(data: Uint8Array): void {
    const asked = decodeAsk(data);
    if (asked?.kind === "who") this.#sayHere();
    else if (asked !== undefined) this.#say(INSPECT_SUBJECTS.answer(asked.ask), answerInspection(this.#process, asked));
  }

  #sayHere(more: Pick<ProcessHere, "gone"> = {}): void {
    this.#say(INSPECT_SUBJECTS.here, { process: this.#process.name, ...more });
  }

  /** Lost when the connection is: the asker then counts this process as silent. */
  #say(subject: string, message: InspectAnswer | ProcessHere): void {
    if (this.#deps.bus.up) this.#deps.bus.publish(subject, encodeInspect(message));
  }
}

/** A restarted process is another one. */
const processName = (): string => `${hostname()}-${process.pid}-${newId("con").slice(-4)}`;
