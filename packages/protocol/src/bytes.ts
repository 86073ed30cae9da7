// What a platform does for bytes: hashing, base64url, random. `#bytes` is the Node or the browser build of it; both give the same.

export interface Bytes {
  sha256(bytes: Uint8Array): Uint8Array;
  /** Of the UTF-8 of a text. */
  sha256Hex(text: string): string;
  /** Of the SHA-256 of the bytes, without padding. */
  sha256Base64Url(bytes: Uint8Array): string;
  /** Without padding (RFC 4648 §5). */
  toBase64Url(bytes: Uint8Array): string;
  toHex(bytes: Uint8Array): string;
  fromHex(hex: string): Uint8Array;
  /** For ids and nonces: unpredictable, and no secret. */
  randomBytes(count: number): Uint8Array;
}
