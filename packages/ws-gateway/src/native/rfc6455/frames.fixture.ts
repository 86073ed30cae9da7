// Frames of RFC 6455 §5.2 by hand, right and wrong: any opcode, reserved bits, mask, length and fragmentation.

import { randomBytes } from "node:crypto";

export const OP = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const;

export interface FrameOptions {
  readonly fin?: boolean;
  /** RSV1 to RSV3 as a number from 0 to 7. */
  readonly rsv?: number;
  readonly masked?: boolean;
  /** What the header says, whatever the payload is. */
  readonly announcedBytes?: bigint;
  /** More bytes for the length than it needs. */
  readonly lengthIn?: 16 | 64;
}

export function frame(opcode: number, payload: string | Uint8Array = "", options: FrameOptions = {}): Buffer {
  const { fin = true, rsv = 0, masked = true } = options;
  const body = Buffer.from(payload as Uint8Array);
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const length = lengthBytes(options.announcedBytes ?? BigInt(body.length), options.lengthIn);
  length[0]! |= masked ? 0x80 : 0;
  if (!masked) return Buffer.concat([Buffer.of(first), length, body]);
  const mask = randomBytes(4);
  for (let at = 0; at < body.length; at++) body[at]! ^= mask[at % 4]!;
  return Buffer.concat([Buffer.of(first), length, mask, body]);
}

function lengthBytes(bytes: bigint, lengthIn?: 16 | 64): Buffer {
  if (lengthIn === undefined && bytes < 126n) return Buffer.of(Number(bytes));
  if (lengthIn === 16 || (lengthIn === undefined && bytes < 65_536n)) {
    return Buffer.of(126, Number(bytes >> 8n), Number(bytes & 0xffn));
  }
  const long = Buffer.alloc(9);
  long[0] = 127;
  long.writeBigUInt64BE(bytes, 1);
  return long;
}

export function closeFrame(code?: number, reason: string | Uint8Array = "", options: FrameOptions = {}): Buffer {
  if (code === undefined) return frame(OP.close, "", options);
  return frame(
    OP.close,
    Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(reason as Uint8Array)]),
    options,
  );
}

/** One message in fragments of so many bytes. */
export function fragmented(opcode: number, payload: string | Uint8Array, fragmentBytes: number): Buffer[] {
  const parts = chopped(Buffer.from(payload as Uint8Array), fragmentBytes);
  return parts.map((part, at) => frame(at === 0 ? opcode : OP.continuation, part, { fin: at === parts.length - 1 }));
}

/** As separate writes of so many bytes. */
export function chopped(bytes: Buffer, chunkBytes: number): Buffer[] {
  const count = Math.max(1, Math.ceil(bytes.length / chunkBytes));
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * chunkBytes, (at + 1) * chunkBytes));
}

export interface ServerFrame {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** Frames of a server; throws where they are not what §5 asks of one. */
export class FrameReader {
  #bytes: Buffer = Buffer.alloc(0);

  read(chunk: Buffer): ServerFrame[] {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const frames: ServerFrame[] = [];
    for (let next = this.#next(); next !== undefined; next = this.#next()) frames.push(next);
    return frames;
  }

  /** Bytes of a frame that has not arrived whole. */
  get rest(): number {
    return this.#bytes.length;
  }

  #next(): ServerFrame | undefined {
    const bytes = this.#bytes;
    if (bytes.length < 2) return undefined;
    const short = bytes[1]!;
    const headerBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < headerBytes) return undefined;
    const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    checkServerFrame(bytes[0]!, short, length);
    if (bytes.length < headerBytes + length) return undefined;
    this.#bytes = bytes.subarray(headerBytes + length);
    return { opcode: bytes[0]! & 0x0f, payload: Buffer.from(bytes.subarray(headerBytes, headerBytes + length)) };
  }
}

/** The server fragments nothing, sets no reserved bit, masks nothing and uses the shortest length (§5.1, §5.2, §5.5). */
function checkServerFrame(first: number, short: number, length: number): void {
  const opcode = first & 0x0f;
  if ((first & 0xf0) !== 0x80) throw new Error(`server frame: first byte ${first.toString(16)}`);
  if ((short & 0x80) !== 0) throw new Error("server frame: masked");
  if (!([OP.text, OP.close, OP.ping, OP.pong] as number[]).includes(opcode))
    throw new Error(`server frame: opcode ${opcode}`);
  if ((short === 126 && length < 126) || (short === 127 && length < 65_536))
    throw new Error("server frame: long length");
  if (opcode >= OP.close && length > 125) throw new Error("server frame: a control frame of more than 125 bytes");
}
