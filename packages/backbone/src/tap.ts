// The tap of EVENTS: a mirror on one server that gateways read and hear instead of EVENTS itself (ADR-13, docs/regions.md). It keeps
// the sequences and carries the epoch, so a cursor means the same at every tap. Mirrors do not copy metadata: the epoch is set here.

import { EVENT_SUBJECTS, OutcryError, STREAMS, livePrefix, tapStream } from "@outcry/protocol";
import type { Backbone } from "./connect.js";
import { JS, askJetStream, refusal } from "./jetstream.js";
import { streamInfo } from "./read.js";
import type { StreamInfo } from "./read.js";

export interface TapDeps {
  /** Connected where EVENTS is, or with its domain. */
  readonly record: Backbone;
  /** In the domain, and of a server in the cluster, where the tap shall be. */
  readonly local: Backbone;
  /** One token: the tap is the stream `EVENTS_<tap>` with the live subjects `live.<tap>.rt.>`. */
  readonly tap: string;
}

export interface EnsuredTap {
  readonly stream: string;
  readonly epoch: string;
  /** `remade`: EVENTS is another stream than the tap was made of, so the tap was deleted and made again. */
  readonly outcome: "found" | "created" | "remade";
}

/**
 * Makes the tap when it is absent, and again when EVENTS was made anew: the server would go on to mirror the new stream behind the
 * messages of the old one. Throws `promise_unkept` when a tap of that name has other settings.
 */
export async function ensureTap(deps: TapDeps): Promise<EnsuredTap> {
  const { record, local, tap } = deps;
  const stream = tapStream(tap);
  const origin = await streamInfo(record, STREAMS.events);
  if (origin === undefined)
    throw new OutcryError("dependency_unavailable", `nats: there is no stream ${STREAMS.events}`);
  const epoch = epochOf(origin, STREAMS.events);
  const wanted = tapConfig(deps, origin);
  const found = await streamInfo(local, stream);
  if (found !== undefined && found.config.metadata?.["outcry_epoch"] === epoch) {
    checkTap(wanted, found);
    return { stream, epoch, outcome: "found" };
  }
  if (found !== undefined) await deleteTap(local, wanted, found);
  await create(local, wanted);
  return { stream, epoch, outcome: found === undefined ? "created" : "remade" };
}

type TapConfig = Readonly<Record<string, unknown>> & { readonly name: string };

function tapConfig({ record, tap }: TapDeps, origin: StreamInfo): TapConfig {
  const live = `${livePrefix(tap)}.${EVENT_SUBJECTS}`;
  if ((origin.config["republish"] as { dest?: string } | undefined)?.dest === live)
    throw new OutcryError("config_invalid", `the tap ${tap} would share ${live} with EVENTS: give it another name`);
  return {
    name: tapStream(tap),
    mirror: { name: STREAMS.events, ...(record.domain === undefined ? {} : { external: { api: record.api } }) },
    storage: "file", // in memory it would be gone with its server, and filled anew from the first event
    num_replicas: 1, // one server answers reads and sends the live messages: no answer is older than what was heard
    discard: "old", // a copy: what is full forgets its oldest, where a refusal would stop it
    max_msgs: -1,
    max_bytes: origin.config.max_bytes,
    max_age: 0,
    allow_direct: true,
    // A mirror that answers reads of EVENTS may be behind it. In one domain the server has it so whatever is asked for (2.15.1): there
    // no gateway may read EVENTS itself.
    mirror_direct: record.domain === undefined,
    deny_delete: true,
    republish: { src: EVENT_SUBJECTS, dest: live },
    metadata: { outcry_epoch: epochOf(origin, STREAMS.events) },
  };
}

function epochOf({ config }: StreamInfo, stream: string): string {
  const epoch = config.metadata?.["outcry_epoch"];
  if (epoch === undefined)
    throw new OutcryError("promise_unkept", `stream ${stream}: metadata.outcry_epoch is missing`);
  return epoch;
}

/** What the gateway's proofs rest on. The bound may be another one. */
const CHECKED = ["mirror", "storage", "num_replicas", "allow_direct", "mirror_direct", "republish"] as const;

function checkTap(wanted: TapConfig, { config }: StreamInfo): void {
  const wrong = CHECKED.flatMap((setting) => {
    const [found, want] = [shown(config[setting]), shown(wanted[setting])];
    return found === want ? [] : [`stream ${wanted.name}: ${setting} is ${found}, must be ${want}`];
  });
  if (wrong.length > 0) throw new OutcryError("promise_unkept", wrong.join("; "));
}

/** Members that the server adds or leaves out say nothing. */
function shown(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? false);
  const { name, external, src, dest } = value as {
    name?: string;
    external?: { api: string };
    src?: string;
    dest?: string;
  };
  return JSON.stringify({ name, api: external?.api, src, dest });
}

/** Only what is a tap: a stream of events' only copy is never deleted here. */
async function deleteTap(local: Backbone, wanted: TapConfig, found: StreamInfo): Promise<void> {
  if (found.config["mirror"] === undefined)
    throw new OutcryError("promise_unkept", `stream ${wanted.name} is no mirror: it is not deleted`);
  const answer = await askJetStream(local, `STREAM.DELETE.${wanted.name}`);
  if (answer.kind === "refused" && answer.error.err_code !== JS.streamNotFound)
    throw refusal(answer.error, `deleting the tap ${wanted.name}`);
}

async function create(local: Backbone, wanted: TapConfig): Promise<void> {
  const answer = await askJetStream(local, `STREAM.CREATE.${wanted.name}`, wanted, CREATE_TIMEOUT_MS);
  // Another process made it meanwhile; the next look compares.
  if (answer.kind === "refused" && answer.error.err_code !== JS.streamNameInUse)
    throw refusal(answer.error, `creating the tap ${wanted.name}`);
}

const CREATE_TIMEOUT_MS = 10_000; // the server first looks for the origin
