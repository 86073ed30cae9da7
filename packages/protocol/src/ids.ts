// Ids are TypeIDs (typeid.dev) over UUIDv7; an id that must come out the same again is a UUIDv8 (RFC 9562 §5.8) of a SHA-256.
// Their alphabet is lower-case base32, so each id is one safe NATS token.

import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { TypeID } from "typeid-js";
import { v7 } from "uuid";
import type { Clock } from "./time.js";

export type IdPrefix = "int" | "quo" | "nod" | "evt" | "rcp" | "req" | "bkd" | "key" | "inv" | "msg" | "con";

const encoder = new TextEncoder();

/** A fresh, time-ordered id such as `int_01k…`. */
export function newId(prefix: IdPrefix, clock?: Clock): string {
  return TypeID.fromUUIDBytes(prefix, v7(clock ? { msecs: clock.now() } : undefined, new Uint8Array(16))).toString();
}

/** The same id for the same parts, for ever. Parts are joined by U+0000, which none of them may hold. */
export function derivedId(prefix: IdPrefix, ...parts: string[]): string {
  const bytes = digestOfParts(parts).slice(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80; // RFC 9562 §4.2: version 8
  bytes[8] = (bytes[8]! & 0x3f) | 0x80; // RFC 9562 §4.1: variant
  return TypeID.fromUUIDBytes(prefix, bytes).toString();
}

/** Joined by U+0000: without the check two different lists could become one. */
function digestOfParts(parts: readonly string[]): Uint8Array {
  if (parts.some((part) => part.includes("\0"))) throw new TypeError("a part of an id holds U+0000");
  return nobleSha256(encoder.encode(parts.join("\0")));
}

/** An intent's id: the caller's Idempotency-Key under the caller's own id. */
export const intentId = (callerId: string, idempotencyKey: string): string =>
  derivedId("int", callerId, idempotencyKey);

/** A node's n-th quote on an intent (ordinal from 0): a restarted node repeats it, never doubles it. */
export const quoteId = (intent: string, node: string, ordinal: number): string =>
  derivedId("quo", intent, node, String(ordinal));

/** The dispatch receipt of one intent and node. */
export const receiptId = (intent: string, node: string): string => derivedId("rcp", intent, node);

/** 128 bits in Crockford's base32: 26 characters, of which the first holds three bits. */
export const ID_SUFFIX = "[0-7][0-9a-hjkmnp-tv-z]{25}";
const SUFFIX = new RegExp(`^${ID_SUFFIX}$`);

export function isId(prefix: IdPrefix, text: unknown): text is string {
  return typeof text === "string" && text.startsWith(`${prefix}_`) && SUFFIX.test(text.slice(prefix.length + 1));
}

export const sha256 = (bytes: Uint8Array): Uint8Array => nobleSha256(bytes);

/** `sha256:` + base64url of the SHA-256 of the bytes: the form of every digest on the wire. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${toBase64Url(nobleSha256(bytes))}`;
}

/** One NATS token (20 hex digits, 80 bits of a SHA-256) that stands for raw ids without showing them. */
export function topicToken(...parts: string[]): string {
  return toHex(digestOfParts(parts).subarray(0, 10));
}

const toHex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** base64url without padding (RFC 4648 §5). */
export function toBase64Url(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const word = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const characters = Math.min(4, bytes.length - at + 1);
    for (let index = 0; index < characters; index++) text += BASE64URL[(word >> (18 - 6 * index)) & 63];
  }
  return text;
}

/** ≥ 128 random bits as base64url; the default source is Web Crypto. */
export function newNonce(
  random: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array = (bytes) => crypto.getRandomValues(bytes),
): string {
  return toBase64Url(random(new Uint8Array(16)));
}

/** A W3C trace id: 16 random bytes in hex. */
export function newTraceId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[15]! |= 1; // never all zero, which Trace Context §3.2.2.3 forbids
  return toHex(bytes);
}
