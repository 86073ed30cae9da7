// Verifies signed acks (ADR-11) in the thread pool, a few at once and the rest in line: a large fan-out must hold up neither the event
// loop nor others' work in the pool. What is beyond the line is dropped; the next attempt earns it again.

import { LIMITS, type SignedAcks } from "@outcry/protocol";
import { type BareVerdict, type KeySource, verifyBareAsync } from "@outcry/signing";

export interface AckVerifierOptions {
  mode: Exclude<SignedAcks, "off">;
  /** Keys that a node has now. What another process registered a moment ago may be missing; so the next attempt is verified. */
  keysOf: (nodeId: string) => KeySource;
  onFailed: (error: unknown) => void;
}

export interface SignedAck {
  nodeId: string;
  /** Owned by the caller: what a connection hands out may be read into again before it is this ack's turn. */
  bytes: Uint8Array;
  jws: string;
}

interface Waiting extends SignedAck {
  onVerdict: (verdict: BareVerdict) => void;
  done: () => void;
}

export class AckVerifier {
  /** Acks without a signature are refused. */
  readonly required: boolean;
  readonly #options: AckVerifierOptions;
  readonly #line = new Set<Waiting>();
  /** One for each ack in line or in hand. */
  readonly #open = new Set<Promise<void>>();
  #lanes = 0;

  constructor(options: AckVerifierOptions) {
    this.#options = options;
    this.required = options.mode === "require";
  }

  /** False when the line is full. */
  take(ack: SignedAck, onVerdict: (verdict: BareVerdict) => void): boolean {
    if (this.#open.size >= LIMITS.ackVerifiesWaitingMax) return false;
    const open: Promise<void> = new Promise<void>((done) => this.#line.add({ ...ack, onVerdict, done })).finally(() =>
      this.#open.delete(open),
    );
    this.#open.add(open);
    if (this.#lanes < LIMITS.ackVerifiesAtOnce) void this.#runLane();
    return true;
  }

  /** Resolves when every ack that was taken so far has had its verdict. */
  async settled(): Promise<void> {
    await Promise.all(this.#open);
  }

  async #runLane(): Promise<void> {
    this.#lanes++;
    for (const next of this.#line) {
      this.#line.delete(next); // a lane that comes behind goes on with the one after it
      await this.#verify(next);
    }
    this.#lanes--;
  }

  async #verify({ nodeId, bytes, jws, onVerdict, done }: Waiting): Promise<void> {
    try {
      onVerdict(await verifyBareAsync({ bytes, type: "ack", owner: nodeId }, jws, this.#options.keysOf(nodeId)));
    } catch (error) {
      this.#options.onFailed(error);
    } finally {
      done();
    }
  }
}
