// The delivery row of each open intent: who was addressed, how each delivery stands, which timers drive it. Each verb is one
// script and one round trip. Redis holds open intents only; the record is the truth (DESIGN "Delivery states").

import {
  type Clock,
  type DeliveryState,
  DELIVERY_STATES,
  type PackedDelivery,
  packDelivery,
  unpackDelivery,
} from "@outcry/protocol";
import type { RedisStore } from "./connect.js";
import { type DeliveryUpdate, MOVES, packIndexes, packUpdates } from "./delivery-bytes.js";
import {
  BEGIN_ATTEMPT,
  BEGIN_ENDING,
  BEGIN_REPLAY,
  FINISH_END,
  IS_ENDING,
  OPEN,
  READ,
  RECORD,
  STATES,
} from "./delivery-scripts.js";
import { RUN_KEY, runScript, runScripts } from "./scripts.js";
import { CLAIMS_KEY, DUE_KEY, timerMember } from "./timers.js";

const TOMBSTONE_MS = 10 * 60_000; // longer than any redelivery of the intent that could open it again
const END_RETRY_MS = 2_000; // an end that its process did not finish is finished by a timer after this

export interface Ending {
  outcome: "closed" | "expired" | "cancelled";
  /** Who ended it: a caller's id or a rule's name. */
  by: string;
  /** The words of who ended it, for readers. */
  reason?: string;
  atMs: number;
}

/** An intent as its caller knows it: a row of another revision answers `superseded`. */
export interface IntentRef {
  readonly id: string;
  readonly revision: number;
}

export interface DeliveryRow {
  intentId: string;
  revision: number;
  targets: string[];
  /** In the order of the targets. */
  deliveries: PackedDelivery[];
  /** Deliveries that are not final. */
  open: number;
  /** The latest attempt that was begun. */
  attempt: number;
  deadlineMs: number;
  ending: Ending | undefined;
}

/** `ended`: a tombstone. `unknown`: no row; read the record. */
export type Absent = { kind: "ended" | "unknown" };

/**
 * `opened` also where an earlier revision's row began anew. `unsure`: opened, but it may have ended before Redis lost its data; only the
 * record knows. `ending`: of this very revision. `superseded`: by a later one.
 */
export type OpenResult = "opened" | "unsure" | "exists" | "ending" | "superseded" | "ended";

export interface OpenDeliveries {
  intent: IntentRef;
  /** Of INTENTS: where this revision is recorded; 0 = unknown. */
  seq: number;
  targets: string[];
  deadlineMs: number;
  /** When those without an answer get attempt 2. */
  retryDueMs: number;
  /** False: a row that nothing will be sent for, as its intent ends before its dispatch. */
  attempted?: boolean;
}

export interface AppliedUpdate extends DeliveryUpdate {
  from: DeliveryState;
}

/** `open` 0 means that the end timer is set. `ending`: the snapshot is taken, nothing changes any more. */
export type RecordResult =
  | { kind: "recorded"; applied: AppliedUpdate[]; open: number }
  | { kind: "ending" | "superseded" }
  | Absent;

export type PendingResult =
  | {
      kind: "open";
      revision: number;
      attempt: number;
      deadlineMs: number;
      ending: Ending | undefined;
      pending: { index: number; node: string }[];
    }
  | Absent;

/** `indexes`: those still pending, to be sent to. `superseded`: a later attempt has begun, or another revision. */
export type BeginAttemptResult = { kind: "begun"; indexes: number[] } | { kind: "ending" | "superseded" } | Absent;

/** `answered`: it is not dead, or not any more. */
export type BeginReplayResult = "begun" | "answered" | "ending" | "superseded" | Absent["kind"];

/** `won`: this call set the ending; else `row.ending` is an earlier one. */
export type BeginEndingResult =
  | { kind: "ending"; won: boolean; row: DeliveryRow & { ending: Ending } }
  | { kind: "superseded" }
  | Absent;

/** A row without its list of targets, which is most of it. */
export interface RowStates {
  revision: number;
  attempt: number;
  /** Packed, in the order of the targets. */
  states: Uint8Array;
  ending: boolean;
}

