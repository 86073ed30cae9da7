// The frame of every service's main.ts: configuration, log, metrics, ordered stop. What fails at start is said in plain text.

import { type Clock, isOutcryError, systemClock } from "@outcry/protocol";
import { type Config, ConfigError, type Env, processEnv, readConfig } from "./config.js";
import { type Lifecycle, createLifecycle } from "./lifecycle.js";
import { type ServiceLog, createLog } from "./log.js";
import { type Metrics, createMetrics } from "./metrics.js";

/** What a service is started with. In one process several services share it. */
export interface ServiceContext {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: ServiceLog;
  readonly metrics: Metrics;
  readonly lifecycle: Lifecycle;
}

export function createContext(name: string, env: Env): ServiceContext {
  const config = readConfig(env);
  const log = createLog({ level: config.logLevel, base: { service: name, pid: process.pid } });
  const lifecycle = createLifecycle({ log, clock: systemClock, graceMs: config.shutdownGraceMs });
  return { config, clock: systemClock, log, metrics: createMetrics({ processMetrics: true }), lifecycle };
}

/** Runs until a signal stops it. Exit code 1: it could not start, or not stop in order. */
export async function runService(name: string, start: (context: ServiceContext) => Promise<void>): Promise<void> {
  try {
    const context = createContext(name, processEnv());
    context.lifecycle.handleSignals();
    await start(context);
    context.log.info({}, "started");
  } catch (error) {
    process.stderr.write(`${name} cannot start.\n${startFailure(error)}\n`);
    process.exit(1);
  }
}

function startFailure(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  if (isOutcryError(error)) return `${error.detail}\n${error.hint}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
