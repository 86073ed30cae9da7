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
  /** Every written subject and each of its ancestors: `a.b.c`, `a.b`, `a`. */
  readonly #written = new Set<string>();
  /** Literal prefixes of the expectations. */
  readonly #guarded = new Set<string>();

  add(entry: Placed): void {
    this.#subjects.add(entry.subject);
    for (const prefix of prefixes(entry.subject)) this.#written.add(prefix);
    if (entry.expect !== undefined) this.#guarded.add(literalPrefix(entry.expect.filter));
  }

  /** True when an expectation of one covers the subject of the other. */
  excludes(entry: Placed): boolean {
    if (entry.expect !== undefined && this.#written.has(literalPrefix(entry.expect.filter))) return true;
    return this.#guarded.size > 0 && prefixes(entry.subject).some((prefix) => this.#guarded.has(prefix));
  }

  hasSubject(subject: string): boolean {
    return this.#subjects.has(subject);
  }
}

function prefixes(subject: string): string[] {
  const all = [subject];
  for (let dot = subject.lastIndexOf("."); dot > 0; dot = subject.lastIndexOf(".", dot - 1))
    all.push(subject.slice(0, dot));
  return all;
}

/** `ucp.v1.intent.x.>` → `ucp.v1.intent.x`; a subject without wildcards stays whole. */
function literalPrefix(filter: string): string {
  const wildcard = /(?:^|\.)[*>](?=\.|$)/.exec(filter);
  return wildcard === null ? filter : filter.slice(0, wildcard.index);
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
