// The streams and buckets of DESIGN "Streams": created when absent, checked when present, never changed silently.

import { BUCKETS, EVENT_SUBJECTS, LIMITS, OutcryError, STREAMS, livePrefix } from "@outcry/protocol";
import { randomBytes } from "node:crypto";
import type { Backbone } from "./connect.js";
import { JS, askJetStream, refusal } from "./jetstream.js";
import { streamInfo } from "./read.js";
import type { StreamInfo } from "./read.js";

const MIB = 1024 ** 2;
const NS_PER_MS = 1_000_000;
const DUPLICATE_WINDOW_MS = 120_000; // longer than a publisher's retries; an optimisation only
const REGISTRY_HISTORY = 64; // changes kept per node, so that a past selection can be explained
// The server reserves the sum out of max_file_store: 4.75 GiB fit a developer's disk. Production sets its own.
const DEFAULT_MAX_BYTES: Readonly<Record<string, number>> = {
  [STREAMS.intents]: 1024 * MIB,
  [STREAMS.events]: 2048 * MIB,
  [STREAMS.quotes]: 1024 * MIB,
  [STREAMS.deadLetters]: 256 * MIB,
  [`KV_${BUCKETS.nodes}`]: 256 * MIB,
  [`KV_${BUCKETS.access}`]: 256 * MIB,
};

export interface StreamsOptions {
  /** 1 in development, 3 in production. */
  readonly replicas: number;
  /** Name in the republished subjects `live.<region>.rt.>`. */
  readonly region: string;
  /** By stream name; the rest has defaults. Every stream is bounded. */
  readonly maxBytes?: Readonly<Record<string, number>>;
}

type Config = Readonly<Record<string, unknown>> & { readonly name: string };

/** What every stream must be. A setting here is part of a promise, so another value is refused. */
function common(name: string, subjects: string[], options: StreamsOptions): Config {
  return {
    name,
    subjects,
    retention: "limits",
    storage: "file",
    discard: "new", // full means refused, never forgotten
    max_msgs: -1,
    max_msgs_per_subject: -1,
    max_bytes: options.maxBytes?.[name] ?? DEFAULT_MAX_BYTES[name],
    max_age: 0,
    num_replicas: options.replicas,
    duplicate_window: DUPLICATE_WINDOW_MS * NS_PER_MS,
    allow_direct: true,
    allow_atomic: true,
    allow_msg_ttl: false,
    deny_delete: false,
    deny_purge: false, // it can never be taken back, and the trimmer purges
  };
}

function bucket(name: string, history: number, options: StreamsOptions): Config {
  const shape = common(`KV_${name}`, [`$KV.${name}.>`], options);
  return { ...shape, max_msgs_per_subject: history, deny_delete: true, allow_rollup_hdrs: true };
}

/** Name → configuration as the server takes it. */
export function streamConfigs(options: StreamsOptions): Config[] {
  const aged = (config: Config, ageMs: number): Config => ({ ...config, max_age: ageMs * NS_PER_MS });
  return [
    aged(common(STREAMS.intents, ["ucp.v1.intent.>"], options), LIMITS.intentsAgeMs),
    {
      ...common(STREAMS.events, [EVENT_SUBJECTS], options),
      deny_delete: true,
      republish: { src: EVENT_SUBJECTS, dest: `${livePrefix(options.region)}.${EVENT_SUBJECTS}` },
    },
    aged(common(STREAMS.quotes, ["quotes.>"], options), LIMITS.quotesAgeMs),
    aged(common(STREAMS.deadLetters, ["dead.>"], options), LIMITS.deadLettersAgeMs),
    bucket(BUCKETS.nodes, REGISTRY_HISTORY, options),
    bucket(BUCKETS.access, 1, options),
  ];
}

export interface EnsuredStream {
  readonly name: string;
  readonly created: boolean;
  readonly epoch: string;
}

