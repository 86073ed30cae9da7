// 1 framing, 2 pings and pongs, 3 reserved bits, 4 opcodes.

import { command, echo, PING, type Rfc6455Case } from "./case.fixture.js";
import { chopped, frame, type FrameOptions, OP } from "./frames.fixture.js";

const LENGTHS = [125, 126, 127, 128, 65_535, 65_536];
const NOT_TEXT = Buffer.from([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff]);

const text = (bytes: number) => frame(OP.text, command("e", bytes));
const binary = (bytes: number) => frame(OP.binary, Buffer.alloc(bytes, 0xfe));
const numbered = (first: number, rows: Omit<Rfc6455Case, "id">[], group: string): Rfc6455Case[] =>
  rows.map((row, at) => ({ id: `${group}.${first + at}`, ...row }));

export const FRAMING: readonly Rfc6455Case[] = [
  { id: "1.1.1", what: "an empty text", clause: "§5.6", write: [frame(OP.text)] },
  ...numbered(
    2,
    LENGTHS.map((bytes) => ({ what: `a text of ${bytes} bytes`, clause: "§5.2", write: [text(bytes)], echoes: ["e"] })),
    "1.1",
  ),
  {
    id: "1.1.8",
    what: "a text of 65536 bytes in chops of 997",
    clause: "§5.2",
    write: chopped(text(65_536), 997),
    echoes: ["e"],
  },
  // Binary messages are well-formed and not of our protocol.
  ...numbered(
    1,
    [0, ...LENGTHS].map((bytes) => ({
      what: `${bytes} binary bytes`,
      clause: "gw 3.7",
      write: [binary(bytes)],
      close: 4501,
    })),
    "1.2",
  ),
  {
    id: "1.2.8",
    what: "65536 binary bytes in chops of 997",
    clause: "gw 3.7",
    write: chopped(binary(65_536), 997),
    close: 4501,
  },
  ...([OP.text, OP.binary, OP.ping, OP.close] as const).map((opcode) => ({
    id: `x.unmasked.${opcode}`,
    what: `an unmasked frame of opcode ${opcode}`,
    clause: "§5.1",
    write: [frame(opcode, opcode === OP.close ? Buffer.of(3, 232) : "{}", { masked: false }), PING],
    close: 1002,
  })),
  {
    id: "x.mask.0",
    what: "a mask of four zeros",
    clause: "§5.3",
    write: [Buffer.concat([Buffer.of(0x81, 0x80 | command("e").length, 0, 0, 0, 0), Buffer.from(command("e"))])],
    echoes: ["e"],
  },
  ...([16, 64] as const).map((lengthIn) => ({
    id: `x.length.${lengthIn}`,
    what: `a short length in ${lengthIn} bits: the sender's fault, and harmless`,
    clause: "§5.2",
    write: [frame(OP.text, command("e"), { lengthIn })],
    echoes: ["e"],
  })),
];

const ping = (payload: string | Uint8Array, options?: FrameOptions) => frame(OP.ping, payload, options);
const full = Buffer.alloc(125, 0xfe);
const ten = Array.from({ length: 10 }, (_, at) => Buffer.from(`payload-${at}`));

export const PINGS: readonly Rfc6455Case[] = numbered(
  1,
  [
    { what: "a ping without payload", clause: "§5.5.2", write: [ping("")], pongs: [Buffer.alloc(0)] },
    { what: "a ping with a text", clause: "§5.5.3", write: [ping("Hello")], pongs: [Buffer.from("Hello")] },
    { what: "a ping with bytes that are no text", clause: "§5.5.3", write: [ping(NOT_TEXT)], pongs: [NOT_TEXT] },
    { what: "a ping with 125 bytes", clause: "§5.5", write: [ping(full)], pongs: [full] },
    { what: "a ping with 126 bytes", clause: "§5.5", write: [ping(Buffer.alloc(126, 0xfe))], close: 1002 },
    { what: "a ping with 125 bytes, byte by byte", clause: "§5.5", write: chopped(ping(full), 1), pongs: [full] },
    { what: "a pong that nobody asked for", clause: "§5.5.3", write: [frame(OP.pong)] },
    { what: "the same with a payload", clause: "§5.5.3", write: [frame(OP.pong, "unasked")] },
    {
      what: "such a pong, then a ping",
      clause: "§5.5.3",
      write: [frame(OP.pong, "unasked"), ping("asked")],
      pongs: [Buffer.from("asked")],
    },
    { what: "ten pings", clause: "§5.5.3", write: ten.map((payload) => ping(payload)), pongs: ten },
    {
      what: "ten pings, byte by byte",
      clause: "§5.5.3",
      write: ten.flatMap((payload) => chopped(ping(payload), 1)),
      pongs: ten,
    },
  ],
  "2",
).concat({
  id: "x.pong.126",
  what: "a pong with 126 bytes",
  clause: "§5.5",
  write: [frame(OP.pong, Buffer.alloc(126))],
  close: 1002,
});

const reserved = (what: string, write: Buffer[], echoes: string[] = []): Omit<Rfc6455Case, "id"> => ({
  what,
  clause: "§5.2",
  write,
  echoes,
  close: 1002,
});
const withRsv = (rsv: number) => frame(OP.text, command("never"), { rsv });
const bytewise = (...frames: Buffer[]) => frames.flatMap((each) => chopped(each, 1));

export const RESERVED_BITS: readonly Rfc6455Case[] = numbered(
  1,
  [
    reserved("RSV 1 on a text", [withRsv(1)]),
    reserved("RSV 2 behind a good text, in one write", [Buffer.concat([echo("good"), withRsv(2), PING])], ["good"]),
    reserved("RSV 3 behind a good text, a write per frame", [echo("good"), withRsv(3), PING], ["good"]),
    reserved("RSV 4 behind a good text, byte by byte", bytewise(echo("good"), withRsv(4), PING), ["good"]),
    reserved("RSV 5 on a binary", [frame(OP.binary, NOT_TEXT, { rsv: 5 })]),
    reserved("RSV 6 on a ping", [ping("Hello", { rsv: 6 })]),
    reserved("RSV 7 on a close", [frame(OP.close, "", { rsv: 7 })]),
  ],
  "3",
);

const opcodes = (first: number, group: string): Rfc6455Case[] => {
  const at = (offset: number, payload: string) => frame(first + offset, payload);
  const what = (offset: number, rest: string) => `opcode ${first + offset} ${rest}`;
  return numbered(
    1,
    [
      reserved(what(0, "without payload"), [at(0, "")]),
      reserved(what(1, "with a payload"), [at(1, "reserved")]),
      reserved(what(2, "behind a good text"), [Buffer.concat([echo("good"), at(2, ""), PING])], ["good"]),
      reserved(what(3, "with a payload behind a good text"), [echo("good"), at(3, "reserved"), PING], ["good"]),
      reserved(what(4, "byte by byte behind a good text"), bytewise(echo("good"), at(4, "reserved"), PING), ["good"]),
    ],
    group,
  );
};

export const OPCODES: readonly Rfc6455Case[] = [...opcodes(3, "4.1"), ...opcodes(11, "4.2")];
