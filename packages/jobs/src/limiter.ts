// Quotas per caller, decided in memory: a charge waits for nothing and works while Redis is away. Every SYNC_EVERY_MS each process adds
// what it admitted to sums in Redis and reads them back. So processes overrun a quota by at most what the others admit within one such
// interval; while Redis is away, or after it lost its data, each keeps the quota by itself. Never closed, and no fsync per request.

import type { Clock, Log } from "@outcry/protocol";
import type { RedisStore } from "./connect.js";
import { type LimitPolicy, Meter } from "./meter.js";
import { addAndRead, type CounterStep } from "./shared-counters.js";

const SYNC_EVERY_MS = 250; // one write to Redis per process, which costs it one fsync
const CALLERS_PER_SYNC_MAX = 500; // one pipeline of some ms; the rest goes with the next one
const CALLERS_MAX = 20_000; // in memory, about 1 kB each; the oldest is forgotten and read again from Redis

export interface LimiterOptions {
  /** Whose quotas: part of the keys in Redis. */
  readonly name: string;
  /** Those with quota 0 are off. */
  readonly policies: readonly LimitPolicy[];
  /** Without it this process counts alone. */
  readonly store?: RedisStore | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly callersMax?: number;
}

/** What one request takes of each policy, by its name; whole numbers. */
export type Cost = Readonly<Record<string, number>>;

export type Charge =
  | { readonly kind: "charged" }
  | {
      readonly kind: "refused";
      readonly policy: LimitPolicy;
      readonly cost: number;
      readonly left: number;
      readonly retryAfterMs: number;
    };

export interface Standing {
  readonly policy: LimitPolicy;
  readonly left: number;
  readonly resetMs: number;
}

export interface Limiter {
  readonly policies: readonly LimitPolicy[];
  /** Takes the whole cost, or nothing. */
  charge(caller: string, cost: Cost): Charge;
  /** Whether it would be charged; takes nothing. */
  look(caller: string, cost: Cost): Charge;
  /** Takes it in any case; negative amounts give back. */
  add(caller: string, cost: Cost): void;
  standing(caller: string): Standing[];
  /** Resolves when what was charged so far is in Redis, if Redis answers. */
  sync(): Promise<void>;
  stop(): Promise<void>;
}

interface Account {
  readonly caller: string;
  readonly meters: readonly Meter[];
  /** Whether what others used before is known. */
  loaded: boolean;
}

const CHARGED = { kind: "charged" } as const;

export function createLimiter(options: LimiterOptions): Limiter {
  const { clock } = options;
  const policies = options.policies.filter(({ quota }) => quota > 0);
  const accounts = new Accounts(policies, options.callersMax ?? CALLERS_MAX);
  const look = (account: Account, cost: Cost, nowMs: number): Charge => {
    for (const meter of account.meters) {
      const amount = cost[meter.policy.name] ?? 0;
      if (!meter.hasRoom(nowMs, amount)) return refused(meter, amount, nowMs);
    }
    return CHARGED;
  };
  const add = (account: Account, cost: Cost, nowMs: number): void => {
    for (const meter of account.meters) meter.add(nowMs, cost[meter.policy.name] ?? 0);
  };
  const sharing = options.store === undefined ? undefined : share(accounts, { ...options, store: options.store });

  return {
    policies,
    charge(caller, cost) {
      const nowMs = clock.now();
      const account = accounts.touch(caller);
      const charge = look(account, cost, nowMs);
      if (charge === CHARGED) add(account, cost, nowMs);
      return charge;
    },
    look: (caller, cost) => look(accounts.touch(caller), cost, clock.now()),
    add: (caller, cost) => add(accounts.touch(caller), cost, clock.now()),
    standing(caller) {
      const nowMs = clock.now();
      return accounts
        .touch(caller)
        .meters.map((meter) => ({ policy: meter.policy, left: meter.left(nowMs), resetMs: meter.resetMs(nowMs) }));
    },
    sync: async () => sharing?.sync(),
    stop: async () => sharing?.stop(),
  };
}

