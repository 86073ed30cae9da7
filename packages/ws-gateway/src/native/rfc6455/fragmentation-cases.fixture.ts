// 5 fragmentation, and 9 limits, brought to our 64 KiB a message.

import { command, echo, PING, type Rfc6455Case } from "./case.fixture.js";
import { chopped, closeFrame, fragmented, frame, OP } from "./frames.fixture.js";

const MESSAGE = command("whole");
const first = frame(OP.text, MESSAGE.slice(0, 9), { fin: false });
const last = frame(OP.continuation, MESSAGE.slice(9));
const between = frame(OP.ping, "between");
const orphan = (fin: boolean) => frame(OP.continuation, "nothing to continue", { fin });

const joined = (...frames: Buffer[]) => [Buffer.concat(frames)];
const apart = (...frames: Buffer[]) => frames;
const bytewise = (...frames: Buffer[]) => frames.flatMap((each) => chopped(each, 1));
const WAYS = [
  ["in one write", joined],
  ["a write per frame", apart],
  ["byte by byte", bytewise],
] as const;

/** The same frames in the three ways, numbered from `from`. */
const inEachWay = (
  from: number,
  what: string,
  frames: Buffer[],
  outcome: Pick<Rfc6455Case, "clause" | "echoes" | "pongs" | "close">,
): Rfc6455Case[] =>
  WAYS.map(([way, write], at) => ({
    id: `5.${from + at}`,
    what: `${what}, ${way}`,
    write: write(...frames),
    ...outcome,
  }));

const parts = fragmented(OP.text, MESSAGE, 6);
const withPings = [
  ...parts.slice(0, 2),
  frame(OP.ping, "one"),
  ...parts.slice(2, 4),
  frame(OP.ping, "two"),
  ...parts.slice(4),
];
const bothPongs = [Buffer.from("one"), Buffer.from("two")];
const failed = { clause: "§5.4", close: 1002 } as const;
const taken = { clause: "§5.4", echoes: ["whole"] } as const;
const pinged = { ...taken, pongs: [Buffer.from("between")] };

export const FRAGMENTATION: readonly Rfc6455Case[] = [
  {
    id: "5.1",
    what: "a ping in two fragments",
    write: [frame(OP.ping, "a", { fin: false }), orphan(true)],
    clause: "§5.5",
    close: 1002,
  },
  {
    id: "5.2",
    what: "a pong in two fragments",
    write: [frame(OP.pong, "a", { fin: false }), orphan(true)],
    clause: "§5.5",
    close: 1002,
  },
  ...inEachWay(3, "a text in two fragments", [first, last], taken),
  ...inEachWay(6, "a ping between two fragments", [first, between, last], pinged),
  ...inEachWay(9, "a last fragment of nothing, then a text", [orphan(true), echo("never")], failed),
  ...inEachWay(12, "a middle fragment of nothing, then a text", [orphan(false), echo("never")], failed),
  {
    id: "5.15",
    what: "a text in two fragments, then a fragment of nothing",
    write: joined(first, last, orphan(false), echo("never")),
    ...failed,
    echoes: ["whole"],
  },
  {
    id: "5.16",
    what: "a middle fragment of nothing before each text",
    write: [orphan(false), first, last, orphan(false), first, last],
    ...failed,
  },
  {
    id: "5.17",
    what: "a last fragment of nothing before each text",
    write: [orphan(true), first, last, orphan(true), first, last],
    ...failed,
  },
  { id: "5.18", what: "both fragments as texts", write: joined(first, frame(OP.text, MESSAGE.slice(9))), ...failed },
  {
    id: "5.19",
    what: "pings between many fragments, in one write",
    write: joined(...withPings),
    ...taken,
    pongs: bothPongs,
  },
  { id: "5.20", what: "pings between many fragments, a write per frame", write: withPings, ...taken, pongs: bothPongs },
  {
    id: "x.close.fragmented",
    what: "a close in two fragments",
    write: [closeFrame(1000, "", { fin: false }), orphan(true)],
    clause: "§5.5",
    close: 1002,
  },
  {
    id: "x.binary.between",
    what: "a binary between two fragments of a text",
    write: [first, frame(OP.binary, "a")],
    ...failed,
  },
];

const KIB = 1024;
const tooLarge = { clause: "gw 1.5", close: 1009 } as const;
const whole = (bytes: number) => command("whole", bytes);
/** Only the header: what has been refused by it need not come. */
const announced = (opcode: number, bytes: bigint) => frame(opcode, "", { announcedBytes: bytes, lengthIn: 64 });

export const LIMITS: readonly Rfc6455Case[] = [
  { id: "9.1.1", what: "a text of 64 KiB", write: [frame(OP.text, whole(64 * KIB))], ...taken },
  { id: "x.9.1", what: "a text of 64 KiB and a byte", write: [frame(OP.text, whole(64 * KIB + 1)), PING], ...tooLarge },
  ...[256, 1_024, 4_096, 8_192, 16_384].map((kib, at) => ({
    id: `9.1.${at + 2}`,
    what: `a text of ${kib} KiB, refused by its header`,
    write: [announced(OP.text, BigInt(kib * KIB))],
    ...tooLarge,
  })),
  {
    id: "9.2.1",
    what: "64 KiB of binary",
    write: [frame(OP.binary, Buffer.alloc(64 * KIB))],
    clause: "gw 3.7",
    close: 4501,
  },
  ...[256, 1_024, 4_096, 8_192, 16_384].map((kib, at) => ({
    id: `9.2.${at + 2}`,
    what: `${kib} KiB of binary, refused by its header`,
    write: [announced(OP.binary, BigInt(kib * KIB))],
    ...tooLarge,
  })),
  ...[64, 256, 1_024, 4_096, 16_384, 65_536].map((bytes, at) => ({
    id: `9.3.${at + 1}`,
    what: `a text of 64 KiB in fragments of ${bytes}`,
    write: [Buffer.concat(fragmented(OP.text, whole(64 * KIB), bytes))],
    ...taken,
  })),
  ...[64, 256, 1_024, 4_096, 16_384, 65_536].map((bytes, at) => ({
    id: `9.4.${at + 1}`,
    what: `a text of 128 KiB in fragments of ${bytes}: refused where it passes 64`,
    write: fragmented(OP.text, whole(128 * KIB), bytes),
    ...tooLarge,
  })),
  ...[64, 128, 256, 512, 1_024, 2_048].map((bytes, at) => ({
    id: `9.5.${at + 1}`,
    what: `a text of 64 KiB in chops of ${bytes}`,
    write: chopped(frame(OP.text, whole(64 * KIB)), bytes),
    ...taken,
  })),
  ...[0, 64, 256, 1_024, 4_096].map((bytes, at) => ({
    id: `9.7.${at + 1}`,
    what: `200 texts of ${bytes} bytes`,
    write: [Buffer.concat(Array.from({ length: 200 }, () => frame(OP.text, bytes === 0 ? "" : command("e", bytes))))],
    clause: "gw 3.8",
    echoes: bytes === 0 ? [] : Array.from({ length: 200 }, () => "e"),
  })),
  ...[
    ["the top bit of the length set", 2n ** 63n],
    ["every bit of the length set", 2n ** 64n - 1n],
    ["a length beyond what a number holds exactly", 2n ** 53n],
    ["a length of 2^32", 2n ** 32n],
  ].map(([what, bytes]) => ({
    id: `x.length.${bytes}`,
    what: String(what),
    write: [announced(OP.text, bytes as bigint)],
    clause: "§5.2",
    close: 1009,
  })),
];
