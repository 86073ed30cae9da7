// A nats-server of one's own for a test, with the EVENTS stream as in production.

import { type Backbone, connectBackbone } from "@outcry/backbone";
import { EVENT_SUBJECTS, livePrefix, silentLog, systemClock } from "@outcry/protocol";
import { type ThrowawayNats, throwawayNats } from "@outcry/servers";
import { setTimeout as sleep } from "node:timers/promises";

const NS_PER_MS = 1_000_000;

export interface TestNats extends ThrowawayNats {
  connect(): Promise<Backbone>;
}

export async function startTestNats(): Promise<TestNats> {
  const nats = await throwawayNats();
  return Object.assign(nats, {
    async connect() {
      const options = {
        servers: [nats.url],
        name: "test",
        inboxPrefix: "_INBOX_gw",
        log: silentLog,
        clock: systemClock,
      };
      const backbone = await connectBackbone(options);
      nats.beforeRemove(() => backbone.close());
      return backbone;
    },
  });
}

const REGION = "local";

export async function makeEvents(backbone: Backbone, epoch: string): Promise<void> {
  await ask(backbone, "STREAM.CREATE.EVENTS", {
    name: "EVENTS",
    subjects: [EVENT_SUBJECTS],
    storage: "file",
    discard: "new",
    max_bytes: 1_000_000_000,
    allow_direct: true,
    allow_atomic: true,
    duplicate_window: 120_000 * NS_PER_MS,
    metadata: { outcry_epoch: epoch },
    republish: { src: EVENT_SUBJECTS, dest: `${livePrefix(REGION)}.${EVENT_SUBJECTS}` },
  });
}

export const deleteEvents = (backbone: Backbone): Promise<void> => ask(backbone, "STREAM.DELETE.EVENTS");

/** Trims from the front: `seq` is then the first. */
export const purgeEvents = (backbone: Backbone, seq: number): Promise<void> =>
  ask(backbone, "STREAM.PURGE.EVENTS", { seq });

async function ask(backbone: Backbone, verb: string, body: object = {}, triesLeft = 50): Promise<void> {
  const reply = await backbone.request(`$JS.API.${verb}`, Buffer.from(JSON.stringify(body)));
  const answer = JSON.parse(Buffer.from(reply.data).toString()) as { error?: { description: string } };
  if (answer.error === undefined) return;
  // The server still moves the files of a stream of this name away.
  if (triesLeft === 0 || !answer.error.description.includes("creating store"))
    throw new Error(answer.error.description);
  await sleep(20);
  await ask(backbone, verb, body, triesLeft - 1);
}

/** Polls until the check holds. */
export async function eventually(check: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > until) throw new Error(`did not come true within ${withinMs} ms: ${check.toString()}`);
    await sleep(10);
  }
}
