// Why a socket was closed, and whether coming back helps. 4000–4499: reconnect and resume; 4500–4999: do not.
// docs/gateway-close-codes.md is generated from both tables.

import type { ErrorCode } from "@outcry/protocol";

export interface CloseReason {
  readonly code: string;
  readonly number: number;
  readonly reconnect: boolean;
  readonly meaning: string;
}

const row = (code: string, number: number, meaning: string): CloseReason => ({
  code,
  number,
  meaning,
  reconnect: number < 4500,
});

export const CLOSE = {
  restart: row("restart", 1012, "The gateway is stopping; reconnect after the advised time and resume."),
  slow: row("slow", 4008, "The connection took too little for too long; reconnect and resume."),
  noPong: row("no_pong", 4012, "No sign of life after a ping; reconnect and resume."),
  rate: row("rate", 4013, "Too many commands; reconnect after a pause."),
  tokenExpired: row("token_expired", 4014, "The token has expired; reconnect with a new one and resume."),
  // A client that stood still, a network that was slow, a check that waited for NATS: none of it is cured by staying away.
  authTimeout: row("auth_timeout", 4015, "No token came and was checked in time; reconnect and send it first."),
  credentials: row("credentials", 4500, "The key or token was refused, or none was sent first."),
  badFrame: row("bad_frame", 4501, "A frame was not text with JSON objects."),
  revoked: row("revoked", 4503, "The key was revoked, or the rights of its token."),
  kicked: row("kicked", 4504, "An operator removed the connection."),
} as const satisfies Record<string, CloseReason>;

/** How a connection ends whose token was refused. */
export function closeOfRefusal(code: ErrorCode): CloseReason {
  if (code === "dependency_unavailable") return CLOSE.restart;
  return code === "token_expired" ? CLOSE.tokenExpired : CLOSE.credentials;
}

const fault = (code: string, number: number, meaning: string): CloseReason => ({
  code,
  number,
  meaning,
  reconnect: false,
});

/** What `ws` says by itself to a peer that breaks RFC 6455 or our bounds of a frame. */
export const FRAME_FAULTS = {
  protocol: fault(
    "protocol",
    1002,
    "A frame broke RFC 6455: unmasked, reserved bits or opcodes, wrong fragments, a wrong close.",
  ),
  utf8: fault("utf8", 1007, "A text or a close reason was not UTF-8."),
  parts: fault("parts", 1008, "A frame came in too many fragments or network reads."),
  tooLarge: fault("too_large", 1009, "A frame was larger than 64 KiB."),
} as const satisfies Record<string, CloseReason>;
