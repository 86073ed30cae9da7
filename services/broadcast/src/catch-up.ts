// A node that comes back asks once for what it missed and may still answer, and gets it at a bounded rate: the same bytes under
// the attempt that stands, so nothing is counted. Requests are gathered, so that a whole market that reconnects costs one look.

import type { Backbone, Incoming, Subscription } from "@outcry/backbone";
import type { IntentBook, LoadedIntent } from "@outcry/delivery";
import type { DeliveryRows, RunKeeper, Timers } from "@outcry/jobs";
import {
  CatchUpRequest,
  type CatchUpNotice,
  type Clock,
  type DeliveryState,
  LIMITS,
  type Log,
  SUBJECTS,
  check,
  isId,
  isTemporary,
  parseStrict,
  unpackDelivery,
} from "@outcry/protocol";
import { sendAttempt } from "./fan-out.js";
import type { KnownIntents } from "./known-intents.js";

const QUEUE_GROUP = "catch-up";
const GATHER_MS = 250; // nodes that lost the same server come back together
const TICK_MS = 100; // of the sending
const AGAIN_MS = 1_000; // after a look that an outage ended
const NODES_MAX = 10_000; // that wait, and that are remembered
const TIMERS_MAX = 20_000; // looked at in Redis at once, about 5 ms of it
const CHUNK = 200; // intents per round trip
const REQUEST_BYTES_MAX = 256;
const PER_TICK = Math.max(1, (LIMITS.catchUpPerSecond * TICK_MS) / 1_000);

/** The node may have lost its work with its memory, so what it only acknowledged is sent too. */
const ANSWERABLE: ReadonlySet<DeliveryState> = new Set<DeliveryState>(["pending", "acked", "dead"]);

export interface CatchUpDeps {
  backbone: Backbone;
  book: IntentBook;
  rows: DeliveryRows;
  run: RunKeeper;
  timers: Timers;
  ended: KnownIntents;
  gate: (signal?: AbortSignal) => Promise<void>;
  clock: Clock;
  log: Log;
  onCaughtUp?: (intents: number) => void;
}

interface Missed {
  intent: LoadedIntent;
  attempt: number;
}

interface Backlog {
  /** Soonest deadline first. */
  missed: Missed[];
  more: boolean;
  sent: number;
}

export interface CatchUp {
  stop(): Promise<void>;
}

export function answerCatchUps(deps: CatchUpDeps): CatchUp {
  const waiting = new Set<string>();
  const lastAskedMs = new Map<string, number>();
  const stopping = new AbortController();
  let running: Promise<void> | undefined;

  const subscription: Subscription = deps.backbone.subscribe(
    SUBJECTS.allCatchups,
    (message) => {
      const node = nodeOf(deps, message);
      const nowMs = deps.clock.now();
      if (node === undefined || waiting.size >= NODES_MAX || stopping.signal.aborted) return;
      if (nowMs - (lastAskedMs.get(node) ?? 0) < LIMITS.catchUpEveryMs) return;
      lastAskedMs.delete(node);
      lastAskedMs.set(node, nowMs);
      if (lastAskedMs.size > NODES_MAX) lastAskedMs.delete(lastAskedMs.keys().next().value!);
      waiting.add(node);
      running ??= serve(deps, waiting, stopping.signal).finally(() => (running = undefined));
    },
    { queue: QUEUE_GROUP },
  );

  return {
    async stop() {
      stopping.abort();
      subscription.close();
      await running;
    },
  };
}

function nodeOf({ log }: CatchUpDeps, { subject, data }: Incoming): string | undefined {
  const node = subject.slice(subject.lastIndexOf(".") + 1);
  const parsed = parseStrict(data, { bytesMax: REQUEST_BYTES_MAX });
  if (isId("nod", node) && parsed.kind === "ok" && check(CatchUpRequest, parsed.value).kind === "ok") return node;
  log.debug({ subject }, "a catch-up request was refused");
  return undefined;
}

