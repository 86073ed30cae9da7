// The broadcast service as it is, and beside it, in the same process, the raw loop that it is held against.

import type { NatsConnection } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";
import { readAuthFolder } from "@outcry/backbone";
import { type BroadcastService, fixedKey, startBroadcast } from "@outcry/broadcast";
import { type IntentRecord, encodeRecord } from "@outcry/delivery";
import {
  LIMITS,
  type NodeRecord,
  type SignedAcks,
  SUBJECTS,
  buildIntent,
  canonicalize,
  digestOf,
  newTraceId,
  systemClock,
  toRfc3339,
} from "@outcry/protocol";
import { type SigningKey, generateKey, signIntent } from "@outcry/signing";
import { cursorKeys } from "@outcry/ws-gateway";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Run, closedLoop } from "../closed-loop.js";
import { readIntents } from "../real-intents.js";
import { BARE, type Place, connectBare, platformAt } from "./place.js";
import { profileVerbs } from "./profile.js";

const OPEN_FOR_MS = 3_600_000; // longer than any run: no intent of the bench reaches its deadline

interface Prepared {
  id: string;
  subject: string;
  record: Uint8Array;
  intent: Uint8Array;
}

/** What a row wants other than usual. */
export interface ServiceOptions {
  signedAcks?: SignedAcks;
  ackTimeoutMs?: number;
  /** Of an earlier start on the same data; then no key is made. */
  apiKey?: string;
}

export interface StartedService {
  url: string;
  apiKey: string;
  /** Owner of the key, where it was made now. */
  backendId: string | undefined;
  /** Until it could listen: connecting, reading the registry and, where Redis was empty, rebuilding. */
  startMs: number;
}

/** Acks that are still missing, by intent. */
type Missing = Map<string, { left: number; done: () => void }>;

export interface FanOut {
  inFlight: number;
  nodes: readonly string[];
  rampMs: number;
  /** The raw loop stores each intent first, like the service. */
  append: boolean;
}

export function serviceRole() {
  const key = generateKey();
  const missing: Missing = new Map();
  const bareMissing: Missing = new Map();
  const counters = { dispatched: 0, retried: 0, dead: 0, acksRefused: 0 };
  let prepared: Prepared[] = [];
  let broadcast: BroadcastService;
  let bare: NatsConnection;
  let holdDispatch: (hold: boolean) => void;

  const verbs = {
    ...profileVerbs,

    /** Starts both; returns the base URL and a backend's key. */
    async start({
      place,
      apiKey: knownKey,
      signedAcks = "off",
      ackTimeoutMs = LIMITS.ackTimeoutMs,
    }: { place: Place } & ServiceOptions): Promise<StartedService> {
      const fromMs = performance.now();
      broadcast = await startBroadcast({
        platform: platformAt(place, "broadcast"),
        auth: readAuthFolder(place.authDir),
        natsUrls: [place.natsUrl],
        keyStore: fixedKey(key),
        serviceId: "outcry",
        quoteWindowMs: LIMITS.quoteWindowDefaultMs,
        ackTimeoutMs,
        signedAcks,
        ackWindowMs: LIMITS.responseWindowMs,
        attemptsMax: LIMITS.attemptsMax,
        cursorKeys: cursorKeys("a cursor secret of the bench"),
        webhooks: { key: "a webhook key of the bench", rules: { ports: [443], allowPrivate: false } },
        metrics: countingInto(counters),
      });
      const startMs = performance.now() - fromMs;
      countRecorded(broadcast, missing);
      holdDispatch = dispatchSwitch(broadcast);
      bare = await connectBare(place, "bare");
      hearBareAcks(bare, bareMissing);
      const url = await broadcast.listen({ host: "127.0.0.1", port: 0 });
      const made = knownKey === undefined ? await backendKey(url, broadcast.adminKey!) : undefined;
      return { url, apiKey: knownKey ?? made!.secret, backendId: made?.backend_id, startMs };
    },

    async registerNodes(nodes: NodeRecord[]): Promise<void> {
      const put = (node: NodeRecord) => broadcast.platform.nodes.put(node.id, Buffer.from(JSON.stringify(node)));
      for (let from = 0; from < nodes.length; from += 100) await Promise.all(nodes.slice(from, from + 100).map(put));
    },

    /** Records ready to be stored, addressed to these nodes. Posting, checking and signing are the row `post`. */
    async prepareIntents({ count, nodes }: { count: number; nodes: string[] }): Promise<void> {
      const { requests } = readIntents();
      prepared = Array.from({ length: count }, (_, index) =>
        prepareIntent(requests[index % requests.length]!, key, nodes, "bkd_bench"),
      );
    },

    /** For sellers that sign beforehand. */
    async preparedAcks(): Promise<{ intent: string; digest: string }[]> {
      return prepared.map(({ id, intent }) => ({ intent: id, digest: digestOf(intent) }));
    },

    async runFanOut({ inFlight, nodes, rampMs }: FanOut): Promise<Run> {
      const { intents } = broadcast.platform;
      const batch = prepared;
      return closedLoop({ count: batch.length, inFlight, rampMs }, async (index) => {
        const { id, subject, record } = batch[index]!;
        const recorded = allOf(missing, id, nodes.length);
        await intents.append({ subject, data: record, expectFirst: true });
        await recorded;
      });
    },

    async runBareFanOut({ inFlight, nodes, append }: FanOut): Promise<Run> {
      const batch = prepared;
      const stream = jetstream(bare);
      const subjects = nodes.map((node) => BARE.node(node));
      return closedLoop({ count: batch.length, inFlight }, async (index) => {
        const { id, record, intent } = batch[index]!;
        const collected = allOf(bareMissing, id, nodes.length);
        if (append) await stream.publish(BARE.append(id), record);
        for (const subject of subjects) bare.publish(subject, intent);
        await collected;
      });
    },

    /** While it is held, posted intents are recorded and wait. */
    async setDispatch(held: boolean): Promise<void> {
      holdDispatch(held);
    },

    /** Bytes in use once everything that can go is gone. */
    async heapBytes(): Promise<number> {
      setFlagsFromString("--expose-gc");
      const collect = runInNewContext("gc") as () => void;
      collect();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    },

    async counted(): Promise<typeof counters> {
      return { ...counters };
    },
  };
  return {
    verbs,
    async stop() {
      holdDispatch?.(false);
      await broadcast?.stop();
      await bare?.close();
    },
  };
}

