// The service's signing keys over time (ADR-9). Public halves are in KV `access`, `signing-key.<kid>`: what is there, and not revoked, is
// published, and verifies. Private halves stay with their process. A rotation is a number in KV, `signing-rotation.latest`, that every
// process follows with its own store: make the next key, publish it, and sign with it when all had time to hear of it.

import {
  type Clock,
  type Log,
  OutcryError,
  parseRfc3339,
  type PublicKey,
  type SigningKeyView,
  toRfc3339,
} from "@outcry/protocol";
import { checkPublicJwk, type KeySource, publicJwk, type SigningKey, type VerificationKey } from "@outcry/signing";
import type { AccessBook, StoredSigningKey } from "./access-book.js";
import type { KeyStore } from "./key-store.js";
import { bare, retiresMs, STAMP_EVERY_MS, viewOf } from "./signing-key-views.js";

const LOOK_EVERY_MS = 2_000; // at the files; KV tells by itself
const LATEST = "latest";

export interface SigningKeysDeps {
  book: AccessBook;
  store: KeyStore;
  /** Owner of the keys: `sender.id`, `iss`. */
  serviceId: string;
  clock: Clock;
  log: Log;
  /** The published set is another one. */
  onChange?: () => void;
}

export interface SigningKeys {
  /** Signs now. Throws dependency_unavailable while this process has no key that may. */
  readonly current: SigningKey;
  /** Verifies what any process of the service signed, unless its key was revoked. */
  readonly source: KeySource;
  published(): PublicKey[];
  /** Every process signs with a new key `leadMs` from now, and publishes it before. */
  rotate(leadMs: number): Promise<{ generation: number; signsFrom: string }>;
  /** Nothing that it signed verifies any more. Whoever signs with it takes a new one at once. */
  revoke(kid: string): Promise<void>;
  list(): SigningKeyView[];
  check(): { ok: boolean; detail: string };
  /** Resolves when nothing more is written. */
  stop(): Promise<void>;
}

export async function createSigningKeys(deps: SigningKeysDeps): Promise<SigningKeys> {
  const keys = new Follower(deps);
  await keys.start();
  return keys;
}

class Follower implements SigningKeys {
  readonly source: KeySource;
  readonly #deps: SigningKeysDeps;
  readonly #verifying = new Map<string, VerificationKey>();
  #signing: SigningKey;
  /** Published, not signing yet. */
  #next: string | undefined;
  #stampedMs = 0;
  #advancing: Promise<void> | undefined;
  #again = false;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(deps: SigningKeysDeps) {
    this.#deps = deps;
    this.#signing = deps.store.load();
    this.source = { find: (kid) => this.#verifying.get(kid) };
  }

