// Why a socket was closed, and whether coming back helps. 4000–4499: reconnect and resume; 4500–4999: do not.

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
  revoked: row("revoked", 4503, "The key was revoked or the connection removed by an operator."),
} as const satisfies Record<string, CloseReason>;
