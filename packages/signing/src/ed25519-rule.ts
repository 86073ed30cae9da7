// Strict cofactorless Ed25519, the part that is decided before any curve arithmetic: |signature| = 64, |A| = 32, A and R canonical
// (y < p) and not of small order, S < L. Libraries differ on exactly these inputs, node:crypto even between its own versions.
// The rest, enc([S]B − [k]A) = R, is curve-node.ts and curve-browser.ts.

// y of the points of small order, sign bit cleared, little-endian (order 1, 4, 2, 8, 8); the encodings with y ≥ p fall to the other rule.
const SMALL_ORDER_Y = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
].map((hex) => Uint8Array.from(hex.match(/../g)!, (pair) => Number.parseInt(pair, 16)));

// The order of the base point, little-endian (RFC 8032 §5.1).
const L = Uint8Array.from("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010".match(/../g)!, (pair) =>
  Number.parseInt(pair, 16),
);

export function passesPrecheck(publicKey: Uint8Array, signature: Uint8Array): boolean {
  return (
    publicKey.length === 32 &&
    signature.length === 64 &&
    !isWeakPoint(publicKey, 0) &&
    !isWeakPoint(signature, 0) &&
    isScalar(signature)
  );
}

/** True for an encoded point with y ≥ p or of small order. */
export function isWeakPoint(bytes: Uint8Array, at: number): boolean {
  return isAboveP(bytes, at) || SMALL_ORDER_Y.some((y) => isSameY(bytes, at, y));
}

// p = 2^255 − 19: every byte ff but for the lowest, from ed up.
function isAboveP(bytes: Uint8Array, at: number): boolean {
  if ((bytes[at + 31]! & 0x7f) !== 0x7f || bytes[at]! < 0xed) return false;
  for (let index = 30; index > 0; index--) if (bytes[at + index] !== 0xff) return false;
  return true;
}

function isSameY(bytes: Uint8Array, at: number, y: Uint8Array): boolean {
  for (let index = 0; index < 31; index++) if (bytes[at + index] !== y[index]) return false;
  return (bytes[at + 31]! & 0x7f) === y[31];
}

function isScalar(signature: Uint8Array): boolean {
  for (let index = 31; index >= 0; index--) {
    const byte = signature[32 + index]!;
    if (byte !== L[index]) return byte < L[index]!;
  }
  return false; // S = L
}