export interface DeliveryRows {
  open(deliveries: OpenDeliveries): Promise<OpenResult>;
  record(batches: { intent: IntentRef; updates: DeliveryUpdate[] }[]): Promise<RecordResult[]>;
  pending(intentId: string): Promise<PendingResult>;
  beginAttempt(intent: IntentRef, attempt: number, indexes: number[], nextDueMs: number): Promise<BeginAttemptResult>;
  /** Pending deliveries only; one that was answered meanwhile stays as it is. */
  markDead(intent: IntentRef, indexes: number[]): Promise<RecordResult>;
  /** One more attempt for a dead delivery; its state stays until it answers. */
  beginReplay(intent: IntentRef, index: number, attempt: number): Promise<BeginReplayResult>;
  read(intentId: string): Promise<{ kind: "open"; row: DeliveryRow } | Absent>;
  readMany(intentIds: string[]): Promise<({ kind: "open"; row: DeliveryRow } | Absent)[]>;
  /** Undefined for an intent without a row. */
  statesOf(intentIds: string[]): Promise<(RowStates | undefined)[]>;
  beginEnding(intent: IntentRef, ending: Ending): Promise<BeginEndingResult>;
  /**
   * `ending` is true for a tombstone too, undefined where only the record knows: there is no row, or a rebuild made it without its
   * ending. `revision` is 0 without a row.
   */
  isEnding(intentId: string): Promise<{ ending: boolean | undefined; revision: number }>;
  /** After the end is in the record: the row becomes a tombstone and its timers go. */
  finishEnd(intentId: string): Promise<void>;
}

export const rowKey = (intentId: string): string => `dlv:${intentId}`;