  get current(): SigningKey {
    if (this.#isRevoked(this.#signing.kid))
      throw new OutcryError("dependency_unavailable", "the signing key was revoked; a new one is on its way");
    return this.#signing;
  }

  async start(): Promise<void> {
    const { book } = this.#deps;
    for (const [kid, { value }] of book.signingKeys.all()) this.#take(kid, value);
    await this.#publish(this.#signing, book.rotations.get(LATEST)?.value.generation ?? 0);
    book.signingKeys.onChange((kid, value) => {
      if (this.#take(kid, value)) this.#deps.onChange?.();
      this.#advanceSoon();
    });
    book.rotations.onChange(() => this.#advanceSoon());
    await this.#advance();
    this.#deps.onChange?.(); // a revocation may have been cut off before the nodes heard of it
  }

  published(): PublicKey[] {
    const keys = [...this.#deps.book.signingKeys.all()].filter(([, { value }]) => value.revoked === undefined);
    return keys.map(([, { value }]) => bare(value));
  }

  async rotate(leadMs: number): Promise<{ generation: number; signsFrom: string }> {
    const { book, clock, store } = this.#deps;
    if (store.rotation === undefined) throw new OutcryError("rotation_unsupported");
    for (;;) {
      const kept = await book.rotations.read(LATEST);
      const generation = (kept?.value.generation ?? 0) + 1;
      const signsFrom = toRfc3339(clock.now() + leadMs);
      const value = { generation, signs_from: signsFrom, lead_ms: leadMs };
      const written =
        kept === undefined
          ? await book.rotations.create(LATEST, value)
          : await book.rotations.update(LATEST, value, kept.revision);
      if (written.kind === "conflict") continue; // another rotation began: this one comes after it
      await this.#advance();
      return { generation, signsFrom };
    }
  }

  async revoke(kid: string): Promise<void> {
    const { book, clock } = this.#deps;
    for (;;) {
      const kept = await book.signingKeys.read(kid);
      if (kept === undefined) throw new OutcryError("signing_key_not_found");
      if (kept.value.revoked !== undefined) break;
      const revoked = { ...kept.value, revoked: toRfc3339(clock.now()) };
      if ((await book.signingKeys.update(kid, revoked, kept.revision)).kind === "written") break;
    }
    await this.#advance();
  }

  list(): SigningKeyView[] {
    const { book } = this.#deps;
    const generation = book.rotations.get(LATEST)?.value.generation ?? 0;
    return [...book.signingKeys.all()]
      .map(([, { value }]) => viewOf(value, generation))
      .sort((one, other) => ((one.published ?? "") < (other.published ?? "") ? -1 : 1));
  }

  check(): { ok: boolean; detail: string } {
    const ok = !this.#isRevoked(this.#signing.kid);
    return { ok, detail: ok ? `signs with ${this.#signing.kid}` : "the signing key was revoked and there is no other" };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await Promise.allSettled([this.#advancing]); // whoever asked for it was told
  }

  /** One at a time; a call while one runs makes it look once more. */
  #advance(): Promise<void> {
    this.#again = true;
    this.#advancing ??= this.#advanceUntilQuiet().finally(() => {
      this.#advancing = undefined;
      clearTimeout(this.#timer);
      if (!this.#stopped) this.#timer = setTimeout(() => this.#advanceSoon(), this.#nextLookMs()).unref();
    });
    return this.#advancing;
  }

  #advanceSoon(): void {
    if (this.#stopped) return;
    this.#advance().catch((error: unknown) =>
      this.#deps.log.warn({ error: String(error) }, "the signing key's rotation waits"),
    );
  }

  async #advanceUntilQuiet(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      await this.#step();
    }
  }

  /** Repeating it at any point of a crash goes on where it was. */
  async #step(): Promise<void> {
    const { book, store, clock, log } = this.#deps;
    const rotation = book.rotations.get(LATEST)?.value;
    await this.#adopt(store.load(), rotation?.generation ?? 0);
    const mine = book.signingKeys.get(this.#signing.kid)?.value;
    const revoked = mine?.revoked !== undefined;
    const behind = rotation !== undefined && (mine?.generation ?? 0) < rotation.generation;
    if ((revoked || behind) && store.rotation !== undefined) {
      const next = store.rotation.next();
      await this.#publish(next, rotation?.generation ?? 0);
      await this.#joinGeneration(next.kid, rotation?.generation ?? 0);
      this.#next = next.kid;
      if (this.#isRevoked(next.kid)) {
        store.rotation.dropNext();
        this.#again = true;
      } else if (revoked || clock.now() >= this.#signsFromMs(next.kid)) {
        await this.#stamp(this.#signing.kid); // from now on its time to retire runs
        store.rotation.takeNext();
        await this.#adopt(store.load(), rotation?.generation ?? 0);
        log.info({ kid: this.#signing.kid }, "signing with a new key");
      }
    } else if (behind) log.debug({}, "the signing key is configured: it is rotated there");
    if (clock.now() - this.#stampedMs >= STAMP_EVERY_MS) {
      this.#stampedMs = clock.now();
      await this.#stamp(this.#signing.kid);
      await this.#retire();
    }
  }

  /** Published before it signs: a node that does not know it yet finds it. */
  async #adopt(key: SigningKey, generation: number): Promise<void> {
    if (key.kid === this.#signing.kid) return;
    await this.#publish(key, generation);
    this.#signing = key;
    this.#stampedMs = 0;
  }

  async #publish(key: SigningKey, generation: number): Promise<void> {
    const { book, clock } = this.#deps;
    const jwk = publicJwk(key);
    const value: StoredSigningKey = { ...jwk, generation, published: toRfc3339(clock.now()) };
    if (book.signingKeys.get(key.kid) !== undefined) return requireSame(book, jwk);
    if ((await book.signingKeys.create(key.kid, value)).kind === "written") {
      this.#take(key.kid, value);
      return;
    }
    const there = await book.signingKeys.read(key.kid);
    this.#take(key.kid, there?.value);
    requireSame(book, jwk);
  }

  /** A next key that was made for a rotation before the latest serves the latest too. */
  async #joinGeneration(kid: string, generation: number): Promise<void> {
    const { book } = this.#deps;
    const kept = book.signingKeys.get(kid);
    if (kept === undefined || (kept.value.generation ?? 0) >= generation) return;
    const written = await book.signingKeys.update(kid, { ...kept.value, generation }, kept.revision);
    if (written.kind === "conflict") this.#again = true; // revoked, or done by a process of the same folder
  }

  /** `last_signed`, never for a key that is revoked. */
  async #stamp(kid: string): Promise<void> {
    const { book, clock } = this.#deps;
    const kept = await book.signingKeys.read(kid);
    if (kept === undefined || kept.value.revoked !== undefined) return;
    await book.signingKeys.update(kid, { ...kept.value, last_signed: toRfc3339(clock.now()) }, kept.revision);
  }

  async #retire(): Promise<void> {
    const { book, clock, log } = this.#deps;
    for (const [kid, { value, revision }] of book.signingKeys.all()) {
      if (value.revoked !== undefined || kid === this.#signing.kid) continue; // a revoked one must never come back
      if (value.last_signed === undefined) {
        // Of a version that did not stamp: its time runs from now.
        if (value.generation === undefined) await this.#stamp(kid);
      } else if (retiresMs(value) < clock.now() && (await book.signingKeys.delete(kid, revision)).kind === "written")
        log.info({ kid }, "a signing key was retired");
    }
  }

  #nextLookMs(): number {
    const untilMs = this.#signsFromMs(this.#next) - this.#deps.clock.now();
    return untilMs > 0 ? Math.min(untilMs, LOOK_EVERY_MS) : LOOK_EVERY_MS;
  }

