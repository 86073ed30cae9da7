// Bounds of a node, each with its reason. Those that services share stand in @outcry/protocol.

export const NODE_LIMITS = {
  concurrencyDefault: 16, // handlers at once: enough to hide a stock look-up, too few to flood a database
  openIntentsMax: 10_000, // waiting, running or with an unconfirmed quote; beyond it the node declines with `capacity`
  rememberedIntentsMax: 50_000, // finished ones kept to answer duplicates: about 15 MB
  quoteTimeoutMs: 2_000, // an append that waits for the disk takes 1–50 ms
  quoteRetryBaseMs: 100, // full jitter: random(0, base · 2^attempt)
  quoteRetryCapMs: 2_000,
  httpTimeoutMs: 10_000,
  renewAtLifeShare: 0.75, // leaves a quarter of the life for an outage of the service
  renewJitterShare: 0.05, // nodes that started together must not renew together
  renewWaitMinMs: 500, // also when clocks disagree so much that fresh credentials look old
  renewRetryBaseMs: 1_000,
  renewRetryCapMs: 30_000,
  renewOnRefusalEveryMs: 2_000, // a refused connection asks for credentials no more often than this
  keyRefetchEveryMs: 10_000, // forged kids must not turn into requests
  keyHintSpreadMs: 1_000, // ten thousand nodes hear at once that the service's keys changed
  reconnectWaitMs: 250,
  reconnectJitterMs: 250,
  dialTimeoutMs: 3_000, // a paused server accepts connections and never greets
  pingEveryMs: 15_000, // a dead connection is noticed after two missed pings
  pingsMissedMax: 2,
  credentialsProofMs: 60_000, // life of the signed request for credentials
  drainMs: 10_000,
  closeMs: 2_000,
} as const;
