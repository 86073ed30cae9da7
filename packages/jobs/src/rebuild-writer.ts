// Writes rows and timers while there is no run marker. Each write checks the rebuild lease, so that a FLUSHALL, or a
// holder that was taken for dead, fails the whole rebuild instead of leaving half of one.

import { FINAL_STATES, type PackedDelivery } from "@outcry/protocol";
import type { RedisStore } from "./connect.js";
import { packDeliveries } from "./delivery-bytes.js";
import { type Ending, rowKey } from "./delivery-rows.js";
import { plainScript, runScript, runScripts, type Script, type ScriptCall } from "./scripts.js";
import { CLAIMS_KEY, DUE_KEY, type TimerName, timerMember } from "./timers.js";

export const LEASE_KEY = "rebuild";
const CLEAR_BATCH = 500; // keys per SCAN step

export interface RebuildRow {
  intentId: string;
  revision: number;
  targets: string[];
  /** One per target, in the same order. */
  deliveries: PackedDelivery[];
  /** The highest attempt that the record holds. */
  attempt: number;
  deadlineMs: number;
  /** When the next attempt is due; usually now. */
  retryDueMs: number;
  ending?: Ending;
}

export interface RebuildWriter {
  putRow(row: RebuildRow): Promise<void>;
  putRows(rows: RebuildRow[]): Promise<void>;
  putTimer(timer: TimerName, dueMs: number): Promise<void>;
}

/** The lease was lost during a rebuild: expired, taken over, or flushed away. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}

/** KEYS[1] is the lease, ARGV[1] the holder's token. */
export const leasedScript = (lua: string): Script =>
  plainScript(`if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
${lua}
return 'ok'`);

const PUT_ROW = leasedScript(`
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 't', ARGV[2], 's', ARGV[3], 'o', ARGV[4], 'a', ARGV[5], 'd', ARGV[6], 'r', '1')
if ARGV[7] ~= '' then redis.call('HSET', KEYS[2], 'e', ARGV[7]) end
if ARGV[8] ~= '0' then redis.call('HSET', KEYS[2], 'v', ARGV[8], 'w', ARGV[8]) end
for i = 9, #ARGV, 2 do redis.call('ZADD', KEYS[3], ARGV[i], ARGV[i + 1]) end`);
const PUT_TIMER = leasedScript(`redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])`);
const CLEAR = leasedScript(`for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end`);

export function createRebuildWriter(store: RedisStore, token: string): RebuildWriter {
  const putRows = async (rows: RebuildRow[]): Promise<void> => {
    const replies = await runScripts(
      store,
      PUT_ROW,
      rows.map((row) => rowCall(row, token)),
    );
    replies.forEach(held);
  };
  return {
    putRows,
    putRow: (row) => putRows([row]),
    async putTimer(timer, dueMs) {
      const args = [token, dueMs, timerMember(timer)];
      held(await runScript(store, PUT_TIMER, { keys: [LEASE_KEY, DUE_KEY], args }));
    },
  };
}

function rowCall(row: RebuildRow, token: string): ScriptCall {
  const { intentId, attempt } = row;
  const open = row.deliveries.filter(({ state }) => !FINAL_STATES.has(state)).length;
  const timers: (string | number)[] = [row.deadlineMs, timerMember({ kind: "deadline", intentId })];
  if (row.deliveries.some(({ state }) => state === "pending")) {
    timers.push(row.retryDueMs, timerMember({ kind: "retry", intentId, attempt: attempt + 1 }));
  }
  if (open === 0 || row.ending) timers.push(row.retryDueMs, timerMember({ kind: "end", intentId }));
  const ending = row.ending ? JSON.stringify(row.ending) : "";
  const states = packDeliveries(row.deliveries);
  return {
    keys: [LEASE_KEY, rowKey(intentId), DUE_KEY],
    args: [token, row.targets.join("\n"), states, open, attempt, row.deadlineMs, ending, row.revision, ...timers],
  };
}

/** Removes what a rebuild that died, or a run that lost its marker alone, has left. */
export async function clearRows(store: RedisStore, token: string): Promise<void> {
  await unlink(store, token, [DUE_KEY, CLAIMS_KEY]);
  const match = `${store.keyPrefix.replace(/[?*[\]\\]/g, "\\$&")}${rowKey("*")}`;
  for await (const found of store.client.scanStream({ match, count: CLEAR_BATCH })) {
    await unlink(
      store,
      token,
      (found as string[]).map((key) => key.slice(store.keyPrefix.length)),
    );
  }
}

async function unlink(store: RedisStore, token: string, keys: string[]): Promise<void> {
  if (keys.length > 0) held(await runScript(store, CLEAR, { keys: [LEASE_KEY, ...keys], args: [token] }));
}

/** Throws LeaseLost unless the script found the lease in place. */
export function held(reply: unknown): void {
  if (String(reply) !== "ok") throw new LeaseLost("the rebuild lease was lost");
}
