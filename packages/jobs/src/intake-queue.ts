// The intake queue on BullMQ: stored quotes that wait to be verified and ranked. Handlers are idempotent, since a stalled job runs
// again. Failures are counted here, not by BullMQ's `failed` event, which is lost when its process dies.

import { type Clock, isTemporary, type Log, OutcryError } from "@outcry/protocol";
import { DelayedError, type Job, Queue, Worker } from "bullmq";
import { isRebuildNeeded, type RedisStore, translated } from "./connect.js";
import type { Gate } from "./run-timers.js";

const ATTEMPTS_MAX = 5;
const CRASHES_MAX = 10; // runs that ended with their process; a healthy job is never so unlucky
const NEVER = 1_000_000_000; // BullMQ's own limits are out of the way: exhaustion is ours
const KEPT_JOBS = 10_000; // a finished job's id is refused while it is kept; later repeats meet an idempotent handler
const BACKOFF_BASE_MS = 200;
const BACKOFF_MAX_MS = 5_000;
const OUTAGE_DELAY_MS = 250;
const LOCK_MS = 5_000; // a job of a killed worker runs again after this and two stalled checks
const STALLED_CHECK_MS = 2_000;
const CLOSE_TIMEOUT_MS = 3_000; // BullMQ's close waits for a Redis that may be away

export interface IntakeJob<T> {
  /** One job per id; `:` is not allowed in it. */
  id: string;
  data: T;
}

export interface JobContext {
  /** From 1; an outage or a crash is no attempt. */
  attempt: number;
  /** True when an earlier run may have done part of the work. */
  isRedelivered: boolean;
  signal: AbortSignal;
}

export interface IntakeWorkerOptions<T> {
  concurrency: number;
  process(data: T, context: JobContext): Promise<void>;
  /** Sets the job aside for good; repeated until it succeeds. */
  onExhausted(data: T, cause: unknown): Promise<void>;
  gate: Gate;
  attemptsMax?: number;
}

export interface IntakeQueue<T> {
  /** Returns when Redis has the jobs on disk. Ids that are queued, or finished and still kept, are left alone. */
  addMany(jobs: IntakeJob<T>[]): Promise<void>;
  counts(): Promise<{ waiting: number; active: number; delayed: number; failed: number }>;
  runIntakeWorker(options: IntakeWorkerOptions<T>): { stop(): Promise<void> };
  close(): Promise<void>;
}

export interface IntakeQueueOptions {
  store: RedisStore;
  log: Log;
  clock: Clock;
  name?: string;
  prefix?: string;
  random?: () => number;
}

export function createIntakeQueue<T>(options: IntakeQueueOptions): IntakeQueue<T> {
  const { store, log, name = "intake", prefix = "{outcry}" } = options;
  const connection = store.connectBull("failing");
  const queue = new Queue<T>(name, {
    connection: connection.client,
    prefix,
    defaultJobOptions: {
      attempts: NEVER,
      backoff: { type: "custom" },
      removeOnComplete: { count: KEPT_JOBS },
      removeOnFail: { count: KEPT_JOBS },
      stackTraceLimit: 1,
    },
  });
  queue.on("error", (error) => log.debug({ err: error }, "intake queue error"));

  // BullMQ waits for a first connection for ever; we say at once that there is none.
  const up = (): void => {
    if (connection.client.status !== "ready")
      throw new OutcryError("dependency_unavailable", "redis: the intake queue is not connected");
  };
  return {
    async addMany(jobs) {
      if (jobs.length === 0) return;
      up();
      await translated(queue.addBulk(jobs.map(({ id, data }) => ({ name, data, opts: { jobId: id } })) as never));
    },
    async counts() {
      up();
      const found = await translated(queue.getJobCounts("wait", "active", "delayed", "failed"));
      const { wait = 0, active = 0, delayed = 0, failed = 0 } = found;
      return { waiting: wait, active, delayed, failed };
    },
    runIntakeWorker: (worker) => runWorker(options, { name, prefix }, worker),
    async close() {
      await Promise.race([queue.close(), timeout(CLOSE_TIMEOUT_MS)]);
      await connection.close();
    },
  };
}

function runWorker<T>(
  { store, log, clock, random = Math.random }: IntakeQueueOptions,
  { name, prefix }: { name: string; prefix: string },
  options: IntakeWorkerOptions<T>,
): { stop(): Promise<void> } {
  const connection = store.connectBull("waiting");
  const stopping = new AbortController();
  const worker = new Worker<T, void>(name, (job, token) => runJob(options, clock, job, token!, stopping.signal), {
    connection: connection.client,
    prefix,
    concurrency: options.concurrency,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_CHECK_MS,
    maxStalledCount: NEVER,
    settings: {
      backoffStrategy: (attemptsMade) => random() * Math.min(BACKOFF_BASE_MS * 2 ** attemptsMade, BACKOFF_MAX_MS),
    },
  });
  worker.on("error", (error) => log.debug({ err: error }, "intake worker error"));
  worker.on("failed", (job, error) =>
    log.warn({ err: error, job_id: job?.id }, "intake job failed; it will run again"),
  );

  return {
    async stop() {
      stopping.abort(new Error("intake is stopping"));
      // Without Redis no job in hand can be settled: it runs again later, and BullMQ must not wait for it.
      await Promise.race([worker.close(!store.health.up), timeout(CLOSE_TIMEOUT_MS)]);
      await connection.close();
    },
  };
}

async function runJob<T>(
  options: IntakeWorkerOptions<T>,
  clock: Clock,
  job: Job<T, void>,
  token: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await options.gate(signal); // BullMQ renews the lock while we wait
    await processOrSetAside(options, job, signal);
  } catch (error) {
    if (!signal.aborted && !isTemporary(error) && !isRebuildNeeded(error)) throw error;
    // Back to the queue with the same attempts; BullMQ counts only what is thrown as another error.
    await job.moveToDelayed(clock.now() + OUTAGE_DELAY_MS, token);
    throw new DelayedError();
  }
}

async function processOrSetAside<T>(
  options: IntakeWorkerOptions<T>,
  job: Job<T, void>,
  signal: AbortSignal,
): Promise<void> {
  const { process, onExhausted, attemptsMax = ATTEMPTS_MAX } = options;
  if (job.stalledCounter > CRASHES_MAX) {
    return onExhausted(job.data, new Error(`its process ended ${job.stalledCounter} times while it ran`));
  }
  const attempt = job.attemptsMade + 1;
  try {
    await process(job.data, { attempt, isRedelivered: job.attemptsStarted > 1, signal });
  } catch (error) {
    if (signal.aborted || isTemporary(error) || isRebuildNeeded(error) || attempt < attemptsMax) throw error;
    await onExhausted(job.data, error);
  }
}

const timeout = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms).unref());
