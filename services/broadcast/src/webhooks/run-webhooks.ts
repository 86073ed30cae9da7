// Runs the webhooks that fall to this process: a durable consumer on EVENTS per webhook. Rendezvous hashing over the living processes
// says whose each is, a claim in Redis keeps two from running it at once.

import { createHash, randomUUID } from "node:crypto";
import {
  type Backbone,
  consumerNames,
  deleteConsumer,
  type RunningConsumer,
  runConsumer,
  type Stored,
} from "@outcry/backbone";
import type { WebhookTable } from "@outcry/jobs";
import { isTemporary, LIMITS, type Log, STREAMS, TOPICS } from "@outcry/protocol";
import type { AccessBook, StoredWebhook } from "../access/access-book.js";
import { durableOf, WEBHOOK_DURABLE } from "./webhook-book.js";
import type { WebhookLine } from "./webhook-line.js";

const TICK_MS = 1_000;
const SWEEP_EVERY_MS = 60_000; // for consumers whose webhook went while nobody could delete them
// A delivery that ends with its process, or meets a webhook that is just being paused, is no attempt. So many for each attempt are
// the event's own fault.
const DELIVERIES_PER_ATTEMPT = 4;
const STOP_WITHIN_MS = LIMITS.webhookTimeoutMs + 1_000; // an attempt under way ends by itself

export interface RunWebhooksDeps {
  readonly backbone: Backbone;
  readonly book: AccessBook;
  readonly table: WebhookTable;
  readonly gate: () => Promise<void>;
  readonly open: (webhookId: string, consumer: string) => WebhookLine;
  readonly setAside: (webhookId: string, stored: Stored, deliveries: number, cause: unknown) => Promise<void>;
  /** Whether its secrets can be opened here: without them an event must wait, not fail. */
  readonly canSign: (webhook: StoredWebhook) => boolean;
  readonly attemptsMax: number;
  readonly log: Log;
}

export interface RunningWebhooks {
  /** Webhooks that this process runs now. */
  readonly running: readonly string[];
  stop(): Promise<void>;
}

export function runWebhooks(deps: RunWebhooksDeps): RunningWebhooks {
  const runner = new Runner(deps);
  runner.start();
  return runner;
}

interface Running {
  readonly durable: string;
  readonly line: WebhookLine;
  readonly consumer: RunningConsumer;
  stopped?: Promise<void>;
}

class Runner implements RunningWebhooks {
  readonly #deps: RunWebhooksDeps;
  readonly #worker = randomUUID();
  readonly #running = new Map<string, Running>();
  readonly #unsigned = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> | undefined;
  #again = false;
  #sweptAtMs = 0;
  #ended = false;

  constructor(deps: RunWebhooksDeps) {
    this.#deps = deps;
  }

