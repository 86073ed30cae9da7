// Keeps suspended and deleted nodes off NATS. What is revoked follows from KV alone; every process brings the account's JWT
// to that state, on start and after every change, so it does not matter which of them saw the suspension or died after it.

import type { Health, Revocation, Revoker } from "@outcry/backbone";
import { LIMITS, type Log, type NodeRecord, OutcryError, parseRfc3339, toRfc3339 } from "@outcry/protocol";
import type { AccessBook, StoredRevocation } from "../access/access-book.js";
import type { Registry } from "./registry.js";

// A process whose read of the registry is as old as this may still have issued credentials after the suspension.
const STALE_READ_MS = 2_000;
const REPEAT_MS = 5_000; // see #keepPushing
const RETRY_MS = 1_000; // after a failure
const CLEAN_UP_MARGIN_MS = 5 * 60_000;
const WRITE_ATTEMPTS_MAX = 5;

export interface Revocations {
  /** Resolves when the servers have taken it. */
  enforce(node: NodeRecord): Promise<void>;
  /** Ends a deletion: the revocation stays, the node goes. */
  bury(node: NodeRecord): Promise<void>;
  /** When the JWTs of this NATS key were voided last, in epoch ms. */
  revokedAtMs(natsPublicKey: string): number | undefined;
  close(): void;
}

export interface RevocationsDeps {
  registry: Registry;
  book: AccessBook;
  revoker: Revoker;
  /** Of the connection that the revoker uses: a replaced server may have lost the account's JWT. */
  health?: Health;
  log: Log;
}

export function createRevocations(deps: RevocationsDeps): Revocations {
  const keeper = new RevocationKeeper(deps);
  keeper.start();
  return keeper;
}

class RevocationKeeper implements Revocations {
  readonly #deps: RevocationsDeps;
  #pushing: Promise<void> | undefined;
  #pushAgain = false;
  #converging = false;
  #convergeAgain = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #forgetHealth: (() => void) | undefined;

  constructor(deps: RevocationsDeps) {
    this.#deps = deps;
  }

