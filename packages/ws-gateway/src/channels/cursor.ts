// A position in the stream as clients hold it: one AES-128-ECB block, so it is opaque (a raw sequence leaks a marketplace's
// volume), deterministic (equal positions are equal texts) and bound to the channel and the stream's epoch.

import { createCipheriv, createDecipheriv, createHash } from "node:crypto";

export interface Position {
  /** Everything up to here was seen; 0 = the beginning. */
  readonly seq: number;
  /** Of that event, epoch ms; kept in whole seconds. */
  readonly time: number;
}

export interface CursorKey {
  /** One base64url character, the last one of each cursor made with it. */
  readonly id: string;
  /** 16 bytes. */
  readonly secret: Uint8Array;
}

export type ReadCursor = { kind: "ok"; position: Position } | { kind: "other_epoch" } | { kind: "invalid" };

/** The channel's 16 bits and the epoch's 24, computed once per subscription group. */
export interface CursorScope {
  readonly channelTag: number;
  readonly epochTag: number;
}

const MAGIC = 0xc7; // one of 256 forgeries passes this; the channel's tag leaves one of 16 million
const FORM = /^[A-Za-z0-9_-]{23}$/;
const BLOCK_BYTES = 16;
const TWO_32 = 2 ** 32;

type Transform = (block: Uint8Array) => Buffer;

/** Positions as the clients of one wire protocol hold them. */
export interface Cursors {
  write(scope: CursorScope, position: Position): string;
  /** Of a whole page at once, which costs a third of one by one. */
  writeAll(scope: CursorScope, positions: readonly Position[]): string[];
  read(scope: CursorScope, text: string): ReadCursor;
}

export class CursorCodec implements Cursors {
  readonly #current: { id: string; encrypt: Transform };
  readonly #decrypt = new Map<string, { encrypt: Transform; decrypt: Transform }>();
  readonly #block = Buffer.alloc(BLOCK_BYTES);

  /** The first key makes cursors, all of them read them: rotation keeps the last one for as long as clients are away. */
  constructor(keys: readonly CursorKey[]) {
    for (const { id, secret } of keys) {
      if (!/^[A-Za-z0-9_-]$/.test(id) || secret.length !== BLOCK_BYTES)
        throw new TypeError("cursor key: id is one base64url character, secret 16 bytes");
      if (this.#decrypt.has(id)) throw new TypeError(`cursor key ${id} is there twice`);
      this.#decrypt.set(id, {
        encrypt: transform(createCipheriv("aes-128-ecb", secret, null)),
        decrypt: transform(createDecipheriv("aes-128-ecb", secret, null)),
      });
    }
    const first = keys[0];
    if (first === undefined) throw new TypeError("cursor keys: at least one is needed");
    this.#current = { id: first.id, encrypt: this.#decrypt.get(first.id)!.encrypt };
  }

  write(scope: CursorScope, position: Position): string {
    fill(this.#block, 0, scope, position);
    return this.#current.encrypt(this.#block).toString("base64url") + this.#current.id;
  }

  writeAll(scope: CursorScope, positions: readonly Position[]): string[] {
    const blocks = Buffer.allocUnsafe(positions.length * BLOCK_BYTES);
    for (const [index, position] of positions.entries()) fill(blocks, index * BLOCK_BYTES, scope, position);
    const sealed = this.#current.encrypt(blocks);
    return positions.map((_, index) => {
      const at = index * BLOCK_BYTES;
      return sealed.toString("base64url", at, at + BLOCK_BYTES) + this.#current.id;
    });
  }

  read({ epochTag, channelTag }: CursorScope, text: string): ReadCursor {
    const key = FORM.test(text) ? this.#decrypt.get(text[22]!) : undefined;
    if (key === undefined) return { kind: "invalid" };
    const sealed = Buffer.from(text.slice(0, 22), "base64url");
    const exact = sealed.toString("base64url") === text.slice(0, 22); // four bits of the last character are spare
    const block = key.decrypt(sealed);
    if (!exact || block[0] !== MAGIC || block.readUInt16BE(4) !== channelTag) return { kind: "invalid" };
    if (block.readUIntBE(1, 3) !== epochTag) return { kind: "other_epoch" };
    return { kind: "ok", position: { seq: block.readUIntBE(6, 6), time: block.readUInt32BE(12) * 1_000 } };
  }
}

function fill(blocks: Buffer, at: number, { epochTag, channelTag }: CursorScope, { seq, time }: Position): void {
  blocks[at] = MAGIC;
  blocks.writeUIntBE(epochTag, at + 1, 3);
  blocks.writeUInt16BE(channelTag, at + 4);
  blocks.writeUIntBE(seq, at + 6, 6);
  blocks.writeUInt32BE(Math.floor(time / 1_000) % TWO_32, at + 12);
}

/** `channelKey` is the channel's identity over all principals: two backends' `buyer:42` are two. */
export function cursorScope(channelKey: string, epoch: string): CursorScope {
  return { channelTag: hash("channel", channelKey).readUInt16BE(0), epochTag: hash("epoch", epoch).readUIntBE(0, 3) };
}

const hash = (what: string, text: string): Buffer => createHash("sha256").update(`outcry ${what}\0${text}`).digest();

/** ECB has no state between blocks, so one cipher object serves for ever; making one costs five times a block. */
function transform(cipher: { setAutoPadding(on: boolean): unknown; update(block: Uint8Array): Buffer }): Transform {
  cipher.setAutoPadding(false);
  return (block) => cipher.update(block);
}
