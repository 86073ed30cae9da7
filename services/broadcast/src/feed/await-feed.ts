// The long poll of the feed: an empty page waits for the backend's next event. The live subject only wakes; the record answers.

import { type Backbone } from "@outcry/backbone";
import { type EventPage, livePrefix, TOPICS } from "@outcry/protocol";
import { type FeedDeps, type FeedQuery, readFeed } from "./read-feed.js";

export interface AwaitFeedDeps extends FeedDeps {
  readonly region: string;
  /** Aborts when the service stops: an empty page is then the answer. */
  readonly stopping: AbortSignal;
}

export async function awaitFeed(deps: AwaitFeedDeps, query: FeedQuery, waitMs: number): Promise<EventPage> {
  if (waitMs === 0) return readFeed(deps, query);
  // Listening before the first look: what comes between the two is heard.
  const waker = listen(deps.backbone, `${livePrefix(deps.region)}.${TOPICS.backend(query.backendId)}`);
  const timer = AbortSignal.timeout(waitMs);
  const over = AbortSignal.any([timer, deps.stopping]);
  const ended = aborted(over);
  try {
    for (let next = query; ;) {
      const heard = waker.next();
      const page = await readFeed(deps, next);
      if (page.data.length > 0 || over.aborted) return page;
      next = { ...next, after: page.next_cursor }; // a filter may have left nothing of many
      if (!page.has_more) await Promise.race([heard, ended]);
    }
  } finally {
    waker.close();
  }
}

interface Waker {
  /** Resolves at the next event from now on. */
  next(): Promise<void>;
  close(): void;
}

function listen(backbone: Backbone, subject: string): Waker {
  let wake: () => void = () => undefined;
  const subscription = backbone.subscribe(subject, () => wake());
  return {
    next: () => new Promise((resolve) => (wake = resolve)),
    close: () => subscription.close(),
  };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
