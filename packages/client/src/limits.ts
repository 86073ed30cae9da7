// Bounds of a client, each with its reason.

export const CLIENT_LIMITS = {
  attemptsMax: 6, // with full jitter about 3 s of an outage, the time a killed NATS needs
  retryBaseMs: 200,
  retryCapMs: 5_000,
  retryAfterMaxMs: 60_000, // a longer wish is the caller's decision: the error says how long
  requestTimeoutMs: 30_000,
  longPollSlackMs: 5_000, // how long after its own end a long poll may still be answered
  pollPauseMs: 50, // between long polls that came back early
  quotesPollMs: 250,
  quotesPollFastMs: 50, // the first second, when most quotes come
} as const;