  start(): void {
    const { registry, book, health } = this.#deps;
    registry.nodes.onChange((_id, node) => {
      if (node?.status === "suspended") this.#wake();
    });
    book.revocations.onChange(() => this.#wake());
    this.#forgetHealth = health?.onChange((up) => {
      if (up) this.#wake();
    });
    this.#wake();
  }

  async enforce(node: NodeRecord): Promise<void> {
    // The suspension is written: cutting need not wait for the revocation's own record, which makes it outlast a resume.
    await Promise.all([this.#push(), this.#record(node)]);
  }

  async bury(node: NodeRecord): Promise<void> {
    await this.#record(node, { deleted: true });
    await this.#push();
    await this.#remove(node.id);
  }

  revokedAtMs(natsPublicKey: string): number | undefined {
    const kept = this.#deps.book.revocations.get(natsPublicKey);
    return kept === undefined ? undefined : parseRfc3339(kept.value.at);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#forgetHealth?.();
  }

  /** Brings everything that KV demands about, in the background, until it stands. */
  #wake(): void {
    this.#convergeAgain = true;
    if (this.#converging || this.#closed) return;
    this.#converging = true;
    this.#converge()
      .catch((error: unknown) => {
        if (!this.#closed)
          this.#deps.log.error({ error: String(error) }, "a revocation is not enforced yet; trying again");
        this.#wakeIn(RETRY_MS);
      })
      .finally(() => (this.#converging = false));
  }

  async #converge(): Promise<void> {
    while (this.#convergeAgain && !this.#closed) {
      this.#convergeAgain = false;
      await this.#push();
      const suspended = this.#suspended();
      for (const node of suspended) await this.#record(node);
      // The process that was deleting these died after it had said so.
      for (const node of suspended) if (this.#known(node)?.deleted === true) await this.#remove(node.id);
    }
  }

  #known(node: NodeRecord): StoredRevocation | undefined {
    return this.#deps.book.revocations.get(node.nats_public_key)?.value;
  }

  /** Writes the revocation that the suspension in the node's record asks for, unless it stands already. */
  async #record(node: NodeRecord, ending: Pick<StoredRevocation, "deleted"> = {}): Promise<void> {
    const { revocations } = this.#deps.book;
    const atMs = this.#dueMs(node);
    const covers = (former: StoredRevocation | undefined) =>
      former !== undefined &&
      (parseRfc3339(former.at) ?? 0) >= atMs &&
      former.deleted === (ending.deleted ?? former.deleted);
    if (covers(this.#known(node))) return;
    for (let attempt = 0; attempt < WRITE_ATTEMPTS_MAX; attempt++) {
      const kept = await revocations.read(node.nats_public_key);
      if (covers(kept?.value)) return;
      const laterMs = Math.max(atMs, parseRfc3339(kept?.value.at ?? "") ?? 0);
      const wanted = { ...kept?.value, ...ending, at: toRfc3339(laterMs), node_id: node.id };
      const key = node.nats_public_key;
      const written =
        kept === undefined
          ? await revocations.create(key, wanted)
          : await revocations.update(key, wanted, kept.revision);
      if (written.kind === "written") return;
    }
    throw new OutcryError(
      "dependency_unavailable",
      `The revocation of ${node.id} is being changed by others without end.`,
    );
  }

  async #remove(nodeId: string): Promise<void> {
    const { nodes } = this.#deps.registry;
    const kept = await nodes.read(nodeId);
    if (kept !== undefined) await nodes.delete(nodeId, kept.revision);
  }

  /** One push at a time; whoever comes meanwhile waits for the next one, which holds what he wrote. */
  async #push(): Promise<void> {
    this.#pushAgain = true;
    // Begun in a later turn: the end of a push that had nothing to do must not come before this assignment.
    return (this.#pushing ??= Promise.resolve().then(() => this.#pushUntilCurrent()));
  }

  async #pushUntilCurrent(): Promise<void> {
    try {
      while (this.#pushAgain) {
        this.#pushAgain = false;
        const wanted = this.#wanted();
        if (wanted.length > 0) await this.#deps.revoker.apply(wanted);
        this.#keepPushing(wanted);
      }
    } finally {
      this.#pushing = undefined; // in the same turn as the last look at #pushAgain
    }
  }

  /** Older ones cover only JWTs that have expired, and the account's JWT has to fit one message. */
  #wanted(): Revocation[] {
    const oldestMs = this.#now() - LIMITS.nodeCredentialsMs - CLEAN_UP_MARGIN_MS;
    const recorded = [...this.#deps.book.revocations.all()].map(([userPublicKey, { value }]) => ({
      userPublicKey,
      atMs: parseRfc3339(value.at) ?? this.#now(),
    }));
    const suspended = this.#suspended().map((node) => ({
      userPublicKey: node.nats_public_key,
      atMs: this.#dueMs(node),
    }));
    return [...recorded, ...suspended].filter(({ atMs }) => atMs > oldestMs);
  }

  #suspended(): NodeRecord[] {
    return [...this.#deps.registry.nodes.all()]
      .map(([, { value }]) => value)
      .filter(({ status }) => status === "suspended");
  }

  /** JWTs issued until then are void by the suspension. */
  #dueMs(node: NodeRecord): number {
    return (parseRfc3339(node.changed) ?? this.#now()) + STALE_READ_MS;
  }

  // Servers keep the account JWT with the latest `iat`: one that a process with a fast clock pushed a moment before a
  // suspension hides ours. So a fresh revocation is pushed again until no tolerated clock can be ahead of it.
  #keepPushing(wanted: readonly Revocation[]): void {
    const freshestMs = Math.max(...wanted.map(({ atMs }) => atMs), 0);
    if (freshestMs + LIMITS.clockSkewMs > this.#now()) this.#wakeIn(REPEAT_MS);
  }

  #wakeIn(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => this.#wake(), ms);
    this.#timer.unref();
  }

  #now(): number {
    return this.#deps.book.clock.now();
  }
}
