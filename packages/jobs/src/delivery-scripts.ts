// The scripts of the delivery rows. A row is one hash: t targets joined by newlines, s one byte per node (low nibble state,
// high nibble attempts), o open deliveries, a attempt, d deadline, v the revision (absent = 0), e the ending (JSON) and w the revision
// that it ends, r when an ending of it may have been lost with Redis' data; or only x, the tombstone of an ended one.
// KEYS: run marker, row, due timers [, claims]. First element of each reply: what was found.

import { packDelivery } from "@outcry/protocol";
import { guardedScript } from "./scripts.js";

/**
 * KEYS: also the claims. ARGV: intent, revision, sequence, targets, states, open, attempt, deadline, then pairs of due time and timer. A row
 * of an earlier revision begins anew: its timers go, and an ending that can no longer be recorded, since the record expects the revision it
 * knew. "unsure": opened, but what is recorded up to that sequence may have ended before Redis lost its data.
 */
export const OPEN = guardedScript(`
local row = redis.call('HMGET', KEYS[2], 's', 'v', 'a', 'e', 'w', 'x')
local revision = tonumber(ARGV[2])
if row[1] then
  local held = tonumber(row[2] or '0')
  if held == revision then return 'exists' end
  if held > revision then return 'superseded' end
  if row[4] and tonumber(row[5] or '0') >= revision then return 'ending' end
  local timers, attempt = {'end:' .. ARGV[1]}, tonumber(row[3])
  for i = attempt, attempt + 1 do timers[#timers + 1] = 'retry:' .. ARGV[1] .. ':' .. i end
  redis.call('ZREM', KEYS[3], unpack(timers))
  redis.call('HDEL', KEYS[4], unpack(timers))
  redis.call('HDEL', KEYS[2], 'e', 'w')
elseif row[6] then return 'ended' end
redis.call('HSET', KEYS[2], 't', ARGV[4], 's', ARGV[5], 'o', ARGV[6], 'a', ARGV[7], 'd', ARGV[8])
if revision > 0 then redis.call('HSET', KEYS[2], 'v', ARGV[2]) end
for i = 9, #ARGV, 2 do redis.call('ZADD', KEYS[3], ARGV[i], ARGV[i + 1]) end
if row[1] or tonumber(ARGV[3]) > tonumber(string.match(redis.call('GET', KEYS[1]), '^(%d+):') or '0') then return 'opened' end
redis.call('HSET', KEYS[2], 'r', '1')
return 'unsure'`);

/** Lua pattern: a delivery that has not answered the first attempt. */
const UNANSWERED = `[^${(["acked", "quoted", "declined", "rejected"] as const)
  .map((state) => `\\${packDelivery({ state, attempts: 1 })}`)
  .join("")}]`;

/**
 * ARGV: updates, moves, now, end timer, revision, retry timers' name. Reply: found, open count, one character per update ('.' or the state it left).
 * When all have answered the first attempt, the retry timer goes at once: to find that out later cost three scripts per intent.
 */
export const RECORD = guardedScript(`
local row = redis.call('HMGET', KEYS[2], 's', 'o', 'e', 'x', 'v', 'a')
local states = row[1]
if not states then return {row[4] and 'ended' or 'unknown'} end
if (row[5] or '0') ~= ARGV[5] then return {'superseded'} end
if row[3] then return {'ending'} end
local updates, moves = ARGV[1], ARGV[2]
local byte, char, sub = string.byte, string.char, string.sub
local open, known = tonumber(row[2]), #states
local pieces, count, copied, replies, reply = {}, 0, 1, {}, 0
local index, state, attempts, touched, answered = -1, 0, 0, false, false
for at = 1, #updates + 1, 3 do
  local high, low, to = byte(updates, at, at + 2)
  local next = high and high * 256 + low
  if next ~= index then
    if touched then
      if copied <= index then
        count = count + 1
        pieces[count] = sub(states, copied, index)
      end
      count = count + 1
      pieces[count] = char(attempts + state)
      copied, touched = index + 2, false
    end
    if not next then break end
    index = next
    local whole = index < known and byte(states, index + 1) or 15
    state = whole % 16
    attempts = whole - state
  end
  reply = reply + 1
  local move = state < 8 and byte(moves, state * 8 + to + 1) or 48
  if move == 48 then
    replies[reply] = '.'
  else
    replies[reply] = state
    answered = answered or state == 0
    open = open + move - 50
    state = to
    touched = true
  end
end
replies = table.concat(replies)
if count == 0 then return {'recorded', open, replies} end
pieces[count + 1] = sub(states, copied)
states = table.concat(pieces)
redis.call('HSET', KEYS[2], 's', states, 'o', open)
if answered and not string.find(states, '${UNANSWERED}') then
  redis.call('ZREM', KEYS[3], ARGV[6] .. tonumber(row[6]) + 1)
end
if open == 0 then redis.call('ZADD', KEYS[3], ARGV[3], ARGV[4]) end
return {'recorded', open, replies}`);

