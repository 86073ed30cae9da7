// Presence over all processes of the gateway. Each process owns its members and tells changes in numbered messages; a number that is
// missing means asking for the whole; a process that falls silent takes its whole roster with it. No state is merged: there is one
// owner for each entry (Phoenix's maintainers go the same way, phoenix_pubsub#211).

import { type Log, newId } from "@outcry/protocol";
import type { GatewayLimits } from "../limits.js";
import type { ProcessBus } from "./process-bus.js";
import { type Meta, Roster, type RosterEntry } from "./roster.js";
import { decodeRosterMessage, encodeRosterMessage, type RosterMessage } from "./roster-wire.js";
import { PresenceViews } from "./presence-views.js";

const SUBJECT = "pres.roster";
const ENTRIES_PER_PART = 200; // of at most 1 KiB each

export interface PresenceDeps {
  readonly bus: ProcessBus;
  readonly limits: GatewayLimits;
  readonly log: Log;
}

/** One connection's presence in one channel. */
export interface Tracked {
  /** Says something else of itself. */
  update(info: string): void;
  /** At once. */
  leave(): void;
  /** After the linger, unless the member is there again before: a broken connection is no leave. */
  leaveLater(): void;
}

interface Peer {
  version: number;
  heardAt: number;
  /** Parts of a whole roster so far. */
  parts: RosterEntry[][];
  /** It stopped: its members linger. */
  gone?: boolean;
}

export class Presence {
  readonly views: PresenceViews;
  readonly #deps: PresenceDeps;
  readonly #process = newId("con");
  readonly #roster: Roster;
  readonly #peers = new Map<string, Peer>();
  /** Ours, whose connection is gone, by ref. */
  readonly #lingering = new Map<string, RosterEntry>();
  readonly #stopping: (() => void)[] = [];
  #version = 0;
  #changes: RosterEntry[] = [];
  #stopped = false;

