// What the engine asks of the service around it: who is this, what may it open, how does an event look to it.

import type { ErrorCode, JsonValue } from "@outcry/protocol";
import type { ChannelCommand, CommandReply } from "./command.js";

export interface Principal {
  /** Stays the same when a token is renewed. */
  readonly id: string;
  readonly role: string;
  /** The key or token that was shown, for revocation. */
  readonly credential: string;
  /** Epoch ms; absent for what lives until it is revoked. */
  readonly expiresAt?: number;
}

export type Authenticated<P extends Principal = Principal> =
  | { readonly kind: "ok"; readonly principal: P }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly detail?: string };

/** One channel as one principal sees it. */
export interface Route {
  readonly channel: string;
  /** What `keysOf` gives for its events. Also the channel's identity in cursors. */
  readonly key: string;
  /** Name of the view; events are rendered once per view. */
  readonly view: string;
  /** Under which this principal is present here and gives hints; absent where it may do neither. */
  readonly member?: string | undefined;
  /** Whether it may see who else is. */
  readonly seesPresence?: boolean | undefined;
  /** Subject filter of the channel in the stream; asked for only when the record is read. */
  replayFilter(): Promise<string>;
}

export type Routed =
  | { readonly kind: "ok"; readonly route: Route }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly detail?: string };

export interface RenderedEvent {
  readonly type: string;
  /** One JSON value on one line. */
  readonly json: string;
}

export interface Policy<P extends Principal = Principal> {
  authenticate(token: string): Promise<Authenticated<P>>;
  /** Today's rights: asked at each subscribe, also for replay. "Not yours" and "does not exist" are one answer. */
  route(principal: P, channel: string): Promise<Routed>;
  /** Whether the token that it showed is void by now, for everything or for one channel. Cheap, never throws. */
  isRevoked?(principal: P, channel?: string): boolean;
  /** Has the service behind the channel's kind answer; absent where no kind takes commands. Rejects with a temporary error when it does not. */
  command?(principal: P, route: Route, command: ChannelCommand): Promise<CommandReply>;
  /** Live keys of every channel that a subject belongs to. Runs for each event of the stream: cheap, never throws. */
  keysOf(subject: string): readonly string[];
  render(view: string, data: Uint8Array): RenderedEvent;
}

/** Appends an event that anyone may hear who may open the channel. Resolves when the stream has it. */
export interface EventPublisher {
  publish(channel: string, event: PublishableEvent): Promise<Published>;
}

export interface PublishableEvent {
  readonly id: string;
  readonly topic: string;
  readonly type: string;
  readonly [member: string]: JsonValue | undefined;
}

/** `repeated`: the same event id was there already; nothing was added. */
export type Published =
  | { readonly kind: "published" | "repeated"; readonly seq: number }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly detail?: string };