function refused(meter: Meter, cost: number, nowMs: number): Charge {
  const { policy } = meter;
  return { kind: "refused", policy, cost, left: meter.left(nowMs), retryAfterMs: meter.waitMs(nowMs, cost) };
}

class Accounts {
  readonly #policies: readonly LimitPolicy[];
  readonly #callersMax: number;
  readonly #byCaller = new Map<string, Account>();
  /** Touched since they were last synchronised. */
  readonly #touched = new Set<Account>();

  constructor(policies: readonly LimitPolicy[], callersMax: number) {
    this.#policies = policies;
    this.#callersMax = callersMax;
  }

  touch(caller: string): Account {
    let account = this.#byCaller.get(caller);
    if (account === undefined) {
      account = { caller, meters: this.#policies.map((policy) => new Meter(policy)), loaded: false };
      this.#byCaller.set(caller, account);
      if (this.#byCaller.size > this.#callersMax) this.#forgetOldest();
    }
    this.#touched.add(account);
    return account;
  }

  takeTouched(max: number): Account[] {
    const taken: Account[] = [];
    for (const account of this.#touched) {
      if (taken.length >= max) break;
      this.#touched.delete(account);
      taken.push(account);
    }
    return taken;
  }

  /** One that is still to be synchronised stays in `touched` until it is. */
  #forgetOldest(): void {
    for (const caller of this.#byCaller.keys()) return void this.#byCaller.delete(caller);
  }
}

interface SharingDeps extends LimiterOptions {
  readonly store: RedisStore;
}

function share(accounts: Accounts, deps: SharingDeps): { sync(): Promise<void>; stop(): Promise<void> } {
  let running: Promise<void> | undefined;
  const sync = (): Promise<void> => {
    if (!deps.store.health.up) return running ?? Promise.resolve(); // what is unsent waits here
    running ??= syncOnce(accounts, deps).finally(() => (running = undefined));
    return running;
  };
  const timer = setInterval(() => void sync(), SYNC_EVERY_MS);
  timer.unref();
  return {
    sync,
    async stop() {
      clearInterval(timer);
      await sync();
    },
  };
}

interface Exchange extends CounterStep {
  readonly meter: Meter;
  readonly slice: number;
}

async function syncOnce(accounts: Accounts, { name, store, clock, log }: SharingDeps): Promise<void> {
  const nowMs = clock.now();
  const taken = accounts.takeTouched(CALLERS_PER_SYNC_MAX);
  const steps = taken.flatMap((account) => exchangesOf(account, name, nowMs));
  if (steps.length === 0) return;
  try {
    const sums = await addAndRead(store, steps);
    steps.forEach(({ meter, slice }, at) => meter.learned(slice, sums[at]!));
    for (const account of taken) account.loaded = true;
  } catch (error) {
    // Whether it was added is unknown. Not added again: what others do not hear of is forgiven, never counted twice.
    log.debug({ error: String(error), limiter: name }, "rate limits are counted by this process alone");
  }
}

function exchangesOf(account: Account, name: string, nowMs: number): Exchange[] {
  return account.meters.flatMap((meter) => {
    const { windowMs, slices = 1 } = meter.policy;
    const deltas = new Map(meter.takeUnsent(nowMs).map(({ slice, delta }) => [slice, delta]));
    // The current one always, to hear of the others; earlier ones once, or when something is left to add.
    const numbers = meter.slices(nowMs);
    const wanted = numbers.filter((slice, at) => !account.loaded || at === numbers.length - 1 || deltas.has(slice));
    return wanted.map((slice) => ({
      meter,
      slice,
      key: `limit:${name}:${meter.policy.name}:${account.caller}:${slice}`,
      delta: deltas.get(slice) ?? 0,
      ttlMs: Math.ceil(windowMs + (2 * windowMs) / slices),
    }));
  });
}
