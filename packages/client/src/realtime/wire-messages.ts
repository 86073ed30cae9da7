// What a gateway says (docs/gateway-protocol.md, `outcry.v1`), parsed at the border into a closed union. Unknown members are ignored.

import type { KnownEvent } from "@outcry/protocol";

export interface Refusal {
  readonly kind: "refused";
  readonly id: number;
  readonly code: string;
  readonly temporary: boolean;
  readonly detail: string;
}

/** What concerns one channel. */
export type ChannelFrame =
  | { readonly kind: "event"; readonly channel: string; readonly cursor: string; readonly event: KnownEvent | null }
  | { readonly kind: "position"; readonly channel: string; readonly cursor: string }
  | { readonly kind: "reset"; readonly channel: string; readonly cursor: string; readonly reason: string }
  | { readonly kind: "end"; readonly channel: string; readonly code: string };

export type WireMessage =
  | ChannelFrame
  | Refusal
  | { readonly kind: "ping" | "unknown" }
  | { readonly kind: "ok"; readonly id: number; readonly ok: Record<string, unknown> }
  | { readonly kind: "bye"; readonly afterMs: number };

/** One text frame: one or several JSON objects, a line each. */
export function readFrame(frame: string): WireMessage[] {
  return frame
    .split("\n")
    .filter((line) => line !== "")
    .map(readLine);
}

const UNKNOWN = { kind: "unknown" } as const;

function readLine(line: string): WireMessage {
  try {
    const message: unknown = JSON.parse(line);
    return isObject(message) ? readObject(message) : UNKNOWN;
  } catch {
    return UNKNOWN; // a later version's; what it was about shows in the cursors
  }
}

function readObject(message: Record<string, unknown>): WireMessage {
  if (Object.keys(message).length === 0) return { kind: "ping" };
  if ("id" in message) return readReply(message);
  const { ch, c, e, d, pos, reset, end, bye } = message;
  if (isObject(bye)) return { kind: "bye", afterMs: Number(bye["after_ms"]) || 0 };
  if (typeof ch !== "string") return UNKNOWN;
  if (typeof pos === "string") return { kind: "position", channel: ch, cursor: pos };
  if (isObject(reset))
    return { kind: "reset", channel: ch, cursor: textIn(reset, "c"), reason: textIn(reset, "reason") };
  if (isObject(end)) return { kind: "end", channel: ch, code: textIn(end, "code") };
  if (typeof c !== "string" || typeof e !== "string") return UNKNOWN;
  return { kind: "event", channel: ch, cursor: c, event: isObject(d) ? (d as unknown as KnownEvent) : null };
}

function readReply({ id, ok, err }: Record<string, unknown>): WireMessage {
  if (typeof id !== "number") return UNKNOWN; // of what could not be read: the close that follows says why
  if (!isObject(err)) return { kind: "ok", id, ok: isObject(ok) ? ok : {} };
  const temporary = err["retry"] === "after";
  return { kind: "refused", id, code: textIn(err, "code"), temporary, detail: textIn(err, "msg") };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function textIn(value: Record<string, unknown>, name: string): string {
  const found = value[name];
  return typeof found === "string" ? found : "";
}