/** Until nobody waits. A node whose turn an outage ends keeps its place. */
async function serve(deps: CatchUpDeps, waiting: Set<string>, signal: AbortSignal): Promise<void> {
  while (waiting.size > 0 && !signal.aborted) {
    await pause(GATHER_MS, signal);
    const nodes = [...waiting];
    try {
      await deps.gate(signal);
      const backlogs = await findMissed(deps, nodes);
      for (const node of nodes) waiting.delete(node);
      await send(deps, backlogs, signal);
    } catch (error) {
      if (signal.aborted) return;
      deps.log[isTemporary(error) ? "warn" : "error"]({ err: error, nodes: nodes.length }, "a catch-up was cut short");
      await pause(AGAIN_MS, signal);
    }
  }
}

async function findMissed(deps: CatchUpDeps, nodes: readonly string[]): Promise<Map<string, Backlog>> {
  const backlogs = new Map(nodes.map((node): [string, Backlog] => [node, { missed: [], more: false, sent: 0 }]));
  const { ids, complete } = await deps.run.during(() => deps.timers.openIntents(deps.clock.now(), TIMERS_MAX));
  for (let from = 0; from < ids.length; from += CHUNK) await addMissed(deps, backlogs, ids.slice(from, from + CHUNK));
  if (!complete) for (const backlog of backlogs.values()) backlog.more = true;
  return backlogs;
}

async function addMissed(deps: CatchUpDeps, backlogs: Map<string, Backlog>, ids: readonly string[]): Promise<void> {
  const loaded = await Promise.all(ids.map((id) => deps.book.get(id)));
  const addressed = loaded.filter((intent) => intent !== undefined && addressedAmong(intent, backlogs).length > 0);
  const intents = addressed as LoadedIntent[];
  const rows = await deps.run.during(() => deps.rows.statesOf(intents.map(({ id }) => id)));
  for (const [position, intent] of intents.entries()) {
    const row = rows[position];
    if (row === undefined || row.ending || row.attempt === 0) continue;
    const sent = row.revision > intent.revision ? await deps.book.refresh(intent.id) : intent;
    if (sent?.revision !== row.revision) continue; // amended, and about to be sent to all
    for (const node of addressedAmong(sent, backlogs)) {
      const { state } = unpackDelivery(row.states[sent.indexOf.get(node)!]!);
      if (ANSWERABLE.has(state)) add(backlogs.get(node)!, { intent: sent, attempt: row.attempt });
    }
  }
}

/** By the shorter of the two lists. */
function addressedAmong(intent: LoadedIntent, backlogs: ReadonlyMap<string, Backlog>): string[] {
  return backlogs.size < intent.record.targets.length
    ? [...backlogs.keys()].filter((node) => intent.indexOf.has(node))
    : intent.record.targets.filter((node) => backlogs.has(node));
}

function add(backlog: Backlog, missed: Missed): void {
  if (backlog.missed.length < LIMITS.catchUpIntentsMax) backlog.missed.push(missed);
  else backlog.more = true;
}

/** Every node at its own rate, side by side. */
async function send(deps: CatchUpDeps, backlogs: Map<string, Backlog>, signal: AbortSignal): Promise<void> {
  for (let from = 0; backlogs.size > 0 && !signal.aborted; from += PER_TICK) {
    for (const [node, backlog] of backlogs) {
      for (const one of backlog.missed.slice(from, from + PER_TICK)) sendOne(deps, node, backlog, one);
      if (from + PER_TICK < backlog.missed.length) continue;
      backlogs.delete(node);
      tell(deps, node, { type: "caught_up", intents: backlog.sent, more: backlog.more });
      deps.onCaughtUp?.(backlog.sent);
    }
    await deps.backbone.flush();
    if (backlogs.size > 0) await pause(TICK_MS, signal);
  }
}

/** What has ended since it was found is left out. */
function sendOne(deps: CatchUpDeps, node: string, backlog: Backlog, { intent, attempt }: Missed): void {
  if (deps.clock.now() >= intent.deadlineMs || deps.ended.has(intent.id)) return;
  sendAttempt(deps, intent, attempt, [node]);
  backlog.sent += 1;
}

function tell({ backbone }: CatchUpDeps, node: string, notice: CatchUpNotice): void {
  backbone.publish(SUBJECTS.nodeNotice(node), Buffer.from(JSON.stringify(notice)));
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
