// The intake service as it is, and beside it its bare steps one after another: group-committed append, BullMQ no-op, verify.

import { type NatsConnection, headers } from "@nats-io/transport-node";
import { readAuthFolder } from "@outcry/backbone";
import { type IntakeService, startIntake } from "@outcry/intake";
import { LIMITS } from "@outcry/protocol";
import { Queue, Worker } from "bullmq";
import { type KeyObject, createPublicKey, randomUUID, verify } from "node:crypto";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import { type Run, closedLoop, orStuck } from "../closed-loop.js";
import { BARE, type Place, connectBare, platformAt } from "./place.js";
import { profileVerbs } from "./profile.js";

const BATCH = 200; // as many quotes as are in flight
const WORKER_CONCURRENCY = 128; // as the service has
const VERIFIES_AT_ONCE = 16; // more than the thread pool has threads

/** A signed quote as a node sends it. */
export interface SampleQuote {
  bytes: Uint8Array;
  /** What the signature is of: header, dot, payload. */
  signingInput: Uint8Array;
  signature: Uint8Array;
  /** x of the Ed25519 key, base64url. */
  publicKey: string;
  jws: string;
}

const verifyAsync = promisify(
  (data: Uint8Array, key: KeyObject, signature: Uint8Array, done: (error: Error | null, valid: boolean) => void) =>
    verify(null, data, key, signature, done),
);

export function intakeRole() {
  const judged = { ranked: 0, refused: 0 };
  let intake: IntakeService;
  let bare: NatsConnection;
  let bareQueue: BareQueue;
  let samples: (SampleQuote & { key: KeyObject })[] = [];

  const verbs = {
    ...profileVerbs,
    async start(place: Place): Promise<void> {
      intake = await startIntake({
        platform: platformAt(place, "intake"),
        auth: readAuthFolder(place.authDir),
        ackWindowMs: LIMITS.responseWindowMs,
        metrics: { answered: () => undefined, judged: (kind) => void judged[kind as keyof typeof judged]++ },
      });
      bare = await connectBare(place, "bareintake");
      bareQueue = new BareQueue(place.redisUrl);
    },
    async takeSamples(quotes: SampleQuote[]): Promise<void> {
      samples = quotes.map((quote) => ({
        ...quote,
        key: createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: quote.publicKey }, format: "jwk" }),
      }));
    },
    /** Every step over `count` quotes; seconds are the sum of the three. */
    async runBareSteps(count: number): Promise<Run & { stepSeconds: Record<string, number> }> {
      const quotes = Array.from({ length: count }, (_, index) => samples[index % samples.length]!);
      const append = await timed(() => appendAll(bare, quotes));
      const queue = await timed(() => bareQueue.process(quotes));
      const check = await timed(() => verifyAll(quotes));
      return {
        count,
        seconds: append + queue + check,
        latenciesMs: [],
        stepSeconds: { append, bullmq: queue, verify: check },
      };
    },
    async judgedSoFar(): Promise<typeof judged> {
      return { ...judged };
    },
  };
  return {
    verbs,
    async stop() {
      await bareQueue?.close();
      await intake?.stop();
      await bare?.close();
    },
  };
}

export type IntakeVerbs = ReturnType<typeof intakeRole>["verbs"];

async function timed(work: () => Promise<unknown>): Promise<number> {
  const fromMs = performance.now();
  await work();
  return (performance.now() - fromMs) / 1_000;
}

/** Atomic batches, one at a time: the quickest way onto the disk (ADR-50). */
async function appendAll(bare: NatsConnection, quotes: SampleQuote[]): Promise<void> {
  for (let from = 0; from < quotes.length; from += BATCH) {
    const batch = quotes.slice(from, from + BATCH);
    const id = randomUUID();
    const place = (index: number, last: boolean) => {
      const fields = headers();
      fields.set("Nats-Batch-Id", id);
      fields.set("Nats-Batch-Sequence", String(index + 1));
      if (last) fields.set("Nats-Batch-Commit", "1");
      return fields;
    };
    for (const [index, { bytes }] of batch.slice(0, -1).entries())
      bare.publish(BARE.append(`${id}-${index}`), bytes, { headers: place(index, false) });
    const last = batch.length - 1;
    const options = { headers: place(last, true), timeout: 10_000 };
    const reply = await bare.request(BARE.append(`${id}-${last}`), batch[last]!.bytes, options);
    const { error } = reply.json<{ error?: { description: string } }>();
    if (error !== undefined) throw new Error(`the bare batch was refused: ${error.description}`);
  }
}

function verifyAll(quotes: (SampleQuote & { key: KeyObject })[]): Promise<Run> {
  return closedLoop({ count: quotes.length, inFlight: VERIFIES_AT_ONCE }, async (index) => {
    const { signingInput, key, signature } = quotes[index]!;
    if (!(await verifyAsync(signingInput, key, signature))) throw new Error("a quote of the bench does not verify");
  });
}

/** A queue of its own with a processor that does nothing. */
class BareQueue {
  readonly #connections: Redis[];
  readonly #queue: Queue;
  readonly #worker: Worker;
  #left = 0;
  #done: () => void = () => undefined;

  constructor(redisUrl: string) {
    this.#connections = [0, 1].map(() => new Redis(redisUrl, { maxRetriesPerRequest: null }));
    const [adding, working] = this.#connections as [Redis, Redis];
    const prefix = "{bare}";
    this.#queue = new Queue("noop", {
      connection: adding,
      prefix,
      defaultJobOptions: { removeOnComplete: { count: 10_000 } },
    });
    this.#worker = new Worker("noop", async () => undefined, {
      connection: working,
      prefix,
      concurrency: WORKER_CONCURRENCY,
    });
    this.#worker.on("completed", () => {
      if (--this.#left === 0) this.#done();
    });
  }

  async process(quotes: SampleQuote[]): Promise<void> {
    this.#left = quotes.length;
    const done = new Promise<void>((resolve) => (this.#done = resolve));
    for (let from = 0; from < quotes.length; from += BATCH) {
      const batch = quotes.slice(from, from + BATCH);
      await this.#queue.addBulk(
        batch.map(({ bytes, jws }) => ({ name: "noop", data: { envelope: Buffer.from(bytes).toString(), jws } })),
      );
    }
    await orStuck(done, () => `${quotes.length - this.#left} of ${quotes.length} no-op jobs`);
  }

  async close(): Promise<void> {
    await this.#worker.close();
    await this.#queue.close();
    for (const connection of this.#connections) connection.disconnect();
  }
}
