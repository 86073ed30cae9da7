// Bytes by what every browser has, and the one hash that Web Crypto gives only as a promise.

import { sha256 } from "@noble/hashes/sha2.js";
import type { Bytes } from "./bytes.js";

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function toBase64Url(data: Uint8Array): string {
  let text = "";
  for (let at = 0; at < data.length; at += 3) {
    const word = (data[at]! << 16) | ((data[at + 1] ?? 0) << 8) | (data[at + 2] ?? 0);
    const characters = Math.min(4, data.length - at + 1);
    for (let index = 0; index < characters; index++) text += BASE64URL[(word >> (18 - 6 * index)) & 63];
  }
  return text;
}

const toHex = (data: Uint8Array): string => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");

export const bytes: Bytes = {
  sha256: (data) => sha256(data),
  sha256Hex: (text) => toHex(sha256(new TextEncoder().encode(text))),
  sha256Base64Url: (data) => toBase64Url(sha256(data)),
  toBase64Url,
  toHex,
  fromHex: (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)),
  randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
};
