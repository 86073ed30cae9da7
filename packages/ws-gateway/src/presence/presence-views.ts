// What this process's subscribers see of the rosters: everything first, then changes, once per flush. Above a number of members only how
// many there are: a full roster of thousands would be sent to thousands.

import type { Format, Sink } from "../channels/format.js";
import type { GatewayLimits } from "../limits.js";
import type { Members, PresenceShown } from "./presence-shown.js";
import type { Meta, Roster, RosterEntry } from "./roster.js";

interface Viewer {
  /** The channel's key. */
  readonly channel: string;
  /** Its own name for the channel. */
  readonly name: string;
  readonly sink: Sink;
  /** Something found no room: the whole is owed. */
  owed: boolean;
}

interface View {
  readonly viewers: Set<Viewer>;
  counting: boolean;
  toldCount: number;
  toldAt: number;
  readonly joins: Map<string, Map<string, Meta>>;
  readonly leaves: Map<string, Map<string, Meta>>;
}

export class PresenceViews {
  readonly #roster: Roster;
  readonly #limits: GatewayLimits;
  readonly #views = new Map<string, View>();
  readonly #changed = new Set<string>();
  readonly #owing = new Set<Viewer>();

  constructor(roster: Roster, limits: GatewayLimits) {
    this.#roster = roster;
    this.#limits = limits;
  }

  /** Shows the whole at once, and what changes from then on. Returns the way to stop. */
  watch(channel: string, name: string, sink: Sink): () => void {
    const viewer: Viewer = { channel, name, sink, owed: false };
    const view = this.#views.get(channel) ?? this.#open(channel);
    this.#tellChanges(channel, view); // the others' changes so far are in the whole already
    view.viewers.add(viewer);
    this.#offer(viewer, sink.format.presence(name, this.#look(channel, view.counting)));
    return () => {
      view.viewers.delete(viewer);
      this.#owing.delete(viewer);
      if (view.viewers.size === 0) this.#views.delete(channel);
    };
  }

  /** Everything, for one answer. */
  look(channel: string): PresenceShown {
    const count = this.#roster.members(channel);
    return count > this.#limits.presenceMembersMax
      ? { kind: "count", count }
      : { kind: "state", members: [...this.#roster.of(channel)] };
  }

  /** Of a change in the roster. */
  note({ channel, member, meta }: RosterEntry, was: Meta | undefined): void {
    const view = this.#views.get(channel);
    if (view === undefined) return;
    this.#changed.add(channel);
    if (meta !== undefined) addTo(view.joins, member, meta);
    else if (was !== undefined && !takeFrom(view.joins, member, was)) addTo(view.leaves, member, was);
  }

  /** Called some times a second. */
  flush(): void {
    for (const channel of this.#changed) {
      const view = this.#views.get(channel);
      if (view === undefined || this.#tellChanges(channel, view)) this.#changed.delete(channel);
    }
    for (const viewer of this.#owing) this.#payOwed(viewer);
  }

  #open(channel: string): View {
    const counting = this.#roster.members(channel) > this.#limits.presenceMembersMax;
    const view: View = { viewers: new Set(), counting, toldCount: -1, toldAt: 0, joins: new Map(), leaves: new Map() };
    this.#views.set(channel, view);
    return view;
  }

  /** False while it is too early to tell the next count. */
  #tellChanges(channel: string, view: View): boolean {
    const count = this.#roster.members(channel);
    const isMany = count > this.#limits.presenceMembersMax;
    const change = { kind: "change", joins: membersOf(view.joins), leaves: membersOf(view.leaves) } as const;
    if (isMany || view.counting) {
      const now = performance.now();
      if (isMany && view.counting && now - view.toldAt < this.#limits.presenceCountMs) return false;
      if (!isMany || !view.counting || count !== view.toldCount) this.#tellAll(view, this.#look(channel, isMany));
      [view.counting, view.toldCount, view.toldAt] = [isMany, count, now];
    } else if (change.joins.length + change.leaves.length > 0) this.#tellAll(view, change);
    view.joins.clear();
    view.leaves.clear();
    return true;
  }

  #look(channel: string, isMany: boolean): PresenceShown {
    return isMany ? { kind: "count", count: this.#roster.members(channel) } : this.look(channel);
  }

  /** Once per format and name. */
  #tellAll({ viewers }: View, shown: PresenceShown): void {
    const frames = new Map<Format, Map<string, Buffer | undefined>>();
    for (const viewer of viewers) {
      const { format } = viewer.sink;
      const byName = frames.get(format) ?? new Map<string, Buffer | undefined>();
      if (!byName.has(viewer.name)) byName.set(viewer.name, format.presence(viewer.name, shown));
      frames.set(format, byName);
      this.#offer(viewer, byName.get(viewer.name));
    }
  }

  #offer(viewer: Viewer, frame: Buffer | undefined): void {
    if (viewer.owed || frame === undefined || viewer.sink.offer(frame)) return;
    viewer.owed = true;
    this.#owing.add(viewer);
  }

  /** The whole, when it finds room. */
  #payOwed(viewer: Viewer): void {
    const frame = viewer.sink.format.presence(viewer.name, this.look(viewer.channel));
    if (frame !== undefined && !viewer.sink.offer(frame)) return;
    viewer.owed = false;
    this.#owing.delete(viewer);
  }
}

const membersOf = (by: Map<string, Map<string, Meta>>): Members =>
  [...by].map(([member, metas]) => [member, [...metas.values()]] as const);

function addTo(by: Map<string, Map<string, Meta>>, member: string, meta: Meta): void {
  const metas = by.get(member) ?? new Map<string, Meta>();
  by.set(member, metas.set(meta.ref, meta));
}

/** True when it was there: what came and went within one flush is not told. */
function takeFrom(by: Map<string, Map<string, Meta>>, member: string, { ref }: Meta): boolean {
  const metas = by.get(member);
  if (metas === undefined || !metas.delete(ref)) return false;
  if (metas.size === 0) by.delete(member);
  return true;
}