/** ARGV: attempt, indexes, due time and name of the next retry timer, revision. Reply: found, one '1' or '.' per index. */
export const BEGIN_ATTEMPT = guardedScript(`
local row = redis.call('HMGET', KEYS[2], 's', 'a', 'e', 'x', 'v')
local states, attempt, indexes = row[1], tonumber(ARGV[1]), ARGV[2]
if not states then return {row[4] and 'ended' or 'unknown'} end
if row[3] then return {'ending'} end
if attempt < tonumber(row[2]) or (row[5] or '0') ~= ARGV[5] then return {'superseded'} end
local byte, sub, mark = string.byte, string.sub, string.char(attempt * 16)
local pieces, copied, replies = {}, 1, {}
for at = 1, #indexes, 2 do
  local high, low = byte(indexes, at, at + 1)
  local index = high * 256 + low
  local whole = byte(states, index + 1)
  if whole and whole % 16 == 0 then
    pieces[#pieces + 1] = sub(states, copied, index)
    pieces[#pieces + 1] = mark
    copied = index + 2
    replies[#replies + 1] = '1'
  else
    replies[#replies + 1] = '.'
  end
end
pieces[#pieces + 1] = sub(states, copied)
redis.call('HSET', KEYS[2], 's', table.concat(pieces), 'a', attempt)
redis.call('ZADD', KEYS[3], 'NX', ARGV[3], ARGV[4])
return {'begun', table.concat(replies)}`);

/** Reply: found, then s a e v. */
export const STATES = guardedScript(`
local row = redis.call('HMGET', KEYS[2], 's', 'a', 'e', 'v', 'x')
if not row[1] then return {row[5] and 'ended' or 'unknown'} end
return {'open', unpack(row, 1, 4)}`);

/** One more attempt by hand for a dead delivery (state 5); the row's own attempt, which drives the retries, stays. ARGV: index, attempt, revision. */
export const BEGIN_REPLAY = guardedScript(`
local row = redis.call('HMGET', KEYS[2], 's', 'e', 'x', 'v')
local states, index = row[1], tonumber(ARGV[1])
if not states then return row[3] and 'ended' or 'unknown' end
if row[2] then return 'ending' end
if (row[4] or '0') ~= ARGV[3] then return 'superseded' end
local whole = string.byte(states, index + 1)
if not whole or whole % 16 ~= 5 then return 'answered' end
local attempts = math.max(math.floor(whole / 16), tonumber(ARGV[2]))
redis.call('HSET', KEYS[2], 's', string.sub(states, 1, index) .. string.char(attempts * 16 + 5) .. string.sub(states, index + 2))
return 'begun'`);

/** Reply: found, then t s o a d e v. */
export const READ = guardedScript(`
local row = redis.call('HMGET', KEYS[2], 't', 's', 'o', 'a', 'd', 'e', 'v', 'x')
if not row[2] then return {row[8] and 'ended' or 'unknown'} end
return {'open', unpack(row, 1, 7)}`);

/**
 * ARGV: ending, due time and name of the end timer, revision that it ends. Reply as READ, with the ending that won: the first one, unless
 * the record will refuse it because a later revision came in between.
 */
export const BEGIN_ENDING = guardedScript(`
local row = redis.call('HMGET', KEYS[2], 't', 's', 'o', 'a', 'd', 'e', 'v', 'x')
if not row[2] then return {row[8] and 'ended' or 'unknown'} end
local revision = tonumber(ARGV[4])
if tonumber(row[7] or '0') > revision then return {'superseded'} end
if row[6] and tonumber(redis.call('HGET', KEYS[2], 'w') or '0') >= revision then return {'open', unpack(row, 1, 7)} end
row[6] = ARGV[1]
redis.call('HSET', KEYS[2], 'e', ARGV[1], 'w', ARGV[4])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[3])
return {'begun', unpack(row, 1, 7)}`);

/** Reply: found, revision. A rebuilt row does not know of an ending that Redis lost: only the record does. */
export const IS_ENDING = guardedScript(`
local row = redis.call('HMGET', KEYS[2], 's', 'e', 'x', 'r', 'v')
if row[2] or row[3] then return {'ending', row[5] or '0'} end
return {row[1] and not row[4] and 'open' or 'unknown', row[5] or '0'}`);

/** ARGV: milliseconds that the tombstone stays, intent. */
export const FINISH_END = guardedScript(`
local attempt = tonumber(redis.call('HGET', KEYS[2], 'a') or '0')
local timers = {'deadline:' .. ARGV[2], 'end:' .. ARGV[2]}
for i = attempt, attempt + 1 do timers[#timers + 1] = 'retry:' .. ARGV[2] .. ':' .. i end
redis.call('ZREM', KEYS[3], unpack(timers))
redis.call('HDEL', KEYS[4], unpack(timers))
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'x', '1')
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return 'ended'`);
