// Pages of a channel from the record, delivered only when proven whole (page-proofs.ts): batched Direct Get with the channel's filter.
// One read per page for all who want it: those who ask while it is under way, and a moment later (after a crash thousands come back
// with few different cursors).

import type { Position } from "../channels/cursor.js";
import { Gate } from "./gate.js";
import type { GatewayLimits } from "../limits.js";
import type { EventSource, SourceMessage } from "./event-source.js";
import type { LiveLog } from "./live-log.js";
import { PageProofs } from "./page-proofs.js";

export type ReplayPage =
  /** Every event of the channel behind the position, up to `through`. */
  | { readonly kind: "whole"; readonly events: readonly SourceMessage[]; readonly through: Position }
  /** Events behind the position are no longer there. */
  | { readonly kind: "trimmed" };

interface Kept {
  readonly page: Promise<ReplayPage>;
  bytes: number;
  /** Until it is forgotten; begins anew with each who takes it: thousands take longer to come back. */
  timer: NodeJS.Timeout | undefined;
}

export interface ReplayPagesDeps {
  readonly source: EventSource;
  readonly liveLog: LiveLog;
  readonly limits: GatewayLimits;
}

export class ReplayPages {
  readonly counters = { read: 0, shared: 0 };
  readonly #deps: ReplayPagesDeps;
  readonly #proofs: PageProofs;
  readonly #gate: Gate;
  /** The oldest first. */
  readonly #kept = new Map<string, Kept>();
  #generation = 0;
  #bytes = 0;

  constructor(deps: ReplayPagesDeps) {
    this.#deps = deps;
    this.#proofs = new PageProofs(deps);
    this.#gate = new Gate(deps.limits.replaysMax);
  }

  /** `position` is before the live log's head. Rejects with a temporary error when the record cannot be read. */
  page(filter: string, position: Position): Promise<ReplayPage> {
    if (this.#generation !== this.#deps.liveLog.generation) this.#forgetAll();
    const key = `${filter} ${position.seq}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      this.counters.shared++;
      kept.timer?.refresh();
      return kept.page;
    }
    this.counters.read++;
    const made: Kept = {
      page: this.#gate.run(() => this.#read(filter, position)),
      bytes: 0,
      timer: undefined,
    };
    this.#kept.set(key, made);
    made.page.then(
      (page) => this.#keep(key, made, page),
      () => this.#forget(key, made), // asked again by whoever needs it
    );
    return made.page;
  }

  /** Another read of the record, in turn with the pages. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return this.#gate.run(work);
  }

  async #read(filter: string, position: Position): Promise<ReplayPage> {
    const { source, limits } = this.#deps;
    const head = this.#proofs.heardHead();
    const seq = position.seq + 1;
    const page = await source.read({ seq, filter, batch: limits.replayMessages, bytesMax: limits.replayBytesMax });
    if (!(await this.#proofs.isThere(seq, head))) return { kind: "trimmed" };
    const events = page.messages.filter((message) => message.seq <= head.seq);
    const end = events.at(-1);
    // The source is at least as new as what was heard from it: no more matches means none up to the head.
    const ended = page.pending === 0 || events.length < page.messages.length || end === undefined;
    return {
      kind: "whole",
      events,
      through: ended ? { seq: head.seq, time: head.time } : { seq: end.seq, time: end.time },
    };
  }

  #keep(key: string, kept: Kept, page: ReplayPage): void {
    if (this.#kept.get(key) !== kept) return;
    if (page.kind === "trimmed") return this.#forget(key, kept);
    kept.bytes = page.events.reduce((bytes, { data }) => bytes + data.length, EMPTY_PAGE_BYTES);
    this.#bytes += kept.bytes;
    kept.timer = setTimeout(() => this.#forget(key, kept), this.#deps.limits.pageKeptMs).unref();
    for (const [other, oldest] of this.#kept) {
      if (this.#bytes <= this.#deps.limits.pagesBytesMax) break;
      if (oldest.bytes > 0) this.#forget(other, oldest);
    }
  }

  #forget(key: string, kept: Kept): void {
    if (this.#kept.get(key) !== kept) return;
    clearTimeout(kept.timer);
    this.#kept.delete(key);
    this.#bytes -= kept.bytes;
  }

  #forgetAll(): void {
    this.#generation = this.#deps.liveLog.generation;
    this.#kept.clear();
    this.#bytes = 0;
  }
}

const EMPTY_PAGE_BYTES = 256; // its key and objects
