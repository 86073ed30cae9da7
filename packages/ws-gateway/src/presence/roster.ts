// Who is present where, as every process of the gateway has told: pure state. A process owns its members; what it told is taken or
// dropped as a whole.

/** One connection of a member. */
export interface Meta {
  /** Unique for ever. A change of `info` is another one. */
  readonly ref: string;
  /** The connection's id. */
  readonly client: string;
  /** What the client says of itself: a JSON object. */
  readonly info: string;
}

/** `meta` is absent when that connection is no longer there. */
export interface RosterEntry {
  readonly channel: string;
  readonly member: string;
  readonly ref: string;
  readonly meta?: Meta;
}

interface Owned {
  readonly entry: RosterEntry & { readonly meta: Meta };
  readonly owner: string;
}

export class Roster {
  /** Channel → member → ref. Maps: a member may be called `__proto__`. */
  readonly #channels = new Map<string, Map<string, Map<string, Owned>>>();
  /** Owner → its entries by ref. */
  readonly #owned = new Map<string, Map<string, RosterEntry>>();
  readonly #onChange: (entry: RosterEntry, was: Meta | undefined) => void;

  /** `onChange` hears of every entry that came or went; `was` is the meta that went. */
  constructor(onChange: (entry: RosterEntry, was: Meta | undefined) => void) {
    this.#onChange = onChange;
  }

  members(channel: string): number {
    return this.#channels.get(channel)?.size ?? 0;
  }

  connections(channel: string, member: string): number {
    return this.#channels.get(channel)?.get(member)?.size ?? 0;
  }

  /** Connections by member. */
  *of(channel: string): Generator<readonly [member: string, metas: readonly Meta[]]> {
    for (const [member, refs] of this.#channels.get(channel) ?? []) {
      yield [member, [...refs.values()].map(({ entry }) => entry.meta)];
    }
  }

  entriesOf(owner: string): RosterEntry[] {
    return [...(this.#owned.get(owner)?.values() ?? [])];
  }

  apply(owner: string, { meta, ...entry }: RosterEntry): void {
    if (meta === undefined) this.#remove(owner, entry.ref);
    else this.#add(owner, { ...entry, meta });
  }

  /** What it told before and is not in `entries` goes. */
  replace(owner: string, entries: readonly RosterEntry[]): void {
    const refs = new Set(entries.map(({ ref }) => ref));
    for (const { ref } of this.entriesOf(owner)) if (!refs.has(ref)) this.#remove(owner, ref);
    for (const entry of entries) this.apply(owner, entry);
  }

  /** What it told of one member. */
  removeMember(owner: string, channel: string, member: string): void {
    for (const entry of this.entriesOf(owner))
      if (entry.channel === channel && entry.member === member) this.#remove(owner, entry.ref);
  }

  #add(owner: string, entry: RosterEntry & { meta: Meta }): void {
    const owned = this.#owned.get(owner) ?? new Map<string, RosterEntry>();
    if (owned.has(entry.ref)) return;
    this.#owned.set(owner, owned.set(entry.ref, entry));
    const members = this.#channels.get(entry.channel) ?? new Map<string, Map<string, Owned>>();
    const refs = members.get(entry.member) ?? new Map<string, Owned>();
    this.#channels.set(entry.channel, members.set(entry.member, refs.set(entry.ref, { entry, owner })));
    this.#onChange(entry, undefined);
  }

  #remove(owner: string, ref: string): void {
    const owned = this.#owned.get(owner);
    const entry = owned?.get(ref);
    if (owned === undefined || entry === undefined) return;
    owned.delete(ref);
    if (owned.size === 0) this.#owned.delete(owner);
    const members = this.#channels.get(entry.channel)!;
    const refs = members.get(entry.member)!;
    refs.delete(ref);
    if (refs.size === 0) members.delete(entry.member);
    if (members.size === 0) this.#channels.delete(entry.channel);
    const { channel, member } = entry;
    this.#onChange({ channel, member, ref }, entry.meta);
  }
}
