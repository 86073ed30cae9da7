import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { Point, verify as nobleVerify, hashes } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { curve as browser, verifyEd25519 as inBrowser } from "./curve-browser.js";
import { curve as node, verifyEd25519 as inNode } from "./curve-node.js";

const builds = [
  ["Node", inNode, node],
  ["browser", inBrowser, browser],
] as const;

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));
const rfc8032 = JSON.parse(readFileSync(new URL("../vectors/rfc8032.json", import.meta.url), "utf8")) as Record<
  "priv" | "pub" | "msg" | "sig",
  string
>[];

// The seven other encodings of the points of small order: y or its alias y + p, each with either sign bit.
const SMALL_ORDER = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].flatMap((y) => {
  const bytes = hex(y);
  const signed = hex(y);
  signed[31]! |= 0x80;
  return [bytes, signed];
});

const message = new TextEncoder().encode("an intent");
const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));
const little = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes.toReversed()).toString("hex")}`);
const scalarBytes = (value: bigint): Uint8Array => hex(value.toString(16).padStart(64, "0")).toReversed();
const L = Point.CURVE().n;
const challenge = (R: Uint8Array, A: Uint8Array): bigint =>
  little(Uint8Array.from(createHash("sha512").update(R).update(A).update(message).digest())) % L;

describe.each(builds)("strict cofactorless Ed25519 in the %s build", (_name, verify, curve) => {
  test.each(rfc8032)("signs and verifies RFC 8032's vector $pub", ({ priv, pub, msg, sig }) => {
    const signer = curve.createSigner(hex(priv));
    expect(signer.publicKey).toEqual(hex(pub));
    expect(signer.sign(hex(msg))).toEqual(hex(sig));
    expect(verify(hex(pub), hex(msg), hex(sig))).toBe(true);
    expect(verify(hex(pub), join(hex(msg), Uint8Array.of(0)), hex(sig))).toBe(false);
  });

  test("refuses every key and every R of small order or with y ≥ p, also where the equation holds", () => {
    const zero = new Uint8Array(32);
    for (const A of SMALL_ORDER) {
      for (const R of SMALL_ORDER) expect(verify(A, message, join(R, zero))).toBe(false);
    }
    // An honest key with R of small order and S = k·a: the cofactored equation holds.
    const { A, a } = keyPair(7);
    for (const R of SMALL_ORDER)
      expect(verify(A, message, join(R, scalarBytes((challenge(R, A) * a) % L)))).toBe(false);
  });

  test("refuses an honest key's signature with a torsion component in R, which noble accepts", () => {
    hashes.sha512 ??= sha512;
    const torsion = Point.fromBytes(SMALL_ORDER[6]!); // of order 8
    const { A, a } = keyPair(11);
    for (let r = 1n; r <= 8n; r++) {
      const R = Point.BASE.multiply(r).add(torsion).toBytes();
      const forged = join(R, scalarBytes((r + challenge(R, A) * a) % L));
      expect(nobleVerify(forged, message, A, { zip215: false })).toBe(true);
      expect(verify(A, message, forged)).toBe(false);
      const plain = Point.BASE.multiply(r).toBytes();
      expect(verify(A, message, join(plain, scalarBytes((r + challenge(plain, A) * a) % L)))).toBe(true);
    }
  });

  test("refuses S ≥ L, the second form of a valid signature", () => {
    const { pub, msg, sig } = rfc8032[1]!;
    const S = little(hex(sig).subarray(32));
    for (const other of [S + L, L, L - 1n, 2n ** 255n]) {
      expect(verify(hex(pub), hex(msg), join(hex(sig).subarray(0, 32), scalarBytes(other)))).toBe(false);
    }
  });

  test("answers false, never throws, for any lengths and for keys off the curve", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 70 }), (key, signature) => {
        expect(verify(key, message, signature)).toBe(false);
      }),
      { numRuns: 50 },
    );
    expect(verify(hex(`02${"00".repeat(31)}`), message, hex(rfc8032[0]!.sig))).toBe(false);
  });
});

/** A key whose scalar is known, as a malicious signer's is. */
function keyPair(scalar: number): { A: Uint8Array; a: bigint } {
  return { A: Point.BASE.multiply(BigInt(scalar)).toBytes(), a: BigInt(scalar) };
}

describe("both builds", () => {
  test("give one verdict on valid, bent and random signatures (property)", async () => {
    const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
    await fc.assert(
      fc.asyncProperty(
        bytes32,
        fc.uint8Array({ maxLength: 99 }),
        fc.nat(95),
        fc.nat(255),
        async (seed, text, place, change) => {
          const { publicKey, sign, signAsync } = node.createSigner(seed);
          const signature = browser.createSigner(seed).sign(text);
          expect(signature).toEqual(sign(text));
          expect(await signAsync(text)).toEqual(signature);
          expect(await browser.createSigner(seed).signAsync(text)).toEqual(signature);
          const bent = join(publicKey, signature);
          bent[place]! ^= change;
          const [A, sig] = [bent.subarray(0, 32), bent.subarray(32)];
          const verdict = inNode(A, text, sig);
          expect(verdict).toBe(change === 0);
          expect(inBrowser(A, text, sig)).toBe(verdict);
          expect(await node.verifyAsync.EdDSA(A, text, sig)).toBe(verdict);
          expect(await browser.verifyAsync.EdDSA(A, text, sig)).toBe(verdict);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("agree on combinations of weak keys, weak R, torsion and scalars", () => {
    const odd = [...SMALL_ORDER, keyPair(5).A, Point.BASE.add(Point.fromBytes(SMALL_ORDER[6]!)).toBytes()];
    const scalars = [0n, 1n, 5n, L - 1n].map(scalarBytes);
    for (const A of odd) {
      for (const R of odd)
        for (const S of scalars) expect(inNode(A, message, join(R, S))).toBe(inBrowser(A, message, join(R, S)));
    }
  });
});
