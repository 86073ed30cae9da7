// What a subscriber asks for beside the channel, the same in every wire protocol: where to begin, which events, all of them or the latest.

import type { JsonValue } from "@outcry/protocol";
import { readInfo } from "../presence/presence-wire.js";
import { GATEWAY_LIMITS } from "../limits.js";

export interface Wanted {
  /** Everything behind it. It goes before the other ways to begin, which are for the first time. */
  readonly cursor?: string | undefined;
  /** The whole channel. */
  readonly from?: "start" | undefined;
  /** The newest so many events, or those of the last so many ms. */
  readonly rewind?: { readonly count: number } | { readonly ms: number } | undefined;
  /** `latest`: the newest event, then live; what a slow reader has not taken is passed over but for the newest. Default: all events. */
  readonly mode?: "latest" | undefined;
  /** Only events of these types. */
  readonly types?: readonly string[] | undefined;
  /** To see who is there. */
  readonly presence?: true | undefined;
  /** To be there, with this metadata: JSON text. */
  readonly track?: string | undefined;
}

/** All events from now on: what most ask for, so that their wish is one. */
export const NOTHING_MORE: Wanted = Object.freeze({});

/** From JSON; every protocol has its own place for the cursor. Other members are ignored; a text says what is wrong with a known one. */
export function readWanted(cursor: unknown, asked: Readonly<Record<string, unknown>>): Wanted | string {
  const { from, rewind, mode, types, presence, track } = asked;
  if (cursor !== undefined && typeof cursor !== "string") return "cursor is not a text";
  if (from !== undefined && from !== "start") return 'from is not "start"';
  if (rewind !== undefined && !isRewind(rewind))
    return `rewind is not {"count": 1 to ${MAX}} or {"ms": a positive integer}`;
  if (mode !== undefined && mode !== "latest") return 'mode is not "latest"';
  if (types !== undefined && !isTypes(types)) return "types is not a list of event types";
  if (from !== undefined && rewind !== undefined) return "from and rewind exclude each other";
  if (presence !== undefined && presence !== true) return "presence is not true";
  const info = track === undefined ? undefined : readInfo(track as JsonValue);
  if (info !== undefined && "fault" in info) return `track: ${info.fault}`;
  if ((from ?? rewind ?? mode ?? types ?? presence ?? info) === undefined)
    return cursor === undefined ? NOTHING_MORE : { cursor };
  return { cursor, from, rewind, mode, types, presence, track: info?.info };
}

const MAX = GATEWAY_LIMITS.rewindEventsMax;

function isRewind(rewind: unknown): rewind is NonNullable<Wanted["rewind"]> {
  if (rewind === null || typeof rewind !== "object") return false;
  const { count, ms } = rewind as { count?: unknown; ms?: unknown };
  if (count === undefined) return isPositive(ms);
  return ms === undefined && isPositive(count) && count <= MAX;
}

const isPositive = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;

function isTypes(types: unknown): types is string[] {
  const { typesMax, typeCharsMax } = GATEWAY_LIMITS;
  return (
    Array.isArray(types) &&
    types.length > 0 &&
    types.length <= typesMax &&
    types.every((type) => typeof type === "string" && type.length <= typeCharsMax)
  );
}