export function createDeliveryRows({ store, clock }: { store: RedisStore; clock: Clock }): DeliveryRows {
  const keys = (intentId: string): string[] => [RUN_KEY, rowKey(intentId), DUE_KEY];
  const asks = new Map<string, ReturnType<DeliveryRows["isEnding"]>>(); // asked in this turn of the event loop, not yet sent

  /** Quotes of one intent that are judged in one turn share the question, which is sent behind all of them. */
  async function askEnding(intentId: string): ReturnType<DeliveryRows["isEnding"]> {
    process.nextTick(() => asks.delete(intentId));
    const reply = await runScript(store, IS_ENDING, { keys: keys(intentId), args: [] });
    const [found, revision] = (reply as Reply).map(String);
    return { ending: found === "unknown" ? undefined : found === "ending", revision: Number(revision) };
  }

  const rows: DeliveryRows = {
    async open({ intent, seq, targets, deadlineMs, retryDueMs, attempted = true }) {
      const intentId = intent.id;
      const attempts = attempted ? 1 : 0;
      const states = Buffer.alloc(targets.length, packDelivery({ state: "pending", attempts }));
      const retry = timerMember({ kind: "retry", intentId, attempt: 2 });
      const deadline = timerMember({ kind: "deadline", intentId });
      const args = [
        intentId,
        intent.revision,
        seq,
        targets.join("\n"),
        states,
        targets.length,
        attempts,
        deadlineMs,
        retryDueMs,
        retry,
        deadlineMs,
        deadline,
      ];
      return String(await runScript(store, OPEN, { keys: [...keys(intentId), CLAIMS_KEY], args })) as OpenResult;
    },

    async record(batches) {
      const packed = batches.map(({ updates }) => packUpdates(updates));
      const calls = batches.map(({ intent: { id: intentId, revision } }, position) => ({
        keys: keys(intentId),
        args: [
          packed[position]!.bytes,
          MOVES,
          clock.now(),
          timerMember({ kind: "end", intentId }),
          revision,
          `retry:${intentId}:`,
        ],
      }));
      const replies = await runScripts(store, RECORD, calls);
      return replies.map((reply, position) => readRecorded(reply as Reply, packed[position]!.sorted));
    },

    async pending(intentId) {
      const found = await rows.read(intentId);
      if (found.kind !== "open") return found;
      const { revision, attempt, deadlineMs, ending, targets, deliveries } = found.row;
      const pending = deliveries.flatMap(({ state }, index) =>
        state === "pending" ? [{ index, node: targets[index]! }] : [],
      );
      return { kind: "open", revision, attempt, deadlineMs, ending, pending };
    },

    async beginAttempt(intent, attempt, indexes, nextDueMs) {
      const { bytes, sorted } = packIndexes(indexes);
      const next = timerMember({ kind: "retry", intentId: intent.id, attempt: attempt + 1 });
      const reply = await runScript(store, BEGIN_ATTEMPT, {
        keys: keys(intent.id),
        args: [attempt, bytes, nextDueMs, next, intent.revision],
      });
      const [found, marks] = reply as Reply;
      const kind = String(found) as "begun" | "ending" | "superseded" | Absent["kind"];
      if (kind !== "begun") return { kind };
      const stillPending = String(marks);
      return { kind, indexes: sorted.filter((_, position) => stillPending[position] === "1") };
    },

    async markDead(intent, indexes) {
      const [result] = await rows.record([{ intent, updates: indexes.map((index) => ({ index, to: "dead" })) }]);
      return result!;
    },

    async beginReplay(intent, index, attempt) {
      return String(
        await runScript(store, BEGIN_REPLAY, { keys: keys(intent.id), args: [index, attempt, intent.revision] }),
      ) as BeginReplayResult;
    },

    async read(intentId) {
      const [found] = await rows.readMany([intentId]);
      return found!;
    },

    async readMany(intentIds) {
      const replies = await runScripts(
        store,
        READ,
        intentIds.map((id) => ({ keys: keys(id), args: [] })),
      );
      return replies.map((reply, position) => readFound(intentIds[position]!, reply as Reply));
    },

    async statesOf(intentIds) {
      const calls = intentIds.map((id) => ({ keys: keys(id), args: [] }));
      const replies = (await runScripts(store, STATES, calls)) as Reply[];
      return replies.map(([found, states, attempt, ending, revision]) =>
        String(found) === "open"
          ? {
              revision: Number(revision ?? 0),
              attempt: Number(attempt),
              states: states as Buffer,
              ending: ending !== null,
            }
          : undefined,
      );
    },

    async beginEnding({ id: intentId, revision }, ending) {
      const timer = timerMember({ kind: "end", intentId });
      const args = [JSON.stringify(ending), clock.now() + END_RETRY_MS, timer, revision];
      const reply = (await runScript(store, BEGIN_ENDING, { keys: keys(intentId), args })) as Reply;
      if (String(reply[0]) === "superseded") return { kind: "superseded" };
      const found = readFound(intentId, reply);
      if (found.kind !== "open") return found;
      return { kind: "ending", won: String(reply[0]) === "begun", row: { ...found.row, ending: found.row.ending! } };
    },

    isEnding(intentId) {
      const asked = asks.get(intentId) ?? askEnding(intentId);
      asks.set(intentId, asked);
      return asked;
    },

    async finishEnd(intentId) {
      await runScript(store, FINISH_END, { keys: [...keys(intentId), CLAIMS_KEY], args: [TOMBSTONE_MS, intentId] });
    },
  };
  return rows;
}

type Reply = [found: Buffer, ...rest: unknown[]];

function readRecorded([found, open, marks]: Reply, updates: DeliveryUpdate[]): RecordResult {
  const kind = String(found) as RecordResult["kind"];
  if (kind !== "recorded") return { kind };
  const left = String(marks);
  const applied: AppliedUpdate[] = [];
  for (const [position, { index, to }] of updates.entries()) {
    if (left[position] !== ".") applied.push({ index, to, from: DELIVERY_STATES[Number(left[position])]! });
  }
  return { kind, applied, open: Number(open) };
}

function readFound(intentId: string, reply: Reply): { kind: "open"; row: DeliveryRow } | Absent {
  const [found, targets, states, open, attempt, deadline, ending, revision] = reply as [Buffer, ...(Buffer | null)[]];
  const kind = String(found);
  if (kind === "ended" || kind === "unknown") return { kind };
  return {
    kind: "open",
    row: {
      intentId,
      revision: Number(revision ?? 0),
      targets: String(targets).split("\n"),
      deliveries: Array.from(states!, unpackDelivery),
      open: Number(open),
      attempt: Number(attempt),
      deadlineMs: Number(deadline),
      ending: ending ? (JSON.parse(String(ending)) as Ending) : undefined,
    },
  };
}
