// Bounds of the realtime client, each with its reason.

export const REALTIME_LIMITS = {
  reconnectBaseMs: 500,
  reconnectCapMs: 15_000,
  stableMs: 5_000, // what was accepted and dropped sooner does not begin the backoff anew
  connectTimeoutMs: 10_000, // from the dial to the answer to the token
  silenceSlackMs: 10_000, // beyond the gateway's ping interval the connection counts as dead
  probeMs: 5_000, // for the answer to a ping of ours, after the network changed or the page was shown again
  frameCharsMax: 20_000, // of commands that are sent together: the gateway takes 64 KiB, and a character is up to three bytes
  renewTokenAtShare: 0.8,
  renewAtLeastMs: 1_000,
  renewBlindMs: 30_000, // the gateway took the token and by our clock it is over: our clock is wrong
  expirationsMax: 5, // tokens in a row that the gateway calls expired: a fixed one, or a clock that is wrong
  timerMaxMs: 2_147_483_647, // what setTimeout can hold
  bufferMax: 1_000, // messages of a channel that wait for its reader, about 1 MB
  pausedAtLeastMs: 200, // two commands per pause; the gateway takes 50 a second
  knownEventsMax: 512, // ids of events, against a repetition behind a reconnect
} as const;
