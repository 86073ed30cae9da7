import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { v7, validate, version } from "uuid";
import { TypeID } from "typeid-js";
import {
  derivedId,
  digestOf,
  intentId,
  isFreshId,
  isId,
  newId,
  newNonce,
  newTraceId,
  quoteId,
  receiptId,
  toBase64Url,
  topicToken,
} from "./ids.js";

const backend = "bkd_01h455vb4pex5vsknk084sn02q";
const node = "nod_01h455vb4pex5vsknk084sn02r";
const intent = "int_0t6722rk2chcnrm7wygf55jb54";

const uuidOf = (id: string): string => TypeID.fromString(id).toUUID();
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

// Written down from another implementation (Python's hashlib and integer arithmetic): they hold for ever, in every language.
describe("known answers", () => {
  test.each([
    ["an intent's id", intentId(backend, "order-1"), intent],
    ["a first quote's id", quoteId(intent, node, 0), "quo_7cnk8878cygsbanhvy8h2z4zw5"],
    ["a second quote's id", quoteId(intent, node, 1), "quo_00cw2zq3ffgsca80g0csx9e7km"],
    ["a receipt's id", receiptId(intent, node), "rcp_18vm8yxp35gwjad59c3zaxdqgz"],
    ["an event's id", derivedId("evt", "INTENT_CREATED", intent), "evt_25knm653yhgmw8wrsd92h46bv1"],
    ["an id of one empty part", derivedId("int", ""), "int_73p324567whga9nyzms2cpze94"],
    ["a backend's token", topicToken("backend", backend), "2ca7274960d10c55b4a4"],
    ["a buyer's token", topicToken("buyer", backend, "42"), "6d82c29c384bcec3b8fe"],
    ["the digest of nothing", digestOf(utf8("")), "sha256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"],
    ["the digest of abc", digestOf(utf8("abc")), "sha256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"],
  ])("%s", (_, actual, expected) => {
    expect(actual).toBe(expected);
  });

  test("an intent's id is the UUIDv8 of the caller and its key", () => {
    expect(uuidOf(intent)).toBe("1a31c42c-4c4c-8b2b-8a1f-9e83ca592ca4");
  });
});

describe("derived ids", () => {
  test("carry version 8 and the variant of RFC 9562", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" })), (parts) => {
        const id = derivedId("quo", ...parts);
        expect(isId("quo", id)).toBe(true);
        expect(validate(uuidOf(id))).toBe(true);
        expect(version(uuidOf(id))).toBe(8);
        expect(TypeID.fromUUID("quo", uuidOf(id)).toString()).toBe(id);
      }),
    );
  });

  test("differ as soon as a part moves over a border", () => {
    expect(derivedId("int", "a", "b")).toBe("int_2sp9rtw6xwg79stgcjk0bz9cbf");
    expect(derivedId("int", "ab", "")).toBe("int_4pkjnepdh6g3atjqqfmtqaacr5");
  });

  test("take no part that holds U+0000, which joins them", () => {
    expect(() => derivedId("int", "a\0b")).toThrow(TypeError);
    expect(() => topicToken("buyer", backend, "a\0b")).toThrow(TypeError);
  });
});

describe("fresh ids", () => {
  test("are UUIDv7 of the given clock, so that they sort by time", () => {
    const at = (ms: number) => newId("evt", { now: () => ms });
    const id = at(1_700_000_000_000);
    expect(TypeID.fromUUID("evt", uuidOf(id)).toString()).toBe(id);
    expect(version(uuidOf(id))).toBe(7);
    expect(uuidOf(id).replaceAll("-", "").slice(0, 12)).toBe((1_700_000_000_000).toString(16).padStart(12, "0"));
    expect([at(3), at(1), at(2)].toSorted()).toEqual(
      [at(1), at(2), at(3)].map((one) => expect.stringMatching(one.slice(0, 14))),
    );
  });

  test("never repeat", () => {
    const clock = { now: () => 1_700_000_000_000 };
    expect(new Set(Array.from({ length: 2_000 }, () => newId("req", clock))).size).toBe(2_000);
  });

  test("nonces hold 128 bits", () => {
    expect(newNonce()).toMatch(/^[A-Za-z0-9_-]{22}$/);
  });

  test("trace ids are 32 hex digits and not all zero", () => {
    expect(newTraceId()).toMatch(/^(?=.*[1-9a-f])[0-9a-f]{32}$/);
  });
});

describe("isId", () => {
  test("takes every TypeID of its prefix, and only of its prefix", () => {
    const anyUuid = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(anyUuid, (bytes) => {
        const id = TypeID.fromUUIDBytes("nod", bytes).toString();
        expect(isId("nod", id)).toBe(true);
        expect(isId("int", id)).toBe(false);
      }),
    );
    expect(isId("int", TypeID.fromUUID("int", v7()).toString())).toBe(true);
  });

  test.each([
    ["an upper-case digit", "nod_01H455vb4pex5vsknk084sn02q"],
    ["a letter that base32 leaves out", "nod_01h455vb4pex5vsknk084sn0lq"],
    ["more than 128 bits", "nod_81h455vb4pex5vsknk084sn02q"],
    ["a character too few", "nod_01h455vb4pex5vsknk084sn02"],
    ["a character too many", "nod_01h455vb4pex5vsknk084sn02qq"],
    ["a dot", "nod_01h455vb4pex5vskn.084sn02q"],
    ["a wildcard", "nod_*"],
    ["a line feed behind it", "nod_01h455vb4pex5vsknk084sn02q\n"],
    ["no prefix", "01h455vb4pex5vsknk084sn02q"],
    ["no text", 7],
    ["nothing", undefined],
  ])("refuses %s", (_, text) => {
    expect(isId("nod", text)).toBe(false);
  });
});

test("a fresh id is one of a UUIDv7, whoever made it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.nat(15), (bytes, nibble) => {
      bytes[6] = (nibble << 4) | (bytes[6]! & 0x0f);
      const id = TypeID.fromUUIDBytes("evt", bytes).toString();
      expect([isFreshId("evt", id), isFreshId("int", id)]).toEqual([nibble === 7, false]);
    }),
  );
  expect(isFreshId("evt", newId("evt"))).toBe(true);
});

test("base64url is that of Node for every length", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
      expect(toBase64Url(bytes)).toBe(Buffer.from(bytes).toString("base64url"));
    }),
  );
});
