// 6 UTF-8: Markus Kuhn's classes of sequences, whole and in fragments of one byte.

import { command, PING, type Rfc6455Case } from "./case.fixture.js";
import { fragmented, frame, OP } from "./frames.fixture.js";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const KOSME = "ceba e1bdb9 cf83 cebc ceb5";
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);
const lonely = (from: number, to: number) =>
  range(from, to)
    .map((byte) => `${byte.toString(16)}20`)
    .join("");
const MISSING = ["c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"];
const NON_CHARACTERS = range(0, 16).flatMap((plane) =>
  [0xfffe, 0xffff].map((low) => Buffer.from(String.fromCodePoint(plane * 0x1_0000 + low)).toString("hex")),
);

/** Class → sequences. In the order of the suite's groups 6.5 to 6.23. */
const CLASSES: readonly (readonly [group: string, what: string, isValid: boolean, sequences: readonly string[]])[] = [
  ["6.5", "one to four bytes", true, ["24", "c2a2", "e282ac", "f0a4ada2", KOSME]],
  [
    "6.6",
    "a prefix that ends within a character",
    false,
    ["ce", "ceba e1", "ceba e1bd", `${KOSME.slice(0, 12)} cf`, `${KOSME.slice(0, 17)} ce`],
  ],
  ["6.7", "the first of each length", true, ["c280", "e0a080", "f0908080"]],
  ["6.8", "the first of five and six bytes", false, ["f888808080", "fc8480808080"]],
  ["6.9", "the last of each length", true, ["7f", "dfbf", "efbfbf", "f48fbfbf"]],
  ["6.10", "the last of four, five and six bytes", false, ["f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"]],
  ["6.11", "a boundary", true, ["ed9fbf", "ee8080", "efbfbd", "f48fbfbf"]],
  ["6.11", "beyond the last code point", false, ["f4908080"]],
  [
    "6.12",
    "an unexpected continuation",
    false,
    [
      "80",
      "bf",
      "80bf",
      "80bf80",
      "80bf80bf",
      "80bf80bf80",
      "80bf80bf80bf",
      range(0x80, 0xbe)
        .map((byte) => byte.toString(16))
        .join(""),
    ],
  ],
  [
    "6.13",
    "lonely first bytes",
    false,
    [lonely(0xc0, 0xdf), lonely(0xe0, 0xef), lonely(0xf0, 0xf7), lonely(0xf8, 0xfb), lonely(0xfc, 0xfd)],
  ],
  ["6.14", "the last continuation missing", false, MISSING],
  ["6.15", "incomplete sequences in a row", false, [MISSING.join("")]],
  ["6.16", "an impossible byte", false, ["fe", "ff", "fefeffff"]],
  ["6.17", "an overlong slash", false, ["c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"]],
  ["6.18", "the longest overlong", false, ["c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"]],
  ["6.19", "an overlong NUL", false, ["c080", "e08080", "f0808080", "f880808080", "fc8080808080"]],
  ["6.20", "a single surrogate", false, ["eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"]],
  [
    "6.21",
    "a pair of surrogates",
    false,
    [
      "eda080edb080",
      "eda080edbfbf",
      "edadbfedb080",
      "edadbfedbfbf",
      "edae80edb080",
      "edae80edbfbf",
      "edafbfedb080",
      "edafbfedbfbf",
    ],
  ],
  ["6.22", "a non-character", true, NON_CHARACTERS],
  ["6.23", "a special", true, ["efbfb9", "efbfba", "efbfbb", "efbfbc", "efbfbd", "efbfbe", "efbfbf"]],
];

const invalid = { clause: "§8.1", close: 1007 } as const;
const BROKEN = [hex(KOSME), hex("f4908080"), Buffer.from("edited")] as const;
const part = (at: number, payload: Uint8Array) =>
  frame(at === 0 ? OP.text : OP.continuation, payload, { fin: at === 2 });

