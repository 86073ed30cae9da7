import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { bytes as browser } from "./bytes-browser.js";
import { bytes as node } from "./bytes-node.js";

describe.each([
  ["Node", node],
  ["browsers", browser],
])("bytes in %s", (_, bytes) => {
  test("SHA-256 is that of FIPS 180-4, base64url that of RFC 4648", () => {
    const abc = new TextEncoder().encode("abc");
    expect(bytes.toHex(bytes.sha256(abc))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(bytes.sha256Base64Url(abc)).toBe("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    const coded = ["", "f", "fo", "foo", "foob"].map((text) => bytes.toBase64Url(new TextEncoder().encode(text)));
    expect(coded).toEqual(["", "Zg", "Zm8", "Zm9v", "Zm9vYg"]);
  });

  test("random bytes are as many as asked for, never the same twice, and the caller's own", () => {
    const drawn = Array.from({ length: 2_000 }, () => bytes.randomBytes(16));
    expect(new Set(drawn.map((one) => bytes.toHex(one))).size).toBe(2_000);
    expect(drawn.every((one) => one.length === 16 && one.byteOffset === 0 && one.buffer.byteLength === 16)).toBe(true);
  });
});

test("both builds give the same for any bytes, also for a part of a larger array", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), (whole, from) => {
      const part = whole.subarray(from);
      expect(node.sha256(part)).toEqual(browser.sha256(part));
      expect(node.sha256Base64Url(part)).toBe(browser.sha256Base64Url(part));
      expect(node.toBase64Url(part)).toBe(browser.toBase64Url(part));
      expect(node.toHex(part)).toBe(browser.toHex(part));
      expect(node.fromHex(node.toHex(part))).toEqual(Uint8Array.from(part));
      expect(browser.fromHex(node.toHex(part))).toEqual(Uint8Array.from(part));
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(node.sha256Hex(text)).toBe(browser.sha256Hex(text));
    }),
  );
});
