// Puts each stored quote into the BullMQ queue: durable consumer on QUOTES, acknowledged once Redis has the job on disk.

import { type Backbone, type RunningConsumer, type Stored, runConsumer } from "@outcry/backbone";
import { type IntakeJobData, intakeJob } from "@outcry/delivery";
import type { IntakeQueue, RunKeeper } from "@outcry/jobs";
import { type Log, STREAMS, SUBJECTS } from "@outcry/protocol";

const CONCURRENCY = 256;
const DELIVERIES_MAX = 10;

export interface FeedDeps {
  backbone: Backbone;
  queue: IntakeQueue<IntakeJobData>;
  run: RunKeeper;
  gate: () => Promise<void>;
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
    deliveryLimit: DELIVERIES_MAX,
    gate: deps.gate,
    handler: ({ stored }) => batcher.add(stored),
    onExhausted: deps.onExhausted,
    log: deps.log,
  });
}

/** One addBulk at a time; what arrives meanwhile goes with the next one. */
class Batcher {
  readonly #queue: IntakeQueue<IntakeJobData>;
  #waiting: { stored: Stored; resolve: () => void; reject: (error: unknown) => void }[] = [];
  #adding = false;

  constructor(queue: IntakeQueue<IntakeJobData>) {
    this.#queue = queue;
  }

  add(stored: Stored): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ stored, resolve, reject });
      if (!this.#adding) void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    this.#adding = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#queue.addMany(batch.map(({ stored }) => intakeJob(stored)));
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#adding = false;
  }
}
