// Ordered stop and readiness of one process. Phases run in order, the steps of a phase last registered first; a step that
// fails or takes too long does not keep the others from running.

import type { Clock, Log } from "@outcry/protocol";

/** unready: tell balancers · intake: take nothing new · finish: complete what was taken · close: let go of connections. */
export const STOP_PHASES = ["unready", "intake", "finish", "close"] as const;
export type StopPhase = (typeof STOP_PHASES)[number];

const STEP_TIMEOUT_MS = 10_000;
const CHECK_TIMEOUT_MS = 2_000;

export interface CheckResult {
  ok: boolean;
  detail?: string;
}

export interface Readiness {
  ready: boolean;
  checks: Record<string, CheckResult>;
}

export interface Lifecycle {
  onStop(phase: StopPhase, name: string, step: () => Promise<void> | void, options?: { timeoutMs?: number }): void;
  /** Stops once; later calls wait for the same stop. True when every step succeeded in time. */
  stop(reason: string): Promise<boolean>;
  readonly stopping: boolean;
  addCheck(name: string, check: () => CheckResult | Promise<CheckResult>): void;
  readiness(): Promise<Readiness>;
  /** SIGTERM and SIGINT stop the process; the second signal ends it at once. Returns what takes the handlers off again. */
  handleSignals(target?: SignalTarget): () => void;
}

export interface SignalTarget {
  on(signal: "SIGTERM" | "SIGINT", listener: () => void): unknown;
  off(signal: "SIGTERM" | "SIGINT", listener: () => void): unknown;
  exit(code: number): unknown;
}

interface Step {
  phase: StopPhase;
  name: string;
  step: () => Promise<void> | void;
  timeoutMs: number;
}

export function createLifecycle({ log, clock, graceMs }: { log: Log; clock: Clock; graceMs: number }): Lifecycle {
  const steps: Step[] = [];
  const checks = new Map<string, () => CheckResult | Promise<CheckResult>>();
  let stopped: Promise<boolean> | undefined;

  const stopAll = async (reason: string): Promise<boolean> => {
    const until = clock.now() + graceMs;
    log.info({ reason, grace_ms: graceMs }, "stopping");
    let clean = true;
    for (const phase of STOP_PHASES) {
      for (const step of steps.filter((each) => each.phase === phase).toReversed()) {
        // At least one turn each, also after the grace is spent: closing is quick, skipping it is not safe.
        clean = (await runStep(step, Math.max(100, Math.min(step.timeoutMs, until - clock.now())), log)) && clean;
      }
    }
    log.info({ clean }, "stopped");
    return clean;
  };

  const lifecycle: Lifecycle = {
    onStop: (phase, name, step, { timeoutMs = STEP_TIMEOUT_MS } = {}) =>
      void steps.push({ phase, name, step, timeoutMs }),
    stop: (reason) => (stopped ??= stopAll(reason)),
    get stopping() {
      return stopped !== undefined;
    },
    addCheck: (name, check) => void checks.set(name, check),
    async readiness() {
      const results = await Promise.all(
        [...checks].map(async ([name, check]): Promise<[string, CheckResult]> => [name, await runCheck(check)]),
      );
      if (lifecycle.stopping) results.unshift(["stopping", { ok: false, detail: "the process is stopping" }]);
      return { ready: results.every(([, { ok }]) => ok), checks: Object.fromEntries(results) };
    },
    handleSignals(target = process) {
      const onSignal = (): void => {
        if (lifecycle.stopping) return void target.exit(1);
        void lifecycle.stop("signal").then((clean) => target.exit(clean ? 0 : 1));
      };
      target.on("SIGTERM", onSignal);
      target.on("SIGINT", onSignal);
      return () => {
        target.off("SIGTERM", onSignal);
        target.off("SIGINT", onSignal);
      };
    },
  };
  return lifecycle;
}

async function runStep({ phase, name, step }: Step, timeoutMs: number, log: Log): Promise<boolean> {
  const startedAt = performance.now();
  const outcome = await within(timeoutMs, async () => step()).then(
    () => ({ ok: true as const }),
    (error: unknown) => ({ ok: false as const, error }),
  );
  const line = { phase, step: name, duration_ms: Math.round(performance.now() - startedAt) };
  if (outcome.ok) log.info(line, "stop step done");
  else log.error({ ...line, err: outcome.error }, "stop step failed");
  return outcome.ok;
}

async function runCheck(check: () => CheckResult | Promise<CheckResult>): Promise<CheckResult> {
  try {
    return await within(CHECK_TIMEOUT_MS, async () => check());
  } catch (error) {
    return { ok: false, detail: error instanceof Error ? error.message : "failed" };
  }
}

async function within<T>(timeoutMs: number, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}
