// Commands of a channel's kind: what a client sends that the service behind the kind answers. The engine carries them and reads nothing.

import type { ErrorCode, JsonValue } from "@outcry/protocol";

export type Payload = JsonValue | Uint8Array;

export interface ChannelCommand {
  readonly name: string;
  readonly payload: Payload;
}

export type CommandReply =
  | { readonly kind: "ok"; readonly response: Payload }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly detail?: string };

const NAME = /^[a-z][a-z0-9_]{0,63}$/;

/** Names are parts of NATS subjects. */
export const isCommandName = (name: unknown): name is string => typeof name === "string" && NAME.test(name);
