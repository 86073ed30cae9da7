// A market under fault tests: services as processes, sellers of every manner in this one, and the record at the end.

import { setTimeout as sleep } from "node:timers/promises";
import { type ApiKeyCreated, intentId, type InviteCreated, isTemporary, type QuotesView } from "@outcry/protocol";
import { type ProcessStack, type ServiceName, startProcesses } from "../processes.js";
import { checkHistory } from "./check-history.js";
import type { CheckReport, History } from "./history.js";
import { type LoadOptions, type Post, replayAll, runLoad, send } from "./load.js";
import { isSettled, openRecord, partOf, type RecordReader } from "./record.js";
import { type Manner, type Seller, startSeller } from "./sellers.js";
import { SEED, SIZES } from "./sizes.js";

const MANNERS: readonly Manner[] = [
  "quote",
  "quote",
  "quote",
  "quote",
  "twoQuotes",
  "decline",
  "decline",
  "slow",
  "slow",
  "ackOnly",
  "late",
  "back",
  "silent",
];
const HEALTHY: readonly Manner[] = ["quote", "quote", "twoQuotes", "decline", "slow", "tardy", "tardy"];
const ATTEMPTS_MAX = 3;
const ACK_TIMEOUT_MS = 1_000; // longer than the default: test machines are shared
const SETTLE_POLL_MS = 250;
const TICK_MS = 50;
const STALL_MS = ACK_TIMEOUT_MS / 2;

export interface FaultMarketOptions {
  services?: Partial<Record<ServiceName, number>>;
  /** Only sellers that always answer. */
  healthyOnly?: boolean;
  env?: Record<string, string>;
}

export class FaultMarket {
  readonly stack: ProcessStack;
  readonly sellers: readonly Seller[];
  readonly record: RecordReader;
  readonly backend: { id: string; secret: string };
  /** Long turns of this process's event loop. */
  readonly stalls: History["stalls"] = [];
  readonly #ticking: NodeJS.Timeout;
  #seed = SEED;

  constructor(parts: Pick<FaultMarket, "stack" | "sellers" | "record" | "backend">) {
    this.stack = parts.stack;
    this.sellers = parts.sellers;
    this.record = parts.record;
    this.backend = parts.backend;
    let lastMs = Date.now();
    this.#ticking = setInterval(() => {
      const nowMs = Date.now();
      if (nowMs - lastMs > STALL_MS) this.stalls.push({ fromMs: lastMs, toMs: nowMs });
      lastMs = nowMs;
    }, TICK_MS);
  }

  /** Of all broadcast processes. */
  get urls(): string[] {
    return urlsOf(this.stack);
  }

  get nodes(): string[] {
    return this.sellers.map(({ nodeId }) => nodeId);
  }

  /** The options of the next load: each has a seed of its own, so no two share a key. */
  load(options: Partial<LoadOptions> = {}): LoadOptions {
    return { urls: this.urls, secret: this.backend.secret, nodes: this.nodes, seed: this.#seed++, ...options };
  }

  /** Runs a load and, meanwhile, `fault`; then waits until everything has settled, and checks all of it. */
  async under(fault: () => Promise<void>, options: Partial<LoadOptions> = {}): Promise<Checked> {
    const load = this.load(options);
    const [posts] = await Promise.all([runLoad(load), fault()]);
    return this.check(posts, load);
  }

  async check(posts: Post[], load: LoadOptions): Promise<Checked> {
    await this.settled(posts);
    await replayAll(load, posts);
    const history = await this.#historyOf(posts);
    if (load.healthyRule === false) history.healthy = [];
    return { posts, history, report: checkHistory(history) };
  }

  /** Until every accepted intent has its end event and every stored quote its outcome; what is missing then, the checker says. */
  async settled(posts: readonly Post[], withinMs: number = SIZES.settleMs): Promise<void> {
    const untilMs = Date.now() + withinMs;
    const wanted = posts.flatMap(({ accepted }) => (accepted === undefined ? [] : [accepted.id]));
    while (Date.now() < untilMs) {
      const record = await patiently(() => this.record.read());
      if (isSettled(record, wanted)) return;
      await sleep(SETTLE_POLL_MS);
    }
  }

  async #historyOf(posts: Post[]): Promise<History> {
    const ids = new Set(posts.flatMap(({ accepted }) => (accepted === undefined ? [] : [accepted.id])));
    const unaccepted = posts.flatMap(({ key, accepted }) =>
      accepted === undefined ? [intentId(this.backend.id, key)] : [],
    );
    const quoteViews: History["quoteViews"] = {};
    for (const id of ids) quoteViews[id] = await this.#quotesOf(id);
    const healthy = this.sellers.filter((seller) => seller.healthy).map(({ nodeId }) => nodeId);
    const stored = this.sellers.flatMap((seller) => seller.stored).filter((report) => ids.has(report.intentId));
    const all = await patiently(() => this.record.read());
    const known = new Set([...ids, ...unaccepted]);
    const record = partOf(all, known);
    const { stalls } = this;
    return { posts, unaccepted, stored, record, quoteViews, attemptsMax: ATTEMPTS_MAX, healthy, stalls };
  }

  async #quotesOf(id: string): Promise<Record<string, number | string>> {
    const { status, body } = await send<QuotesView>(
      this.urls[0]!,
      this.backend.secret,
      "GET",
      `/v1/intents/${id}/quotes`,
    );
    if (status !== 200) throw new Error(`GET quotes of ${id}: ${status} ${JSON.stringify(body)}`);
    const { quotes, unranked } = body as QuotesView;
    const shown: Record<string, number | string> = {};
    for (const { quote_id, rank } of quotes) shown[quote_id] = rank;
    for (const { quote_id, code } of unranked) shown[quote_id] = code;
    return shown;
  }

  async stop(): Promise<void> {
    clearInterval(this.#ticking);
    await Promise.all(this.sellers.map((seller) => seller.stop()));
    await this.record.close();
    await this.stack.stop();
  }
}

