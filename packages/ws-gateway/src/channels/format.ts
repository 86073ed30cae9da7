// How one wire protocol spells what a channel says. The engine encodes once per event × channel × view × format.

import type { Cursors } from "./cursor.js";
import type { Hint } from "../presence/hints.js";
import type { PresenceShown } from "../presence/presence-shown.js";
import type { RenderedEvent } from "./policy.js";

export interface Format {
  readonly name: string;
  /** Where its clients cannot hold ours. */
  readonly cursors?: Cursors;
  /** Complete frames, ready to be written. */
  event(channel: string, cursor: string, event: RenderedEvent): Buffer;
  /** The cursor moved on without an event for this channel. Undefined where the protocol cannot say so. */
  position(channel: string, cursor: string): Buffer | undefined;
  /** Makes the client ask again with the position that it has, where it cannot be told one: it gets a newer one with the answer. */
  askAgain?(channel: string): Buffer;
  /** Events were passed over; the next one follows `cursor`. */
  reset(channel: string, reason: string, cursor: string): Buffer;
  /** Who is there. Undefined where nothing of it can be said. */
  presence(channel: string, shown: PresenceShown): Buffer | undefined;
  hint(channel: string, hint: Hint): Buffer;
  /** The subscription is over: the right to it was taken back. */
  ended(channel: string, code: string): Buffer;
}

/** Where a subscription's frames go: one connection, or a test. */
export interface Sink {
  /** The connection's. */
  readonly id: string;
  readonly format: Format;
  /** One frame, or some of a replay one behind the other. False when the queue is full; none of it was then taken. */
  offer(frames: Buffer): boolean;
  /** Resolves with true when half of the queue is free, with false when nothing will be written any more. */
  ready(): Promise<boolean>;
}
