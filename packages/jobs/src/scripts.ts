// Lua scripts by hash. A script that Redis has forgotten (restart, SCRIPT FLUSH) is loaded again and its calls repeated:
// NOSCRIPT means that nothing ran. Every guarded script first checks the run marker, so that no one works on lost data.

import { createHash } from "node:crypto";
import type { ChainableCommander } from "ioredis";
import { type RedisStore, translated, translateRedisError } from "./connect.js";

export const RUN_KEY = "run";

export interface Script {
  readonly lua: string;
  readonly sha: string;
}

export interface ScriptCall {
  keys: string[];
  args: (string | number | Buffer)[];
}

export function plainScript(lua: string): Script {
  return { lua, sha: createHash("sha1").update(lua).digest("hex") };
}

/** KEYS[1] is the run marker. */
export function guardedScript(lua: string): Script {
  return plainScript(`if redis.call('EXISTS', KEYS[1]) == 0 then
  return redis.error_reply('REBUILD_NEEDED no run marker')
end
${lua}`);
}

/** One call; strings in the reply are Buffers. */
export async function runScript(store: RedisStore, script: Script, call: ScriptCall): Promise<unknown> {
  const [reply] = await runScripts(store, script, [call]);
  return reply;
}

/** Many calls of one script in one round trip; the first error among them is thrown. */
export async function runScripts(store: RedisStore, script: Script, calls: ScriptCall[]): Promise<unknown[]> {
  if (calls.length === 0) return [];
  const replies = await send(store, script, calls);
  const missing = replies.flatMap(([error], index) => (error?.message.startsWith("NOSCRIPT") ? [index] : []));
  if (missing.length > 0) {
    await translated(store.client.script("LOAD", script.lua));
    const again = await send(
      store,
      script,
      missing.map((index) => calls[index]!),
    );
    missing.forEach((index, position) => (replies[index] = again[position]!));
  }
  return replies.map(([error, reply]) => {
    if (error) throw translateRedisError(error);
    return reply;
  });
}

interface Sent {
  script: Script;
  calls: ScriptCall[];
  resolve: (replies: [Error | null, unknown][]) => void;
  reject: (error: unknown) => void;
}

/** What waits for the end of this turn of the event loop. */
const gathered = new WeakMap<RedisStore, Sent[]>();

/** Calls of one turn share a pipeline: one of its own for each would cost as much as the script. */
function send(store: RedisStore, script: Script, calls: ScriptCall[]): Promise<[Error | null, unknown][]> {
  return new Promise((resolve, reject) => {
    const sent = { script, calls, resolve, reject };
    const waiting = gathered.get(store);
    if (waiting !== undefined) waiting.push(sent);
    else {
      gathered.set(store, [sent]);
      process.nextTick(() => void sendGathered(store));
    }
  });
}

async function sendGathered(store: RedisStore): Promise<void> {
  const waiting = gathered.get(store) ?? [];
  gathered.delete(store);
  try {
    const pipeline: ChainableCommander = store.client.pipeline();
    for (const { script, calls } of waiting)
      for (const { keys, args } of calls) pipeline.callBuffer("evalsha", script.sha, keys.length, ...keys, ...args);
    const replies = (await translated(pipeline.exec())) ?? [];
    let from = 0;
    for (const { calls, resolve } of waiting) resolve(replies.slice(from, (from += calls.length)));
  } catch (error) {
    for (const { reject } of waiting) reject(error);
  }
}