  /** For everyone at one time, yet never sooner after this key's own publication than was asked for. */
  #signsFromMs(next: string | undefined): number {
    const { book } = this.#deps;
    const rotation = book.rotations.get(LATEST)?.value;
    const published = next === undefined ? undefined : book.signingKeys.get(next)?.value.published;
    if (rotation === undefined || published === undefined) return 0;
    return Math.max(parseRfc3339(rotation.signs_from) ?? 0, (parseRfc3339(published) ?? 0) + rotation.lead_ms);
  }

  #isRevoked(kid: string): boolean {
    return this.#deps.book.signingKeys.get(kid)?.value.revoked !== undefined;
  }

  /** True when what verifies is another set than before. */
  #take(kid: string, value: StoredSigningKey | undefined): boolean {
    const known = this.#verifying.has(kid);
    const checked = value === undefined || value.revoked !== undefined ? undefined : checkPublicJwk(value);
    if (checked?.kind !== "ok") return this.#verifying.delete(kid);
    const { alg, publicKey } = checked;
    this.#verifying.set(kid, { kid, owner: this.#deps.serviceId, alg, publicKey });
    return !known;
  }
}

function requireSame(book: AccessBook, jwk: PublicKey): void {
  if (book.signingKeys.get(jwk.kid)?.value.x === jwk.x) return;
  throw new OutcryError(
    "config_invalid",
    `The signing key's kid ${jwk.kid} belongs to another key already; give the new key another kid.`,
  );
}