export interface Checked {
  posts: Post[];
  history: History;
  report: CheckReport;
}

export async function startFaultMarket(options: FaultMarketOptions = {}): Promise<FaultMarket> {
  const stack = await startProcesses({
    ...(options.services === undefined ? {} : { services: options.services }),
    env: {
      OUTCRY_LOG_LEVEL: "warn",
      OUTCRY_ATTEMPTS_MAX: String(ATTEMPTS_MAX),
      OUTCRY_ACK_TIMEOUT_MS: String(ACK_TIMEOUT_MS),
      ...options.env,
    },
  });
  const [url] = urlsOf(stack) as [string];
  const made = await insisted<ApiKeyCreated>(url, stack.adminKey, "/v1/api-keys", {
    role: "backend",
    name: "marketplace",
  });
  const invite = async () => (await insisted<InviteCreated>(url, stack.adminKey, "/v1/invites", {})).invite;
  const manners = options.healthyOnly ? HEALTHY : MANNERS;
  const sellers: Seller[] = [];
  for (const [index, manner] of manners.entries()) {
    const deps = { url, invite, dataDir: stack.dataDir, seed: SEED + index };
    sellers.push(await startSeller(deps, `seller-${index}`, manner));
  }
  const record = await openRecord(stack.brokers);
  return new FaultMarket({ stack, sellers, record, backend: { id: made.backend_id!, secret: made.secret } });
}

async function insisted<T>(url: string, secret: string, route: string, body: unknown): Promise<T> {
  const answer = await send<T>(url, secret, "POST", route, body);
  if (answer.status !== 201) throw new Error(`POST ${route}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body as T;
}

function urlsOf(stack: ProcessStack): string[] {
  const urls: string[] = [];
  for (let index = 0; stack.has("broadcast", index); index++) urls.push(stack.service("broadcast", index).url);
  return urls;
}

/** Through an outage that is just ending. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (!isTemporary(error) || tries === 100) throw error;
      await sleep(SETTLE_POLL_MS);
    }
  }
}
