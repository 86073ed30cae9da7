// A nats-server of one's own for a test, with connections that are closed with it; and what the tests say to it.

import { silentLog, systemClock } from "@outcry/protocol";
import { type ThrowawayNats, throwawayNats } from "@outcry/servers";
import { operatorOf } from "./auth.js";
import type { AuthTree } from "./auth.js";
import { connectBackbone } from "./connect.js";
import type { Backbone } from "./connect.js";
import type { ConnectOptions } from "./dial.js";

/** The server's default: what it acknowledges is not yet on the disk. */
export const SYNC_LATER = 'jetstream { store_dir: "loose" }';

export interface TestServer extends ThrowawayNats {
  connect(options?: Partial<ConnectOptions>): Promise<Backbone>;
}

export async function startNats(options: { tree?: AuthTree; extraConfig?: string } = {}): Promise<TestServer> {
  const { tree, ...more } = options;
  const server = await throwawayNats({ ...more, ...(tree && { operator: () => operatorOf(tree) }) });
  return Object.assign(server, {
    async connect(specific: Partial<ConnectOptions> = {}) {
      const backbone = await connectBackbone({
        servers: [server.url],
        name: "test",
        inboxPrefix: "_INBOX_svc",
        log: silentLog,
        clock: systemClock,
        ...specific,
      });
      server.beforeRemove(() => backbone.close());
      return backbone;
    },
  });
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `condition` holds, at most `withinMs`. */
export async function eventually(condition: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > until) throw new Error("it did not come true in time");
    await sleep(5);
  }
}

export const bytes = (text: string): Uint8Array => Buffer.from(text);
export const text = (data: Uint8Array): string => Buffer.from(data).toString();

/** A stream with the settings that appends and reads need. */
export async function makeStream(
  backbone: Backbone,
  name: string,
  subjects: string[],
  more: object = {},
): Promise<void> {
  const config = {
    name,
    subjects,
    storage: "file",
    discard: "new",
    max_bytes: 1e9,
    allow_direct: true,
    allow_atomic: true,
    ...more,
  };
  const reply = await backbone.request(`$JS.API.STREAM.CREATE.${name}`, bytes(JSON.stringify(config)));
  const answer = JSON.parse(text(reply.data)) as { error?: { description: string } };
  if (answer.error !== undefined) throw new Error(answer.error.description);
}
