// What a channel says and what a connection is, as closed unions. Events are those of @outcry/protocol and narrow by `type`.

import type { EventType, KnownEvent } from "@outcry/protocol";
import type { RealtimeError } from "./realtime-error.js";

/** docs/gateway-protocol.md §7. */
export type ChannelName = `${"intent" | "buyer" | "backend" | "node"}:${string}`;

/** Which events a channel can carry. A gateway of a later version may send types that are not among them: ignore those. */
export type EventTypeOf<N extends ChannelName> = N extends `node:${string}`
  ? "QUOTE_REFUSED"
  : N extends `intent:${string}`
    ? Exclude<EventType, "QUOTE_REFUSED">
    : EventType;

export type EventOf<N extends ChannelName = ChannelName, T extends EventTypeOf<N> = EventTypeOf<N>> = Extract<
  KnownEvent,
  { type: T }
>;

/**
 * What the gateway says of it (docs/gateway-protocol.md 4.5): `trimmed`, `epoch`, `ahead`; or `cursor_invalid`: the cursor is of another
 * channel or of a key that is no longer held.
 */
export type GapReason = "trimmed" | "epoch" | "ahead" | "cursor_invalid" | (string & {});

interface At<N extends ChannelName> {
  readonly channel: N;
  /** Resume behind this message with it. */
  readonly cursor: string;
}

export type ChannelMessage<N extends ChannelName = ChannelName> =
  | (At<N> & { readonly kind: "event"; readonly event: EventOf<N> })
  /** There was an event, and the gateway could not show it. */
  | (At<N> & { readonly kind: "unreadable" })
  /** What lies before the cursor may be missing: read the state again over HTTP. */
  | (At<N> & { readonly kind: "gap"; readonly reason: GapReason })
  /** A resume is over: so many events came behind the cursor, with no hole and no double. */
  | (At<N> & { readonly kind: "recovered"; readonly events: number })
  /** The right to the channel was taken back; nothing more comes on it. */
  | { readonly kind: "end"; readonly channel: N; readonly code: string };

export type RealtimeStatus =
  /** No channel is open, so there is no connection. */
  | { readonly state: "idle" }
  | { readonly state: "connecting"; readonly attempt: number }
  | { readonly state: "open" }
  | {
      readonly state: "reconnecting";
      readonly attempt: number;
      readonly inMs: number;
      /** The WebSocket close code, where there was one. */
      readonly code: number | undefined;
      readonly reason: string;
    }
  /** For good: by close(), or with the error that coming back cannot mend. */
  | {
      readonly state: "closed";
      readonly code: number | undefined;
      readonly reason: string;
      readonly error: RealtimeError | undefined;
    };
