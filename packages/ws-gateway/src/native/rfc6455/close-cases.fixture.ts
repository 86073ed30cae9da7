// 7 close handling.

import { command, echo, PING, type Rfc6455Case } from "./case.fixture.js";
import { closeFrame, frame, OP } from "./frames.fixture.js";

const NOT_UTF8 = Buffer.from("cebae1bdb9cf83cebcceb5eda080656469746564", "hex");
const VALID = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
const INVALID = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];

export const CLOSES: readonly Rfc6455Case[] = [
  {
    id: "7.1.1",
    what: "a text, then a close",
    clause: "§5.5.1",
    write: [echo("e"), closeFrame(1000)],
    echoes: ["e"],
    close: 1000,
  },
  {
    id: "7.1.2",
    what: "two closes",
    clause: "§5.5.1",
    write: [Buffer.concat([closeFrame(1000), closeFrame(1000)])],
    close: 1000,
  },
  {
    id: "7.1.3",
    what: "a close, then a ping",
    clause: "§5.5.1",
    write: [Buffer.concat([closeFrame(1000), PING])],
    close: 1000,
  },
  {
    id: "7.1.4",
    what: "a close, then a text",
    clause: "§5.5.1",
    write: [Buffer.concat([closeFrame(1000), echo("never")])],
    close: 1000,
  },
  {
    id: "7.1.5",
    what: "a close between two fragments",
    clause: "§5.5.1",
    write: [
      Buffer.concat([
        frame(OP.text, command("never").slice(0, 9), { fin: false }),
        closeFrame(1000),
        frame(OP.continuation, command("never").slice(9)),
      ]),
    ],
    close: 1000,
  },
  {
    id: "7.1.6",
    what: "64 KiB, a text, a close and a ping in one write",
    clause: "§5.5.1",
    write: [Buffer.concat([frame(OP.text, command("large", 65_536)), echo("small"), closeFrame(1000), PING])],
    echoes: ["large", "small"],
    close: 1000,
  },
  { id: "7.3.1", what: "a close without a code", clause: "§7.1.5", write: [closeFrame()], close: 1005 },
  { id: "7.3.2", what: "a close of one byte", clause: "§5.5.1", write: [frame(OP.close, "a")], close: 1002 },
  { id: "7.3.3", what: "a close with a code", clause: "§5.5.1", write: [closeFrame(1000)], close: 1000 },
  {
    id: "7.3.4",
    what: "a close with a code and a reason",
    clause: "§5.5.1",
    write: [closeFrame(1000, "Hello")],
    close: 1000,
  },
  {
    id: "7.3.5",
    what: "a reason of 123 bytes",
    clause: "§5.5",
    write: [closeFrame(1000, "*".repeat(123))],
    close: 1000,
  },
  {
    id: "7.3.6",
    what: "a reason of 124 bytes",
    clause: "§5.5",
    write: [closeFrame(1000, "*".repeat(124))],
    close: 1002,
  },
  { id: "7.5.1", what: "a reason that is not UTF-8", clause: "§8.1", write: [closeFrame(1000, NOT_UTF8)], close: 1007 },
  ...VALID.map((code, at) => ({
    id: `7.7.${at + 1}`,
    what: `the code ${code}`,
    clause: "§7.4",
    write: [closeFrame(code)],
    close: code,
  })),
  ...INVALID.map((code, at) => ({
    id: `7.9.${at + 1}`,
    what: `the code ${code}`,
    clause: "§7.4",
    write: [closeFrame(code)],
    close: 1002,
  })),
  // "undefined" in the suite; the code is of no range that §7.4.2 knows.
  { id: "7.13.1", what: "the code 5000", clause: "§7.4.2", write: [closeFrame(5_000)], close: 1002 },
  { id: "7.13.2", what: "the code 65535", clause: "§7.4.2", write: [closeFrame(65_535)], close: 1002 },
  {
    id: "x.1015",
    what: "the code 1015, which no frame may hold",
    clause: "§7.4.1",
    write: [closeFrame(1_015)],
    close: 1002,
  },
];
