// Ids are TypeIDs (typeid.dev) over UUIDv7; an id that must come out the same again is a UUIDv8 (RFC 9562 §5.8) of a SHA-256.
// Their alphabet is lower-case base32, so each id is one safe NATS token.

import { bytes } from "#bytes";
import { v7 } from "uuid";
import type { Clock } from "./time.js";

export type IdPrefix =
  | "int"
  | "quo"
  | "nod"
  | "evt"
  | "rcp"
  | "req"
  | "bkd"
  | "key"
  | "inv"
  | "msg"
  | "con"
  | "rpl"
  | "whk"
  | "rvk";

const BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"; // Crockford's
const BASE32_CODES = Uint8Array.from(BASE32, (digit) => digit.charCodeAt(0));

/** A fresh, time-ordered id such as `int_01k…`. */
export function newId(prefix: IdPrefix, clock?: Clock): string {
  const msecs = clock === undefined ? Date.now() : clock.now();
  return typeId(prefix, v7({ msecs, random: bytes.randomBytes(16) }, new Uint8Array(16)));
}

/** 26 digits of five bits; two zero bits stand in front of the 128. */
function typeId(prefix: IdPrefix, uuid: Uint8Array): string {
  const codes: number[] = [];
  let held = 0;
  let bits = 2;
  for (const byte of uuid) {
    held = ((held << 8) | byte) & 0xfff; // of the byte before at most four bits are left
    for (bits += 8; bits >= 5;) codes.push(BASE32_CODES[(held >> (bits -= 5)) & 31]!);
  }
  return `${prefix}_${String.fromCharCode(...codes)}`;
}

/** The same id for the same parts, for ever. Parts are joined by U+0000, which none of them may hold. */
export function derivedId(prefix: IdPrefix, ...parts: string[]): string {
  const uuid = bytes.fromHex(digestOfParts(parts).slice(0, 32));
  uuid[6] = (uuid[6]! & 0x0f) | 0x80; // RFC 9562 §4.2: version 8
  uuid[8] = (uuid[8]! & 0x3f) | 0x80; // RFC 9562 §4.1: variant
  return typeId(prefix, uuid);
}

/** In hex. Joined by U+0000: without the check two different lists could become one. */
function digestOfParts(parts: readonly string[]): string {
  if (parts.some((part) => part.includes("\0"))) throw new TypeError("a part of an id holds U+0000");
  return bytes.sha256Hex(parts.join("\0"));
}

/** An intent's id: the caller's Idempotency-Key under the caller's own id. */
export const intentId = (callerId: string, idempotencyKey: string): string =>
  derivedId("int", callerId, idempotencyKey);

/**
 * A node's n-th quote (ordinal from 0) on one revision of an intent, 0 as it was posted: a restarted node repeats it, never
 * doubles it.
 */
export const quoteId = (intent: string, node: string, ordinal: number, revision = 0): string =>
  derivedId("quo", intent, node, String(ordinal), ...(revision === 0 ? [] : [String(revision)]));

/** The dispatch receipt of one intent and node. */
export const receiptId = (intent: string, node: string): string => derivedId("rcp", intent, node);

/** 128 bits in Crockford's base32: 26 characters, of which the first holds three bits. */
export const ID_SUFFIX = "[0-7][0-9a-hjkmnp-tv-z]{25}";
const VERSION_AT = 10; // four of its five bits are the UUID's 48th to 51st
const SUFFIX = new RegExp(`^${ID_SUFFIX}$`);

/** One that newId() makes: of time and chance, never derived from what others know. */
export const isFreshId = (prefix: IdPrefix, text: unknown): text is string =>
  isId(prefix, text) && BASE32.indexOf(text[prefix.length + 1 + VERSION_AT]!) >> 1 === 7; // RFC 9562 §4.2: the version

export function isId(prefix: IdPrefix, text: unknown): text is string {
  return typeof text === "string" && text.startsWith(`${prefix}_`) && SUFFIX.test(text.slice(prefix.length + 1));
}

export const sha256 = (data: Uint8Array): Uint8Array => bytes.sha256(data);

/** `sha256:` + base64url of the SHA-256 of the bytes: the form of every digest on the wire. */
export function digestOf(data: Uint8Array): string {
  return `sha256:${bytes.sha256Base64Url(data)}`;
}

/** One NATS token (20 hex digits, 80 bits of a SHA-256) that stands for raw ids without showing them. */
export function topicToken(...parts: string[]): string {
  return digestOfParts(parts).slice(0, 20);
}

/** base64url without padding (RFC 4648 §5). */
export const toBase64Url = (data: Uint8Array): string => bytes.toBase64Url(data);

/** 128 random bits as base64url. */
export const newNonce = (): string => toBase64Url(bytes.randomBytes(16));

/** A W3C trace id: 16 random bytes in hex. */
export function newTraceId(): string {
  const trace = bytes.randomBytes(16);
  trace[15]! |= 1; // never all zero, which Trace Context §3.2.2.3 forbids
  return bytes.toHex(trace);
}
