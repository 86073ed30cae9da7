// RFC 8785 canonical JSON over npm `canonicalize`, for values that came from JSON or could go there unchanged.
// What that library would drop or bend in silence (undefined, holes, Map, Date, class instances …) is a broken caller here.

import serialise from "canonicalize";
import { LIMITS } from "./limits.js";

const encoder = new TextEncoder();

/** The canonical bytes of a value: from here on the bytes are the message. Throws TypeError for what strict JSON cannot carry. */
export function canonicalize(value: unknown): Uint8Array<ArrayBuffer> {
  return encoder.encode(canonicalText(value));
}

/** The same as text. Whatever this returns, parseCanonical accepts within its size limit. */
export function canonicalText(value: unknown): string {
  const fault = faultOf(value, 1);
  if (fault !== undefined) throw new TypeError(`canonicalize: ${fault}`);
  try {
    return serialise(value)!;
  } catch (cause) {
    // The one thing left to the library: unpaired surrogates, in values and in keys.
    throw new TypeError(`canonicalize: ${(cause as Error).message}`, { cause });
  }
}

/** Why this value is not strict JSON, prefixed with the path to the fault; undefined when it is. */
function faultOf(value: unknown, depth: number): string | undefined {
  if (value === null || typeof value === "string" || typeof value === "boolean") return undefined;
  if (typeof value === "number") return faultOfNumber(value);
  if (typeof value !== "object") return `${typeof value} is not JSON`;
  // Also what ends a circular value.
  if (depth > LIMITS.jsonDepthMax) return `deeper than ${LIMITS.jsonDepthMax} levels`;
  return Array.isArray(value) ? faultOfArray(value, depth) : faultOfObject(value, depth);
}

function faultOfNumber(value: number): string | undefined {
  if (!Number.isFinite(value)) return `${value} is not finite`;
  return Math.abs(value) > Number.MAX_SAFE_INTEGER ? `${value} is beyond 2^53 − 1` : undefined;
}

function faultOfArray(array: readonly unknown[], depth: number): string | undefined {
  for (let index = 0; index < array.length; index++) {
    const fault = faultOf(array[index], depth + 1); // a hole reads as undefined, which is refused
    if (fault !== undefined) return `/${index}: ${fault}`;
  }
  return undefined;
}

function faultOfObject(object: object, depth: number): string | undefined {
  const prototype: unknown = Object.getPrototypeOf(object);
  // Plain objects of any realm have a prototype without a prototype; Map, Date, Uint8Array and instances of classes do not.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null)
    return `${Object.prototype.toString.call(object)} is not plain data`;
  for (const key of Object.keys(object)) {
    if (key === "__proto__") return "the key __proto__ is forbidden";
    const fault = faultOf((object as Record<string, unknown>)[key], depth + 1);
    if (fault !== undefined) return `/${key}: ${fault}`;
  }
  return undefined;
}
