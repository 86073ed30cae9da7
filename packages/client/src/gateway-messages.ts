// What a gateway says (docs/gateway-protocol.md, `outcry.v1`), parsed at the border into a closed union. Unknown members are ignored.

import type { Event } from "@outcry/protocol";

export type GatewayMessage =
  | { kind: "ping" }
  | { kind: "ok"; id: number; ok: Record<string, unknown> }
  | { kind: "refused"; id: number | null; code: string; retry: string; detail: string }
  | { kind: "event"; channel: string; cursor: string; type: string; event: Event | null }
  | { kind: "position"; channel: string; cursor: string }
  | { kind: "reset"; channel: string; cursor: string; reason: string }
  | { kind: "end"; channel: string; code: string }
  | { kind: "bye"; code: string; afterMs: number }
  | { kind: "unknown" };

/** One text frame: one or several JSON objects, a line each. */
export function readFrame(frame: string): GatewayMessage[] {
  return frame
    .split("\n")
    .filter((line) => line !== "")
    .map(readLine);
}

function readLine(line: string): GatewayMessage {
  try {
    return readObject(JSON.parse(line) as Record<string, unknown>);
  } catch {
    return { kind: "unknown" }; // a later version's; what it was about shows in the cursors
  }
}

function readObject(message: Record<string, unknown>): GatewayMessage {
  if (Object.keys(message).length === 0) return { kind: "ping" };
  if ("id" in message) return readReply(message);
  const { ch, c, e, d, pos, reset, end, bye } = message;
  if (bye !== undefined)
    return { kind: "bye", code: textIn(bye, "code"), afterMs: Number((bye as { after_ms?: unknown }).after_ms) || 0 };
  if (typeof ch !== "string") return { kind: "unknown" };
  if (typeof pos === "string") return { kind: "position", channel: ch, cursor: pos };
  if (reset !== undefined)
    return { kind: "reset", channel: ch, cursor: textIn(reset, "c"), reason: textIn(reset, "reason") };
  if (end !== undefined) return { kind: "end", channel: ch, code: textIn(end, "code") };
  if (typeof c !== "string" || typeof e !== "string") return { kind: "unknown" };
  return { kind: "event", channel: ch, cursor: c, type: e, event: (d ?? null) as Event | null };
}

function readReply({ id, ok, err }: Record<string, unknown>): GatewayMessage {
  const replyTo = typeof id === "number" ? id : null;
  if (err !== undefined)
    return {
      kind: "refused",
      id: replyTo,
      code: textIn(err, "code"),
      retry: textIn(err, "retry"),
      detail: textIn(err, "msg"),
    };
  return replyTo === null
    ? { kind: "unknown" }
    : { kind: "ok", id: replyTo, ok: (ok ?? {}) as Record<string, unknown> };
}

function textIn(value: unknown, name: string): string {
  const found = (value as Record<string, unknown> | null)?.[name];
  return typeof found === "string" ? found : "";
}
