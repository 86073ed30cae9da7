// Positions as Centrifugo's clients hold them: an epoch and a number. The client needs 0 < offset ≤ 2^53, neither dense nor growing
// (measured), so the stream's sequence goes through a keyed permutation of 52 bits: a raw one would tell a marketplace's volume.

import { createCipheriv } from "node:crypto";
import type { CursorKey, Cursors, CursorScope, Position, ReadCursor } from "../channels/cursor.js";

const HALF_BITS = 26;
const HALF_MASK = 2 ** HALF_BITS - 1;
const ROUNDS = 4; // of a Feistel network: four make a permutation that cannot be told from a random one (Luby and Rackoff 1988)
const BLOCK_BYTES = 16;
const TEXT = /^([A-Za-z0-9_-])([0-9a-f]{6}):([0-9]{1,16})$/;

/** Cursors are `<epoch>:<offset>`; the epoch is the key's id and the stream epoch's tag. */
export class OffsetCursors implements Cursors {
  readonly #current: Permutation;
  readonly #keys: ReadonlyMap<string, Permutation>;

  /** The first key writes, all of them read, as for other cursors. */
  constructor(keys: readonly CursorKey[]) {
    const permutations = keys.map((key) => new Permutation(key));
    this.#keys = new Map(permutations.map((permutation) => [permutation.id, permutation]));
    this.#current = permutations[0]!;
  }

  write(scope: CursorScope, { seq }: Position): string {
    return `${this.#current.id}${hex(scope.epochTag)}:${this.#current.encode(scope, seq)}`;
  }

  writeAll(scope: CursorScope, positions: readonly Position[]): string[] {
    return positions.map((position) => this.write(scope, position));
  }

  /**
   * Never invalid: what is not from here is a foreign epoch to this protocol. Nothing proves an offset genuine either: a forged one is
   * some position of the same channel, or one ahead of the stream.
   */
  read(scope: CursorScope, text: string): ReadCursor {
    const [, id = "", epoch, offset] = TEXT.exec(text) ?? [];
    const key = this.#keys.get(id);
    if (key === undefined || epoch !== hex(scope.epochTag)) return { kind: "other_epoch" };
    const seq = key.decode(scope, Number(offset));
    return seq === undefined ? { kind: "other_epoch" } : { kind: "ok", position: { seq, time: 0 } };
  }
}

/** What the client sends back, and what the wire carries apart. */
export function splitOffset(cursor: string): { epoch: string; offset: number } {
  const at = cursor.indexOf(":");
  return { epoch: cursor.slice(0, at), offset: Number(cursor.slice(at + 1)) };
}

const hex = (epochTag: number): string => epochTag.toString(16).padStart(6, "0");

class Permutation {
  readonly id: string;
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  readonly #encrypt: (block: Uint8Array) => Buffer;

  constructor({ id, secret }: CursorKey) {
    this.id = id;
    const cipher = createCipheriv("aes-128-ecb", secret, null); // no state between blocks: one object serves for ever
    cipher.setAutoPadding(false);
    this.#encrypt = (block) => cipher.update(block);
    this.#block.write("offset", 0); // no cursor begins so: their blocks are apart
  }

  encode(scope: CursorScope, seq: number): number {
    let left = Math.floor(seq / 2 ** HALF_BITS);
    let right = seq % 2 ** HALF_BITS;
    for (let round = 0; round < ROUNDS; round++) [left, right] = [right, left ^ this.#mix(scope, round, right)];
    return left * 2 ** HALF_BITS + right + 1;
  }

  /** Undefined where no sequence has that offset. */
  decode(scope: CursorScope, offset: number): number | undefined {
    if (!Number.isSafeInteger(offset) || offset < 1 || offset > 2 ** (2 * HALF_BITS)) return undefined;
    let left = Math.floor((offset - 1) / 2 ** HALF_BITS);
    let right = (offset - 1) % 2 ** HALF_BITS;
    for (let round = ROUNDS - 1; round >= 0; round--) [left, right] = [right ^ this.#mix(scope, round, left), left];
    return left * 2 ** HALF_BITS + right;
  }

  #mix({ epochTag, channelTag }: CursorScope, round: number, half: number): number {
    const block = this.#block;
    block[6] = round;
    block.writeUIntBE(epochTag, 7, 3);
    block.writeUInt16BE(channelTag, 10);
    block.writeUInt32BE(half, 12);
    return this.#encrypt(block).readUInt32BE(0) & HALF_MASK;
  }
}
