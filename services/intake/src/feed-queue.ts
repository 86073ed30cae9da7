// Puts each stored quote into the BullMQ queue: durable consumer on QUOTES, acknowledged once Redis has the job on disk.

import { type Backbone, type RunningConsumer, type Stored, runConsumer } from "@outcry/backbone";
import { type IntakeJobData, intakeJob } from "@outcry/delivery";
import type { IntakeJob, IntakeQueue, RunKeeper } from "@outcry/jobs";
import { type Log, STREAMS, SUBJECTS, isTemporary } from "@outcry/protocol";

const CONCURRENCY = 256;
const DELIVERIES_MAX = 10;

export interface FeedDeps {
  backbone: Backbone;
  queue: IntakeQueue<IntakeJobData>;
  run: RunKeeper;
  gate: () => Promise<void>;
  deliveriesMax?: number;
  onExhausted: (stored: Stored, deliveries: number, cause: unknown) => Promise<void>;
  log: Log;
}

export function feedQueue(deps: FeedDeps): RunningConsumer {
  const batcher = new Batcher(deps.queue);
  return runConsumer(deps.backbone, {
    stream: STREAMS.quotes,
    durable: "intake",
    filters: [SUBJECTS.allQuotes],
    concurrency: CONCURRENCY,
    deliveryLimit: deps.deliveriesMax ?? DELIVERIES_MAX,
    gate: deps.gate,
    // One that comes again may have been judged long ago: its finished job is kept only for a while.
    handler: ({ stored, isRedelivery }) => batcher.add(intakeJob(stored, { requeued: isRedelivery })),
    onExhausted: deps.onExhausted,
    log: deps.log,
  });
}

interface Waiting {
  job: IntakeJob<IntakeJobData>;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** One addBulk at a time; what arrives meanwhile goes with the next one. */
class Batcher {
  readonly #queue: IntakeQueue<IntakeJobData>;
  #waiting: Waiting[] = [];
  #adding = false;

  constructor(queue: IntakeQueue<IntakeJobData>) {
    this.#queue = queue;
  }

  add(job: IntakeJob<IntakeJobData>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      if (!this.#adding) void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    this.#adding = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      await this.#put(batch);
    }
    this.#adding = false;
  }

  async #put(batch: Waiting[]): Promise<void> {
    try {
      await this.#queue.addMany(batch.map(({ job }) => job));
      for (const { resolve } of batch) resolve();
    } catch (error) {
      if (batch.length === 1 || isTemporary(error)) for (const { reject } of batch) reject(error);
      else for (const each of batch) await this.#put([each]); // one that cannot be queued must not take the others along
    }
  }
}