  get running(): readonly string[] {
    return [...this.#running.keys()];
  }

  start(): void {
    this.#deps.book.webhooks.onChange(() => this.#tick());
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  async stop(): Promise<void> {
    this.#ended = true;
    clearInterval(this.#timer);
    await this.#ticking;
    await Promise.all([...this.#running].map(([id, running]) => this.#end(id, running)));
    // Told so, the others take over at once instead of after its silence.
    await this.#deps.table.leave(this.#worker).catch((error: unknown) => this.#say(error, "not signed off"));
  }

  /** One at a time; what changes meanwhile is looked at right after. */
  #tick(): void {
    if (this.#ended) return;
    if (this.#ticking !== undefined) {
      this.#again = true;
      return;
    }
    this.#ticking = this.#share()
      .catch((error: unknown) => this.#say(error, "not shared out, trying again"))
      .finally(() => {
        this.#ticking = undefined;
        const again = this.#again;
        this.#again = false;
        if (again) this.#tick();
      });
  }

  async #share(): Promise<void> {
    const { book, table } = this.#deps;
    const workers = await table.beat(this.#worker);
    const all = [...book.webhooks.all()].map(([, { value }]) => value);
    const mine = new Map(
      all.filter((one) => one.enabled && this.#isMine(one, workers) && this.#canSign(one)).map((one) => [one.id, one]),
    );
    const wanted = new Set([...mine.keys(), ...this.#running.keys()]);
    const claims = await table.claim(this.#worker, [...wanted]);
    const held = new Set([...wanted].filter((_, index) => claims[index]));
    for (const [id, running] of this.#running) {
      const webhook = mine.get(id);
      const goesOn = held.has(id) && webhook !== undefined && durableOf(webhook) === running.durable;
      if (!goesOn) void this.#end(id, running);
    }
    if (this.#ended) return;
    for (const webhook of mine.values())
      if (held.has(webhook.id) && !this.#running.has(webhook.id)) this.#begin(webhook);
    await this.#sweep();
  }

  #isMine({ id }: StoredWebhook, workers: readonly string[]): boolean {
    const weight = (worker: string) => createHash("sha256").update(`${worker}\0${id}`).digest("hex");
    const best = workers.toSorted((one, other) => (weight(one) < weight(other) ? -1 : 1)).at(-1);
    return best === this.#worker;
  }

  #canSign(webhook: StoredWebhook): boolean {
    const can = this.#deps.canSign(webhook);
    if (can) this.#unsigned.delete(webhook.id);
    else if (!this.#unsigned.has(webhook.id)) {
      this.#unsigned.add(webhook.id);
      this.#deps.log.error(
        { webhook: webhook.id },
        "webhooks: OUTCRY_WEBHOOK_KEY lacks the key of its secret; it waits",
      );
    }
    return can;
  }

  #begin(webhook: StoredWebhook): void {
    const { backbone, gate, open, setAside, attemptsMax, log } = this.#deps;
    const { id, backend_id, start_seq } = webhook;
    const durable = durableOf(webhook);
    const line = open(id, durable);
    const consumer = runConsumer(backbone, {
      stream: STREAMS.events,
      durable,
      filters: [TOPICS.backend(backend_id)],
      concurrency: LIMITS.webhookInHandMax,
      deliveryLimit: attemptsMax * DELIVERIES_PER_ATTEMPT,
      ackPendingMax: LIMITS.webhookPendingMax,
      startSeq: start_seq,
      inOrder: true, // a claim says whose it is
      gate,
      handler: (message) => line.deliver(message),
      onExhausted: (stored, deliveries, cause) => setAside(id, stored, deliveries, cause),
      log,
    });
    this.#running.set(id, { durable, line, consumer });
  }

  /** Keeps the claim until nothing is in hand any more, then lets the next process begin. */
  #end(id: string, running: Running): Promise<void> {
    running.stopped ??= (async () => {
      const { table } = this.#deps;
      const stopped = running.consumer.stop(STOP_WITHIN_MS);
      running.line.close();
      await stopped;
      await this.#deleteUnlessKept(running.durable).catch((error: unknown) => this.#say(error, "consumer not deleted"));
      this.#running.delete(id);
      await table.release(this.#worker, id).catch((error: unknown) => this.#say(error, "claim left to expire"));
      this.#tick();
    })();
    return running.stopped;
  }

  /** The record decides, not memory: another process may have made the webhook a moment ago. */
  async #deleteUnlessKept(durable: string): Promise<void> {
    const { book, backbone } = this.#deps;
    const id = durable.slice(WEBHOOK_DURABLE.length, durable.lastIndexOf("-"));
    const webhook = (await book.webhooks.read(id))?.value;
    if (webhook === undefined || durableOf(webhook) !== durable)
      await deleteConsumer(backbone, STREAMS.events, durable);
  }

  async #sweep(): Promise<void> {
    const nowMs = this.#deps.book.clock.now();
    if (nowMs - this.#sweptAtMs < SWEEP_EVERY_MS) return;
    this.#sweptAtMs = nowMs;
    const names = await consumerNames(this.#deps.backbone, STREAMS.events);
    const current = new Set([...this.#deps.book.webhooks.all()].map(([, { value }]) => durableOf(value)));
    for (const name of names) {
      const running = [...this.#running.values()].some(({ durable }) => durable === name);
      if (name.startsWith(WEBHOOK_DURABLE) && !current.has(name) && !running) await this.#deleteUnlessKept(name);
    }
  }

  #say(error: unknown, text: string): void {
    this.#deps.log[isTemporary(error) ? "debug" : "error"]({ error: String(error) }, `webhooks: ${text}`);
  }
}
