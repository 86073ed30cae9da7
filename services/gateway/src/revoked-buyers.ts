// Which buyers' rights were taken back, and until when: records of KV `access` that the broadcast service writes (buyer-rights.ts there).
// Only what a living token can concern is kept.

import { type Clock, LIMITS, parseRfc3339, Timestamp } from "@outcry/protocol";
import Type, { type Static } from "typebox";

export const BuyerRecord = Type.Object({
  backend_id: Type.String(),
  buyer_id: Type.String(),
  revoked: Type.Array(
    Type.Object({
      /** Absent: everything. */
      channel: Type.Optional(Type.String()),
      at: Timestamp,
      /** Seconds since the epoch, as tokens are dated: those issued until then are void for it. */
      until: Type.Integer(),
    }),
  ),
});
export type BuyerRecord = Static<typeof BuyerRecord>;

/** A token may be dated ahead as far as clocks may differ. */
const KEPT_MS = LIMITS.buyerTokenMs + LIMITS.clockSkewMs;
const SWEEP_EVERY = 1_000; // records taken between two looks for old ones

export interface Buyer {
  readonly backendId: string;
  readonly buyerId: string;
  /** Epoch ms, of its token. */
  readonly issuedAt: number;
}

interface Standing {
  /** Epoch ms until which every token is void. */
  all: number;
  channels: Map<string, number>;
}

export class RevokedBuyers {
  readonly #clock: Clock;
  readonly #buyers = new Map<string, Standing>();
  #taken = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#buyers.size;
  }

  /** The whole record of one buyer, as it is now. */
  take({ backend_id, buyer_id, revoked }: BuyerRecord): void {
    const key = keyOf(backend_id, buyer_id);
    const standing: Standing = { all: 0, channels: new Map() };
    for (const { channel, until, at } of revoked) {
      if (this.#isOld(parseRfc3339(at) ?? 0, until * 1_000)) continue;
      if (channel === undefined) standing.all = until * 1_000;
      else standing.channels.set(channel, until * 1_000);
    }
    if (standing.all === 0 && standing.channels.size === 0) this.#buyers.delete(key);
    else this.#buyers.set(key, standing);
    if (++this.#taken % SWEEP_EVERY === 0) this.#sweep();
  }

  /** Whether its token is void: for everything, or for the channel if one is named. */
  isRevoked({ backendId, buyerId, issuedAt }: Buyer, channel?: string): boolean {
    const standing = this.#buyers.get(keyOf(backendId, buyerId));
    if (standing === undefined) return false;
    return issuedAt <= standing.all || (channel !== undefined && issuedAt <= (standing.channels.get(channel) ?? 0));
  }

  #isOld(...times: number[]): boolean {
    return Math.max(...times) < this.#clock.now() - KEPT_MS;
  }

  #sweep(): void {
    for (const [key, { all, channels }] of this.#buyers)
      if (this.#isOld(all, ...channels.values())) this.#buyers.delete(key);
  }
}

const keyOf = (backendId: string, buyerId: string): string => `${backendId}\n${buyerId}`;