function* sequences(): Generator<Rfc6455Case> {
  const counted = new Map<string, number>();
  for (const [group, what, isValid, texts] of CLASSES) {
    for (const text of texts) {
      const count = (counted.get(group) ?? 0) + 1;
      counted.set(group, count);
      const bytes = hex(text);
      const payload = isValid ? Buffer.from(command(bytes.toString())) : bytes;
      const outcome = isValid ? { clause: "§5.6", echoes: [bytes.toString()] } : invalid;
      const name = `${what}: ${bytes.toString("hex")}`;
      yield { id: `${group}.${count}`, what: name, write: [frame(OP.text, payload)], ...outcome };
      const write = fragmented(OP.text, payload, 1);
      yield { id: `${group}.${count}f`, what: `${name}, in fragments of one byte`, write, ...outcome };
    }
  }
}

const HELLO = "Hello-µ@ßöäüàá-UTF-8!!";
const hello = { clause: "§5.6", echoes: [HELLO] } as const;
const inTwo = Buffer.from(command(HELLO));
const boundary = inTwo.indexOf(Buffer.from("ü"));

export const UTF8: readonly Rfc6455Case[] = [
  { id: "6.1.1", what: "an empty text", clause: "§5.6", write: [frame(OP.text)] },
  {
    id: "6.1.2",
    what: "three empty fragments",
    clause: "§5.4",
    write: [0, 1, 2].map((at) => part(at, Buffer.alloc(0))),
  },
  {
    id: "6.1.3",
    what: "a text between two empty fragments",
    clause: "§5.4",
    write: ["", command("middle"), ""].map((text, at) => part(at, Buffer.from(text))),
    echoes: ["middle"],
  },
  { id: "6.2.1", what: "a valid text", write: [frame(OP.text, inTwo)], ...hello },
  {
    id: "6.2.2",
    what: "a valid text in two fragments, between characters",
    write: [
      frame(OP.text, inTwo.subarray(0, boundary), { fin: false }),
      frame(OP.continuation, inTwo.subarray(boundary)),
    ],
    ...hello,
  },
  { id: "6.2.3", what: "a valid text in fragments of one byte", write: fragmented(OP.text, inTwo, 1), ...hello },
  {
    id: "6.2.4",
    what: "Greek in fragments of one byte",
    clause: "§5.6",
    write: fragmented(OP.text, command("κόσμε"), 1),
    echoes: ["κόσμε"],
  },
  {
    id: "6.3.1",
    what: "an invalid text",
    write: [frame(OP.text, Buffer.concat([hex(KOSME), hex("eda080"), Buffer.from("edited")])), PING],
    ...invalid,
  },
  {
    id: "6.3.2",
    what: "an invalid text in fragments of one byte",
    write: fragmented(OP.text, Buffer.concat([hex(KOSME), hex("eda080"), Buffer.from("edited")]), 1),
    ...invalid,
  },
  // §8.1 asks for failing, not for how early: told at the end of the message, which 64 KiB bound.
  {
    id: "6.4.1",
    what: "invalid in the second of three fragments",
    write: BROKEN.map((text, at) => part(at, text)),
    ...invalid,
  },
  {
    id: "6.4.2",
    what: "invalid by one byte in the second of three fragments",
    write: [Buffer.concat([BROKEN[0], hex("f4")]), hex("90"), Buffer.concat([hex("8080"), BROKEN[2]])].map((text, at) =>
      part(at, text),
    ),
    ...invalid,
  },
  {
    id: "6.4.3",
    what: "as 6.4.1 in one frame, a write per part",
    write: inWrites(frame(OP.text, Buffer.concat(BROKEN)), [17, 4]),
    ...invalid,
  },
  {
    id: "6.4.4",
    what: "as 6.4.2 in one frame, a write per part",
    write: inWrites(frame(OP.text, Buffer.concat(BROKEN)), [18, 1]),
    ...invalid,
  },
  ...sequences(),
  {
    id: "6.7.0",
    what: "NUL: valid UTF-8, and no JSON",
    clause: "gw 3.7",
    write: [frame(OP.text, Buffer.of(0))],
    close: 4501,
  },
];

function inWrites(bytes: Buffer, [firstBytes, secondBytes]: readonly [number, number]): Buffer[] {
  const cut = firstBytes + secondBytes;
  return [bytes.subarray(0, firstBytes), bytes.subarray(firstBytes, cut), bytes.subarray(cut)];
}