/** Creates what is absent and checks what is there; throws `promise_unkept` naming every setting that differs. */
export async function ensureStreams(backbone: Backbone, options: StreamsOptions): Promise<EnsuredStream[]> {
  const ensured: EnsuredStream[] = [];
  const wrong: string[] = [];
  for (const config of streamConfigs(options)) {
    const { info, created } = await findOrCreate(backbone, config);
    wrong.push(...mismatches(config, info));
    ensured.push({ name: config.name, created, epoch: info.config.metadata?.outcry_epoch ?? "" });
  }
  if (wrong.length > 0) throw new OutcryError("promise_unkept", wrong.join("; "));
  return ensured;
}

export interface StreamReport {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly found: boolean;
  /** Settings that break a promise, each with what it must be. */
  readonly wrong: readonly string[];
  readonly bytes: number;
  readonly bytesMax: number;
}

/** What ensureStreams would find; creates nothing. */
export async function inspectStreams(backbone: Backbone, options: StreamsOptions): Promise<StreamReport[]> {
  const reports: StreamReport[] = [];
  for (const config of streamConfigs(options)) {
    const info = await streamInfo(backbone, config.name);
    reports.push({
      name: config.name,
      subjects: config["subjects"] as string[],
      found: info !== undefined,
      wrong: info === undefined ? [] : mismatches(config, info),
      bytes: info?.state.bytes ?? 0,
      bytesMax: info?.config.max_bytes ?? 0,
    });
  }
  return reports;
}

async function findOrCreate(backbone: Backbone, config: Config): Promise<{ info: StreamInfo; created: boolean }> {
  const found = await streamInfo(backbone, config.name);
  if (found !== undefined) return { info: found, created: false };

  const metadata = { outcry_epoch: randomBytes(12).toString("hex") };
  const answer = await askJetStream<StreamInfo>(backbone, `STREAM.CREATE.${config.name}`, { ...config, metadata });
  if (answer.kind === "ok") return { info: answer.value, created: true };
  // Another process created it meanwhile, under its own epoch.
  const theirs = answer.error.err_code === JS.streamNameInUse ? await streamInfo(backbone, config.name) : undefined;
  if (theirs === undefined) throw refusal(answer.error, `creating stream ${config.name}`);
  return { info: theirs, created: false };
}

function mismatches(wanted: Config, info: StreamInfo): string[] {
  const wrong: string[] = [];
  const say = (setting: string, found: unknown, want: string) =>
    wrong.push(`stream ${wanted.name}: ${setting} is ${JSON.stringify(found)}, must be ${want}`);
  for (const [setting, want] of Object.entries(wanted)) {
    const found = info.config[setting];
    if (!keeps(setting, found, want)) say(setting, found, DESCRIBE[setting]?.(want) ?? JSON.stringify(want));
  }
  if (info.config.metadata?.outcry_epoch === undefined) say("metadata.outcry_epoch", undefined, "a random text");
  if (info.config.sealed === true) say("sealed", true, "false");
  return wrong;
}

/** Whether the found value still keeps the promise: more replicas, a longer age or another bound do. */
function keeps(setting: string, found: unknown, want: unknown): boolean {
  switch (setting) {
    case "num_replicas":
    case "duplicate_window":
      return Number(found) >= Number(want);
    case "max_age":
      return found === want || (want !== 0 && (found === 0 || Number(found) >= Number(want)));
    case "max_msgs_per_subject":
      return found === want || (want !== -1 && (found === -1 || Number(found) >= Number(want)));
    case "max_bytes":
      return Number(found) > 0;
    default:
      return JSON.stringify(found ?? false) === JSON.stringify(want); // the server leaves some false values out
  }
}

const DESCRIBE: Readonly<Record<string, (want: unknown) => string>> = {
  num_replicas: (want) => `at least ${String(want)}`,
  duplicate_window: (want) => `at least ${String(want)} ns`,
  max_age: (want) => (want === 0 ? "0 (kept)" : `0 or at least ${String(want)} ns`),
  max_bytes: () => "bounded",
};
