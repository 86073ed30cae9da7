// Messages of Phoenix Channels V2 from a client: `[join_ref, ref, topic, event, payload]` as JSON text, or the binary push
// (phoenix/assets/js/phoenix/serializer.js). Nothing is decided here.

import { type JsonObject, parseStrict } from "@outcry/protocol";
import { GATEWAY_LIMITS } from "../limits.js";

export interface PhoenixMessage {
  /** The ref of the join that it belongs to. */
  readonly joinRef: string | null;
  readonly ref: string | null;
  readonly topic: string;
  readonly event: string;
  readonly payload: JsonObject | Uint8Array;
}

/** A text says what is wrong. */
export function readText(data: Uint8Array): PhoenixMessage | string {
  const parsed = parseStrict(data, { bytesMax: GATEWAY_LIMITS.frameInBytesMax });
  if (parsed.kind === "refused") return parsed.detail;
  const { value } = parsed;
  if (!Array.isArray(value) || value.length !== 5) return "not [join_ref, ref, topic, event, payload]";
  const [joinRef, ref, topic, event, payload] = value;
  if (!isRef(joinRef) || !isRef(ref)) return "a ref is neither a short text nor null";
  if (typeof topic !== "string" || typeof event !== "string") return "topic or event is not a text";
  if (payload === null || typeof payload !== "object" || Array.isArray(payload)) return "the payload is not an object";
  return { joinRef: joinRef ?? null, ref: ref ?? null, topic, event, payload };
}

const isRef = (ref: unknown): ref is string | null =>
  ref === null || (typeof ref === "string" && ref.length <= GATEWAY_LIMITS.commandIdCharsMax);

const PUSH = 0;
const PUSH_HEADER_BYTES = 5;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** `00 jl rl tl el join_ref ref topic event data`, one byte per length. A text says what is wrong. */
export function readBinary(data: Buffer): PhoenixMessage | string {
  if (data[0] !== PUSH || data.length < PUSH_HEADER_BYTES) return "not a binary push";
  const texts: string[] = [];
  let at = PUSH_HEADER_BYTES;
  for (const length of data.subarray(1, PUSH_HEADER_BYTES)) {
    if (at + length > data.length) return "shorter than its lengths say";
    try {
      texts.push(utf8.decode(data.subarray(at, at + length)));
    } catch {
      return "not UTF-8";
    }
    at += length;
  }
  const [joinRef = "", ref = "", topic = "", event = ""] = texts;
  return { joinRef: joinRef || null, ref: ref || null, topic, event, payload: data.subarray(at) };
}
