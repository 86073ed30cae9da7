// The intake service put together: the responder that stores quotes, the feed into BullMQ, the worker that judges them.

import { type AuthFolder, type Stored, INBOX_PREFIXES, connectBackbone, getLast } from "@outcry/backbone";
import {
  type IntakeJobData,
  OutcomeReaders,
  type Platform,
  type PlatformOptions,
  connectPlatform,
  createResponseLog,
  followNodes,
  setMessageAside,
  tellRecovered,
} from "@outcry/delivery";
import { STREAMS } from "@outcry/protocol";
import { feedQueue } from "./feed-queue.js";
import { type IngestDeps, ingestQuote, refuseUnjudged } from "./ingest-quote.js";
import { NO_NODE_QUOTAS, type NodeQuotas, createNodeLimits } from "./node-limits.js";
import { answerQuotes } from "./store-quote.js";

const WORKER_CONCURRENCY = 128; // each waits for its window and its append, not for the CPU

export interface IntakeOptions {
  platform: PlatformOptions;
  auth: AuthFolder;
  ackWindowMs: number;
  /** Without them no node is limited. */
  quotas?: NodeQuotas;
  /** Of one message of QUOTES before it is set aside; a few seconds each. */
  deliveriesMax?: number;
  metrics: IntakeMetrics;
}

export interface IntakeMetrics {
  answered: (kind: string, code?: string) => void;
  judged: (kind: string, code?: string) => void;
}

export interface IntakeService {
  readonly platform: Platform;
  checks(): Record<string, { ok: boolean; detail: string }>;
  stop(): Promise<void>;
}

export async function startIntake(options: IntakeOptions): Promise<IntakeService> {
  const platform = await connectPlatform(options.platform);
  const { backbone, book, events, rows, run, queue, clock, log } = platform;
  const replies = await connectBackbone({
    servers: options.platform.natsUrl.split(","),
    credentials: { creds: options.auth.creds.replies },
    name: "intake-replies",
    inboxPrefix: INBOX_PREFIXES.replies,
    ...(options.platform.natsTls ? { tls: options.platform.natsTls } : {}),
    log,
    clock,
  });
  const nodes = followNodes(platform.nodes, log);
  await nodes.ready;
  const responses = createResponseLog({
    events,
    rows,
    run,
    clock,
    log,
    windowMs: options.ackWindowMs,
    onRecovered: (intent, nodeIds) => tellRecovered(platform, intent, nodeIds),
  });

  const ingestDeps: IngestDeps = {
    backbone,
    book,
    events,
    responses,
    rows,
    run,
    outcomes: new OutcomeReaders(backbone),
    nodes,
    clock,
    log,
    onOutcome: options.metrics.judged,
  };
  const worker = queue.runIntakeWorker({
    concurrency: WORKER_CONCURRENCY,
    gate: (signal) => platform.gate(signal),
    process: (job, context) => ingestQuote(ingestDeps, job, context),
    async onExhausted(job, cause) {
      await setMessageAside(platform, storedOf(job), WORKER_ATTEMPTS, cause);
      await refuseUnjudged(ingestDeps, job);
    },
  });
  const feed = feedQueue({
    backbone,
    queue,
    run,
    gate: () => platform.gate(),
    ...(options.deliveriesMax === undefined ? {} : { deliveriesMax: options.deliveriesMax }),
    onExhausted: (stored, deliveries, cause) => setMessageAside(platform, stored, deliveries, cause),
    log,
  });
  const limits = await createNodeLimits(options.quotas ?? NO_NODE_QUOTAS, {
    backbone,
    store: platform.redis,
    clock,
    log,
  });
  const responder = answerQuotes({
    backbone,
    replies,
    quotes: platform.quotes,
    book,
    limits,
    readStored: async (subject) => (await getLast(backbone, STREAMS.quotes, subject))?.data,
    log,
    onAnswer: options.metrics.answered,
  });

  return {
    platform,
    checks: () => ({
      nats: { ok: backbone.health.up && replies.health.up, detail: backbone.health.up ? "connected" : "disconnected" },
      redis: { ok: platform.redis.health.up, detail: platform.redis.health.up ? "connected" : "disconnected" },
    }),
    async stop() {
      await responder.drain();
      await limits.stop();
      await feed.stop();
      await worker.stop();
      await responses.flush();
      nodes.stop();
      await replies.close();
      await platform.close();
    },
  };
}

const WORKER_ATTEMPTS = 5;

/** As QUOTES holds it, so that its dead letter names the place. */
const storedOf = (job: IntakeJobData): Pick<Stored, "stream" | "subject" | "seq" | "data"> => ({
  stream: STREAMS.quotes,
  subject: job.subject,
  seq: job.seq,
  data: Buffer.from(job.envelope),
});
