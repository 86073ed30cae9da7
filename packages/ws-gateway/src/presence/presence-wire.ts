// Metadata and hints as clients send them: checked before anything else is done with them.

import type { JsonObject, JsonValue } from "@outcry/protocol";
import { GATEWAY_LIMITS } from "../limits.js";

const OWN_MEMBERS = ["phx_ref", "phx_ref_prev"]; // Phoenix's own, beside the client's

/** As JSON text. A text in `fault` says what is wrong. */
export function readInfo(value: JsonValue | undefined): { info: string } | { fault: string } {
  if (value === undefined || value === null || typeof value !== "object" || Array.isArray(value))
    return { fault: "the metadata is not an object" };
  if (OWN_MEMBERS.some((name) => name in value)) return { fault: "phx_ref and phx_ref_prev are the gateway's own" };
  const info = JSON.stringify(value satisfies JsonObject);
  const { presenceInfoBytesMax } = GATEWAY_LIMITS;
  if (Buffer.byteLength(info) > presenceInfoBytesMax)
    return { fault: `the metadata has more than ${presenceInfoBytesMax} bytes` };
  return { info };
}

const KIND = /^[a-z][a-z0-9_]{0,31}$/;

export function readHint(
  kind: unknown,
  data: JsonValue | undefined,
): { kind: string; data: JsonValue } | { fault: string } {
  if (typeof kind !== "string" || !KIND.test(kind)) return { fault: "the kind of a hint is a short lower-case word" };
  const value = data ?? null;
  const { hintBytesMax } = GATEWAY_LIMITS;
  if (Buffer.byteLength(JSON.stringify(value)) > hintBytesMax)
    return { fault: `a hint has more than ${hintBytesMax} bytes` };
  return { kind, data: value };
}