  constructor(deps: PresenceDeps) {
    this.#deps = deps;
    this.#roster = new Roster((entry, was) => this.views.note(entry, was));
    this.views = new PresenceViews(this.#roster, deps.limits);
  }

  start(): void {
    const { bus, limits } = this.#deps;
    const beat = setInterval(() => this.#beat(), limits.presenceBeatMs);
    const flush = setInterval(() => this.#flush(), limits.presenceFlushMs);
    this.#stopping.push(
      bus.subscribe(SUBJECT, (data) => this.#hear(data)),
      bus.onUp((up) => up && this.#onUp()),
      () => clearInterval(beat),
      () => clearInterval(flush),
    );
    this.#onUp();
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const stop of this.#stopping) stop();
    this.#say({ kind: "gone", process: this.#process });
  }

  /** `member` is who it is, in every connection of the same one. */
  track(channel: string, member: string, client: string, info: string): Tracked {
    let current = this.#enter(channel, member, client, info);
    this.#isBack(channel, member); // behind the entry: the member is never away
    return {
      update: (next) => {
        const before = current;
        current = this.#enter(channel, member, client, next);
        this.#take(before);
      },
      leave: () => this.#take(current),
      leaveLater: () => {
        // By another connection it is there all the same: perhaps the one that it came back with before this one was known to be gone.
        if (this.#roster.connections(channel, member) > 1) return this.#take(current);
        this.#lingering.set(current.ref, current);
        setTimeout(() => this.#take(current), this.#deps.limits.presenceLingerMs).unref();
      },
    };
  }

  #enter(channel: string, member: string, client: string, info: string): RosterEntry {
    const ref = newId("con");
    const entry = { channel, member, ref, meta: { ref, client, info } satisfies Meta };
    this.#change(entry);
    return entry;
  }

  #take({ channel, member, ref }: RosterEntry): void {
    this.#lingering.delete(ref);
    this.#change({ channel, member, ref });
  }

  /** Here or elsewhere: what lingers of it goes. */
  #isBack(channel: string, member: string): void {
    for (const entry of this.#lingering.values())
      if (entry.channel === channel && entry.member === member) this.#take(entry);
    for (const [process, { gone }] of this.#peers)
      if (gone === true) this.#roster.removeMember(process, channel, member);
  }

  #change(entry: RosterEntry): void {
    if (this.#stopped) return;
    this.#roster.apply(this.#process, entry);
    this.#changes.push(entry);
  }

  /** What changed since the last time, to the others and to our own viewers. */
  #flush(): void {
    for (let entries = this.#changes.splice(0, ENTRIES_PER_PART); entries.length > 0;) {
      this.#version++;
      this.#say({ kind: "change", process: this.#process, version: this.#version, entries });
      entries = this.#changes.splice(0, ENTRIES_PER_PART);
    }
    this.views.flush();
  }

  #beat(): void {
    this.#say({ kind: "beat", process: this.#process, version: this.#version });
    const deadline = performance.now() - this.#deps.limits.presenceDeadMs;
    // While we hear nobody, not even ourselves, the silence is ours.
    if (!this.#deps.bus.up) return;
    for (const [process, peer] of this.#peers) if (peer.heardAt < deadline) this.#forget(process);
  }

  /** What was said meanwhile was not heard, neither by us nor of us. */
  #onUp(): void {
    for (const peer of this.#peers.values()) peer.heardAt = performance.now();
    this.#say({ kind: "ask", process: this.#process });
    this.#sayWhole();
  }

  #hear(data: Uint8Array): void {
    const message = decodeRosterMessage(data);
    if (message === undefined || message.process === this.#process) return;
    switch (message.kind) {
      case "ask":
        if (message.of === undefined || message.of === this.#process) this.#sayWhole();
        return;
      case "gone":
        return this.#lingerAll(message.process);
      case "beat":
        if (this.#known(message.process).version !== message.version) this.#ask(message.process);
        return;
      case "change":
        return this.#onChange(message);
      case "whole":
        return this.#onWhole(message);
    }
  }

  #onChange({ process, version, entries }: RosterMessage & { kind: "change" }): void {
    const peer = this.#known(process);
    if (version <= peer.version) return;
    if (version !== peer.version + 1) return this.#ask(process);
    peer.version = version;
    for (const entry of entries) {
      this.#roster.apply(process, entry);
      if (entry.meta !== undefined) this.#isBack(entry.channel, entry.member);
    }
  }

  #onWhole({ process, version, part, parts, entries }: RosterMessage & { kind: "whole" }): void {
    const peer = this.#known(process);
    if (part === 0) peer.parts = [];
    if (peer.parts.length !== part) return; // one was lost: the next beat finds out
    peer.parts.push([...entries]);
    if (peer.parts.length < parts) return;
    this.#roster.replace(process, peer.parts.flat());
    peer.parts = [];
    peer.version = version;
  }

  #known(process: string): Peer {
    const peer = this.#peers.get(process) ?? { version: 0, heardAt: 0, parts: [] };
    peer.heardAt = performance.now();
    this.#peers.set(process, peer);
    return peer;
  }

  /** An orderly stop: its clients come back elsewhere. */
  #lingerAll(process: string): void {
    this.#known(process).gone = true;
    setTimeout(() => this.#forget(process), this.#deps.limits.presenceLingerMs).unref();
  }

  #forget(process: string): void {
    this.#peers.delete(process);
    this.#roster.replace(process, []);
  }

  #ask(process: string): void {
    this.#say({ kind: "ask", process: this.#process, of: process });
  }

  #sayWhole(): void {
    this.#flush();
    const all = this.#roster.entriesOf(this.#process);
    const parts = Math.max(1, Math.ceil(all.length / ENTRIES_PER_PART));
    for (let part = 0; part < parts; part++) {
      const entries = all.slice(part * ENTRIES_PER_PART, (part + 1) * ENTRIES_PER_PART);
      this.#say({ kind: "whole", process: this.#process, version: this.#version, part, parts, entries });
    }
  }

  #say(message: RosterMessage): void {
    if (this.#deps.bus.up) this.#deps.bus.publish(SUBJECT, encodeRosterMessage(message));
  }
}
