// base64url (RFC 4648 §5, no padding) in its one exact form: many strings must not name one key or one signature.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const CODES = Uint8Array.from(ALPHABET, (character) => character.charCodeAt(0));
const VALUES = new Uint8Array(128).fill(0xff);
for (let value = 0; value < 64; value++) VALUES[CODES[value]!] = value;

/** The bytes, or undefined for padding, a foreign character, an impossible length or set trailing bits. */
export function decodeBase64Url(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (text.length % 4 === 1) return undefined;
  const bytes = new Uint8Array((text.length * 3) >> 2);
  let word = 0;
  let bits = 0;
  let at = 0;
  for (let index = 0; index < text.length; index++) {
    const value = VALUES[text.charCodeAt(index)] ?? 0xff;
    if (value === 0xff) return undefined;
    word = (word << 6) | value;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = word >> bits;
    word &= (1 << bits) - 1;
  }
  return word === 0 ? bytes : undefined; // what is left are the trailing bits
}

/** RFC 7515 §5.1 step 5: ASCII(protected header ‖ "." ‖ base64url(payload)), written straight into bytes. */
export function signingInput(protectedHeader: string, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const start = protectedHeader.length + 1;
  const input = new Uint8Array(start + Math.ceil((payload.length * 4) / 3));
  for (let index = 0; index < protectedHeader.length; index++) input[index] = protectedHeader.charCodeAt(index);
  input[start - 1] = 0x2e;
  let to = start;
  let from = 0;
  for (; from + 2 < payload.length; from += 3) {
    const word = (payload[from]! << 16) | (payload[from + 1]! << 8) | payload[from + 2]!;
    input[to++] = CODES[word >> 18]!;
    input[to++] = CODES[(word >> 12) & 63]!;
    input[to++] = CODES[(word >> 6) & 63]!;
    input[to++] = CODES[word & 63]!;
  }
  const rest = payload.length - from;
  if (rest === 0) return input;
  const word = (payload[from]! << 16) | ((payload[from + 1] ?? 0) << 8);
  input[to++] = CODES[word >> 18]!;
  input[to++] = CODES[(word >> 12) & 63]!;
  if (rest === 2) input[to] = CODES[(word >> 6) & 63]!;
  return input;
}