export type ServiceVerbs = ReturnType<typeof serviceRole>["verbs"];

export function prepareIntent(
  request: Parameters<typeof buildIntent>[0],
  key: SigningKey,
  nodes: string[],
  backendId: string,
): Prepared {
  const traceId = newTraceId();
  const deadline = toRfc3339(systemClock.now() + OPEN_FOR_MS);
  const intent = buildIntent({ ...request, quote_deadline: deadline }, { traceId });
  const bytes = canonicalize(intent);
  const { jws, digest } = signIntent(intent, key);
  const record: IntentRecord = {
    record_version: 1,
    envelope: new TextDecoder().decode(bytes),
    signature: jws,
    request_digest: digest,
    body_digest: digest,
    backend_id: backendId,
    routing: {},
    targets: nodes,
    registry_revision: 1,
    request_id: "req_bench",
    traceparent: `00-${traceId}-00000000000000b1-01`,
  };
  return { id: intent.id, subject: SUBJECTS.intent(intent.id), record: encodeRecord(record), intent: bytes };
}

const allOf = (missing: Missing, id: string, left: number): Promise<void> =>
  new Promise((done) => missing.set(id, { left, done }));

function arrived(missing: Missing, id: string, count: number): void {
  const open = missing.get(id);
  if (open === undefined || (open.left -= count) > 0) return;
  missing.delete(id);
  open.done();
}

/** An ack counts once the row holds it, which is after EVENTS does: seen in this process, so that seeing it costs nothing. */
function countRecorded(broadcast: BroadcastService, missing: Missing): void {
  const { rows } = broadcast.platform;
  const record = rows.record.bind(rows);
  rows.record = async (batches) => {
    const results = await record(batches);
    for (const [index, result] of results.entries()) {
      if (result.kind === "recorded") arrived(missing, batches[index]!.intent.id, result.applied.length);
    }
    return results;
  };
}

function hearBareAcks(bare: NatsConnection, missing: Missing): void {
  bare.subscribe(BARE.allAcks, {
    callback: (_, { subject }) => arrived(missing, subject.slice(subject.lastIndexOf(".") + 1), 1),
  });
}

/** The dispatcher may run in another process: this one then only posts. It asks its gate before it takes anything. */
function dispatchSwitch({ platform }: BroadcastService): (hold: boolean) => void {
  const { health } = platform.redis;
  const whenUp = health.whenUp.bind(health);
  let held: Promise<void> | undefined;
  let release: () => void = () => undefined;
  health.whenUp = async (signal) => {
    if (held !== undefined) await held;
    return whenUp(signal);
  };
  return (hold) => {
    release();
    held = hold ? new Promise((resolve) => (release = resolve)) : undefined;
  };
}

function countingInto(counters: { dispatched: number; retried: number; dead: number; acksRefused: number }) {
  return {
    posted: () => undefined,
    amended: () => undefined,
    dispatched: () => void counters.dispatched++,
    ack: () => undefined,
    caughtUp: () => undefined,
    ackRefused: () => void counters.acksRefused++,
    webhookAttempt: () => undefined,
    retried: (nodes: number) => void (counters.retried += nodes),
    replayed: () => undefined,
    dead: (_: string, nodes: number) => void (counters.dead += nodes),
    ended: () => undefined,
  };
}

async function backendKey(url: string, adminKey: string): Promise<{ secret: string; backend_id: string }> {
  const response = await fetch(`${url}/v1/api-keys`, {
    method: "POST",
    headers: { authorization: `Bearer ${adminKey}`, "content-type": "application/json" },
    body: JSON.stringify({ role: "backend", name: "bench" }),
  });
  return (await response.json()) as { secret: string; backend_id: string };
}
