// Typing and status hints: what is true for some seconds and never stored. The last one of each member and kind counts; it is told some
// times a second at most, and taken back when nothing follows it.

import { type JsonObject, type JsonValue, type Log, parseStrict } from "@outcry/protocol";
import type { GatewayLimits } from "../limits.js";
import type { ProcessBus } from "./process-bus.js";

const SUBJECT = "hint.channel";
const BYTES_MAX = 8 * 1024; // of a message between processes

export interface Hint {
  /** The member's key, as in presence. */
  readonly from: string;
  /** `typing`, `status` or another word. */
  readonly kind: string;
  /** Null when it is taken back. */
  readonly data: JsonValue;
}

export interface HintsDeps {
  readonly bus: ProcessBus;
  readonly limits: GatewayLimits;
  readonly log: Log;
  /** `client`: the connection that it came from, which does not get it. */
  readonly tell: (channel: string, hint: Hint, client: string) => void;
}

interface Standing {
  readonly channel: string;
  hint: Hint;
  client: string;
  /** By `performance.now()`. */
  until: number;
  told: boolean;
}

export class Hints {
  readonly #deps: HintsDeps;
  /** By channel, member and kind. */
  readonly #standing = new Map<string, Standing>();
  readonly #stopping: (() => void)[] = [];

  constructor(deps: HintsDeps) {
    this.#deps = deps;
  }

  start(): void {
    const { bus, limits } = this.#deps;
    const flush = setInterval(() => this.#flush(), limits.hintFlushMs);
    this.#stopping.push(
      bus.subscribe(SUBJECT, (data) => this.#hear(data)),
      () => clearInterval(flush),
    );
  }

  stop(): void {
    for (const stop of this.#stopping.splice(0)) stop();
  }

  /** To the subscribers of the channel in every process. */
  send(channel: string, hint: Hint, client: string): void {
    const { bus } = this.#deps;
    if (bus.up) bus.publish(SUBJECT, Buffer.from(JSON.stringify({ channel, client, ...hint })));
  }

  #hear(data: Uint8Array): void {
    const parsed = parseStrict(data, { bytesMax: BYTES_MAX });
    if (parsed.kind === "refused") return;
    const { channel, client, from, kind, data: value = null } = parsed.value as JsonObject;
    if (![channel, client, from, kind].every((text) => typeof text === "string")) return; // not of ours
    const heard = { channel, client, from, kind } as Record<"channel" | "client" | "from" | "kind", string>;
    const key = JSON.stringify([heard.channel, heard.from, heard.kind]);
    const standing = this.#standing.get(key);
    const { limits } = this.#deps;
    if (standing === undefined && (this.#standing.size >= limits.hintsMax || value === null)) return;
    const until = performance.now() + limits.hintClearMs;
    if (standing?.told && JSON.stringify(standing.hint.data) === JSON.stringify(value)) {
      standing.until = until; // still the same: told already
      return;
    }
    const hint = { from: heard.from, kind: heard.kind, data: value };
    this.#standing.set(key, { channel: heard.channel, hint, client: heard.client, until, told: false });
  }

  #flush(): void {
    const now = performance.now();
    for (const [key, standing] of this.#standing) {
      if (now >= standing.until && standing.hint.data !== null) {
        standing.hint = { ...standing.hint, data: null };
        standing.told = false;
      }
      if (!standing.told) this.#deps.tell(standing.channel, standing.hint, standing.client);
      standing.told = true;
      if (standing.hint.data === null) this.#standing.delete(key);
    }
  }
}
