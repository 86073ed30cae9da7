// Why a socket was closed, and whether coming back helps. 4000–4499: reconnect and resume; 4500–4999: do not.

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
  credentials: row("credentials", 4500, "The key or token was refused, or none was sent first."),
  badFrame: row("bad_frame", 4501, "A frame was not text with JSON objects."),
  authTimeout: row("auth_timeout", 4502, "No token came in time."),
  revoked: row("revoked", 4503, "The key was revoked, or the rights of its token."),
  kicked: row("kicked", 4504, "An operator removed the connection."),
} as const satisfies Record<string, CloseReason>;

/** How a connection ends whose token was refused. */
export function closeOfRefusal(code: ErrorCode): CloseReason {
  if (code === "dependency_unavailable") return CLOSE.restart;
  return code === "token_expired" ? CLOSE.tokenExpired : CLOSE.credentials;
}
