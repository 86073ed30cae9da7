// Which appends may share an atomic batch. The server checks each expectation against what is stored, not against the rest
// of the batch: two entries that exclude each other through a wildcard would both be stored (seen on 2.15.1).

export interface Expectation {
  /** Subject, or wildcard, whose last sequence is meant. */
  readonly filter: string;
  /** 0 = nothing there yet. */
  readonly seq: number;
}

export interface Placed {
  readonly subject: string;
  readonly expect: Expectation | undefined;
}

/** A set of entries that can say whether another one touches any of them. Wildcards count by their literal prefix. */
export class Overlap {
  readonly #subjects = new Set<string>();
  /** Filters of the expectations that have no wildcard: nearly all. */
  readonly #guarded = new Set<string>();
  /** Literal prefixes of those that have one. */
  readonly #guardedBelow = new Set<string>();

  add({ subject, expect }: Placed): void {
    this.#subjects.add(subject);
    if (expect === undefined) return;
    const below = expect.filter === subject ? undefined : literalPrefix(expect.filter);
    if (below === undefined) this.#guarded.add(expect.filter);
    else this.#guardedBelow.add(below);
  }

  /** True when an expectation of one covers the subject of the other. */
  excludes({ subject, expect }: Placed): boolean {
    if (this.#guarded.has(subject)) return true;
    for (const prefix of this.#guardedBelow) if (isBelow(subject, prefix)) return true;
    if (expect === undefined) return false;
    const below = expect.filter === subject ? undefined : literalPrefix(expect.filter);
    if (below === undefined) return this.#subjects.has(expect.filter);
    for (const written of this.#subjects) if (isBelow(written, below)) return true;
    return false;
  }

  hasSubject(subject: string): boolean {
    return this.#subjects.has(subject);
  }
}

/** The prefix itself counts too: too many are kept apart, never too few. */
const isBelow = (subject: string, prefix: string): boolean =>
  subject.startsWith(prefix) && (prefix === "" || subject.length === prefix.length || subject[prefix.length] === ".");

/** `ucp.v1.intent.x.>` → `ucp.v1.intent.x`; undefined without a wildcard. */
function literalPrefix(filter: string): string | undefined {
  const wildcard = /(?:^|\.)[*>](?=\.|$)/.exec(filter);
  return wildcard === null ? undefined : filter.slice(0, wildcard.index);
}

/** NATS subject matching: `*` is one token, `>` one or more. */
export function subjectMatches(filter: string, subject: string): boolean {
  const wanted = filter.split(".");
  const tokens = subject.split(".");
  for (const [index, want] of wanted.entries()) {
    if (want === ">") return tokens.length > index;
    if (index >= tokens.length || (want !== "*" && want !== tokens[index])) return false;
  }
  return tokens.length === wanted.length;
}
