// Takes back what a buyer's tokens open at the gateway, which follows these records (services/gateway/src/revoked-buyers.ts there).
// One record per buyer, changed by compare-and-set: the order of its revocations and of the tokens behind them is then one.

import {
  type BuyerRevocationView,
  derivedId,
  isTemporary,
  LIMITS,
  type Log,
  newId,
  OutcryError,
  parseRfc3339,
  toRfc3339,
} from "@outcry/protocol";
import type { AccessBook, StoredBuyerRights } from "./access-book.js";

// Tokens are dated in whole seconds by other processes' clocks: one that runs ahead by less than this dates none behind a revocation.
const CLOCKS_APART_S = 2;
const AHEAD_MAX_S = 30; // half of what verifiers tolerate in a token's date
const KEPT_MS = LIMITS.revocationsKeptMs;
const LIVING_MS = LIMITS.buyerTokenMs + LIMITS.clockSkewMs;
const WRITE_ATTEMPTS_MAX = 20;
const AT_ONCE = 100; // deletions: a request waits for no more
const SWEEP_EVERY_MS = 3_600_000;

type Entry = StoredBuyerRights["revoked"][number];

export interface Revocation {
  readonly backendId: string;
  readonly buyerId: string;
  /** Absent: everything. */
  readonly channel?: string | undefined;
  readonly reason: string;
  /** Id of the key. */
  readonly by: string;
}

const recordId = (backendId: string, buyerId: string): string => derivedId("rvk", backendId, buyerId);

/** Resolves when it is recorded; gateways know it within a second. Tokens made from then on are dated behind it. */
export async function revokeBuyer(book: AccessBook, revocation: Revocation): Promise<BuyerRevocationView> {
  const { backendId, buyerId } = revocation;
  const { buyerRights, clock } = book;
  const id = recordId(backendId, buyerId);
  for (let attempt = 0; attempt < WRITE_ATTEMPTS_MAX; attempt++) {
    const kept = await buyerRights.read(id);
    if (kept === undefined) await makeRoom(book, backendId);
    const nowMs = clock.now();
    const entry = entryOf(revocation, kept?.value.revoked ?? [], nowMs);
    const revoked = [...others(kept?.value.revoked ?? [], entry, nowMs), entry];
    const value = { backend_id: backendId, buyer_id: buyerId, revoked };
    const written =
      kept === undefined ? await buyerRights.create(id, value) : await buyerRights.update(id, value, kept.revision);
    if (written.kind === "written") return viewOf(value, entry);
  }
  throw new OutcryError("dependency_unavailable", "The buyer's rights are being changed by others without end.");
}

/** Seconds since the epoch that a token of this buyer may carry at the earliest. */
export async function issuedFrom(book: AccessBook, backendId: string, buyerId: string): Promise<number> {
  const id = recordId(backendId, buyerId);
  const kept = await book.buyerRights.read(id).catch((error: unknown) => {
    if (!isTemporary(error)) throw error;
    return book.buyerRights.get(id); // what is missing there makes the token void, never too good
  });
  return latest(kept?.value.revoked ?? []) + 1;
}

/** Newest first. */
export function listRevocations(
  { buyerRights }: AccessBook,
  { backendId, buyerId }: { backendId?: string | undefined; buyerId?: string | undefined },
): BuyerRevocationView[] {
  return [...buyerRights.all()]
    .map(([, { value }]) => value)
    .filter(({ backend_id }) => backendId === undefined || backend_id === backendId)
    .filter(({ buyer_id }) => buyerId === undefined || buyer_id === buyerId)
    .flatMap((record) => record.revoked.map((entry) => viewOf(record, entry)))
    .sort((one, other) => (one.id < other.id ? 1 : -1));
}

/** Deletes what is kept no longer, now and every hour. Returns the way to stop. */
export function keepSweepingRights(book: AccessBook, log: Log): () => void {
  const sweep = (): void => {
    removeOld(book, [...book.buyerRights.all()], KEPT_MS, Infinity).catch((error: unknown) =>
      log.warn({ error: String(error) }, "old revocations are not deleted yet"),
    );
  };
  sweep();
  const timer = setInterval(sweep, SWEEP_EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function entryOf({ channel, reason, by }: Revocation, former: readonly Entry[], nowMs: number): Entry {
  const nowS = Math.floor(nowMs / 1_000);
  // A token that was made behind the last revocation is dated ahead of now: this one covers it, too.
  const until = Math.max(nowS + CLOCKS_APART_S, latest(former) + 1);
  if (until > nowS + AHEAD_MAX_S)
    throw new OutcryError("rate_limited", "This buyer's rights were revoked too often within some seconds.", {
      retryAfterMs: (until - nowS - CLOCKS_APART_S) * 1_000,
    });
  const id = newId("rvk", { now: () => nowMs });
  return { id, ...(channel === undefined ? {} : { channel }), at: toRfc3339(nowMs), until, by, reason };
}

/** What stays beside it: the newest of each channel, as many as the record may hold. */
function others(former: readonly Entry[], { channel }: Entry, nowMs: number): Entry[] {
  const kept = former.filter((entry) => entry.channel !== channel && !isOlder(entry, nowMs, KEPT_MS));
  const over = kept.length + 1 - LIMITS.revocationsPerBuyerMax;
  if (over <= 0) return kept;
  const old = kept.filter((entry) => isOlder(entry, nowMs, LIVING_MS)).slice(0, over);
  if (old.length < over)
    throw new OutcryError("rate_limited", "Too many channels of this buyer are revoked: revoke without a channel.", {
      retryAfterMs: LIVING_MS,
    });
  return kept.filter((entry) => !old.includes(entry));
}

/** One backend must not fill the bucket that keys are in. */
async function makeRoom(book: AccessBook, backendId: string): Promise<void> {
  const own = [...book.buyerRights.all()].filter(([, { value }]) => value.backend_id === backendId);
  if (own.length < LIMITS.revocationsPerBackendMax) return;
  if ((await removeOld(book, own, LIVING_MS, AT_ONCE)) === 0)
    throw new OutcryError(
      "rate_limited",
      `Rights of ${LIMITS.revocationsPerBackendMax} buyers were revoked within minutes.`,
      { retryAfterMs: LIVING_MS },
    );
}

async function removeOld(
  { buyerRights, clock }: AccessBook,
  records: readonly [string, { value: StoredBuyerRights; revision: number }][],
  ageMs: number,
  countMax: number,
): Promise<number> {
  const nowMs = clock.now();
  const old = records
    .filter(([, { value }]) => value.revoked.every((entry) => isOlder(entry, nowMs, ageMs)))
    .slice(0, countMax);
  for (let at = 0; at < old.length; at += AT_ONCE)
    await Promise.all(old.slice(at, at + AT_ONCE).map(([id, { revision }]) => buyerRights.delete(id, revision)));
  return old.length;
}

const latest = (entries: readonly Entry[]): number => Math.max(0, ...entries.map(({ until }) => until));

const isOlder = ({ at }: Entry, nowMs: number, ageMs: number): boolean => (parseRfc3339(at) ?? 0) < nowMs - ageMs;

function viewOf({ backend_id, buyer_id }: StoredBuyerRights, entry: Entry): BuyerRevocationView {
  const { until: _hidden, ...shown } = entry;
  return { backend_id, buyer_id, ...shown };
}
