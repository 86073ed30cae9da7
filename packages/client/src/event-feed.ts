// events({after}): a backend's feed as an async iterator over GET /v1/events. Each page is asked for when the one before is read,
// so a slow reader queues nothing; an error ends it, and the last cursor is where to go on.

import type { Event, EventPage, EventType } from "@outcry/protocol";
import { call, type HttpDeps, queryOf } from "./http.js";
import { CLIENT_LIMITS } from "./limits.js";

export interface FeedOptions {
  /** The cursor of the last event that was dealt with; without it the oldest event kept comes first. */
  after?: string;
  types?: readonly EventType[];
  /** Events per request. */
  limit?: number;
  /** Ends the iteration without an error. */
  signal?: AbortSignal;
}

export interface FeedItem {
  event: Event;
  /** Keep it once the event is dealt with. */
  cursor: string;
}

const WAIT_MS = 25_000; // below what the service and common proxies allow

/** Throws `cursor_gone` when events behind `after` are no longer kept. */
export async function* readFeed(http: HttpDeps, options: FeedOptions = {}): AsyncGenerator<FeedItem, void> {
  const { types, limit, signal } = options;
  for (let cursor = options.after; ;) {
    const page = await readPage(http, { after: cursor, types: types?.join(","), limit, wait_ms: WAIT_MS }, signal);
    if (page === undefined) return;
    for (const [index, event] of page.data.entries()) yield { event: event as Event, cursor: page.cursors[index]! };
    cursor = page.next_cursor;
  }
}

/** Undefined once the signal has ended it. */
async function readPage(
  http: HttpDeps,
  query: Record<string, string | number | undefined>,
  signal: AbortSignal | undefined,
): Promise<EventPage | undefined> {
  try {
    const { value } = await call<EventPage>(http, {
      method: "GET",
      path: `/v1/events${queryOf(query)}`,
      repeatable: true,
      timeoutMs: WAIT_MS + CLIENT_LIMITS.longPollSlackMs,
      signal,
    });
    return value;
  } catch (error) {
    if (signal?.aborted === true) return undefined;
    throw error;
  }
}
