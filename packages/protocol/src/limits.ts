// Every bound with its reason. Values that operators may change are defaults here and variables in packages/runtime.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const LIMITS = {
  // sizes
  bodyBytesMax: 64 * 1024, // an HTTP body: real intents have a p99 under 1 KiB
  intentBytesMax: 256 * 1024, // a signed intent: the largest body fits, its defaults explicit and its text tripled by NFC
  quoteBytesMax: 32 * 1024, // one node must not fill QUOTES
  ackBytesMax: 1024, // an ack says yes or no
  ackSignatureCharsMax: 512, // a header with a 128-character kid and a signature need 320; 256 of them still make an event that is passed on
  ackVerifiesAtOnce: 8, // twice the thread pool: no thread idles, and others' work there waits for 1 ms at most
  ackVerifiesWaitingMax: 20_000, // two fan-outs to every target: 2 s of work; who is dropped is asked again
  nodePayloadBytesMax: 64 * 1024, // of a node's NATS user: the largest thing a node may publish
  jsonDepthMax: 32, // deeper values are attacks on recursive parsers
  recordBytesMax: 1024 * 1024, // nats-server's max_payload: an intent with 10,000 targets fits
  // counts
  lineItemsMax: 100, // a household or office order; a tender of more is several intents
  constraintsMax: 32, // per line item: nodes match each against each product
  targetsMax: 10_000, // one message of the record holds the list
  routingListMax: 1_000, // allow, block, targets as named by a caller
  quotesPerNodeMax: 16, // every quote costs a verification and a place in the ranking
  intentRevisionsMax: 16, // each goes to all targets anew, and lets each of them store its quotes anew
  quotesPerNodeDefault: 4, // an offer, an alternative and a correction of each
  responsesPerEventMax: 256, // 1,000 responses are 60 kB in every subscriber's queue
  idempotencyKeyCharsMax: 255, // as Stripe; it is hashed, never stored
  textCharsMax: 2_000, // a description that a person still reads
  tagCharsMax: 128, // a name, or a short path of names
  tagsMax: 200, // categories, regions, capabilities of one node
  nodeKeysMax: 8, // rotation with overlap needs two
  nodeRetiredKeysMax: 32, // one a day for the month that quotes are kept; the oldest makes room
  nodeSubscriptionsMax: 16, // of a node's NATS user
  channelsPerTokenMax: 32, // a token travels in a header or a URL
  amountMinorMax: Number.MAX_SAFE_INTEGER, // beyond it the next JSON parser reads another amount
  deadLettersScannedMax: 20_000, // of one request: about a second of reading; pages go on from there
  replayScannedMax: 100_000, // of one replay, the newest: an outage of 1,000 nodes over 100 intents
  replayIdsMax: 200, // letters named one by one: a page of the list
  replaysRunningMax: 4, // each is load on nodes that were away a moment ago
  replayRateDefault: 50, // letters per second: a node that came back is not flooded
  replayRateMax: 1_000, // as much as one process fans out beside its own work
  replayAuditMax: 100, // who paused and resumed it; it is part of each state message
  // durations
  quoteWindowDefaultMs: 30 * SECOND, // ONDC's default
  quoteWindowMinMs: 100, // below a round trip nobody can answer
  quoteWindowMaxMs: DAY, // an open intent is kept in Redis; INTENTS keeps 7 days
  clockSkewMs: 60 * SECOND, // `created` may be this far ahead; `expires` has no tolerance
  buyerTokenMs: 15 * MINUTE, // it opens what its backend may have changed its mind about, so it dies soon
  revocationsKeptMs: 7 * DAY, // of a buyer's rights, for whoever asks who did it; gateways need them for a token's life
  revocationsPerBuyerMax: 64, // channels of one buyer: two tokens' worth; beyond it everything is revoked at once
  revocationsPerBackendMax: 10_000, // buyers of a backend: some MB of the bucket that keys are in
  inviteMs: 7 * DAY, // a person has to pass it on
  signingKeyLeadMs: 5 * MINUTE, // a new key is published so long before it signs: JWKS is cached for it
  signingKeyKeptMs: 31 * DAY, // public after its last signature: the quotes that answer its intents are kept for 30
  nonceMs: 2 * MINUTE, // one request away from being used
  nodeCredentialsMs: HOUR, // short: a leaked user JWT dies soon, renewal costs 40 ms
  acksLongPollMaxMs: 30 * SECOND, // below common proxies' 60 s
  // delivery (defaults)
  ackTimeoutMs: 500, // UniswapX and OKX wait as long
  attemptsMax: 3, // a node that is silent three times is not there
  attemptsCeiling: 15, // four bits in the packed row
  retryBaseMs: 50, // of full jitter: random(0, base · 2^attempt)
  responseWindowMs: 5, // how long answers wait to share one NODE_RESPONDED
  outageGraceMs: 5 * SECOND, // after any outage, and as long as a longer one was: nodes reconnect, then answer what was held up
  outageGraceMaxMs: 30 * SECOND, // clients back off no longer than this; attempts inside the grace are repeated, not counted
  catchUpIntentsMax: 1_000, // per request of a node: ten seconds of its rate; then it asks again
  catchUpPerSecond: 100, // to one node: it has live intents to answer too
  catchUpEveryMs: 5 * SECOND, // a node that restarts in a loop costs no more than this
  endGraceMs: 100, // after the deadline, for quotes that are being stored
  // rates (defaults), each per minute and for one of them; 0 in the configuration is none
  deliveriesPerMinute: 600_000, // of a backend: 10,000/s, what a fan-out to every node of a large market needs
  deliveryBytesPerMinute: 1024 * 1024 * 1024, // of a backend: 17 MB/s of intents on the way to nodes
  quotesPerMinute: 60_000, // of a node: an answer to every intent of a busy market
  quoteBytesPerMinute: 256 * 1024 * 1024, // of a node: four times its usual quotes at full rate
  quotesSharePercent: 25, // of QUOTES that one node may hold: the other three quarters are the others'
  acksPerMinute: 600_000, // of a node: ten for each intent of a busy market
  requestsPerMinute: 60_000, // of an API key or token: 1,000/s
  addressRequestsPerMinute: 6_000, // of an address without one: a thousand nodes behind it renew within a minute
  // feed and webhooks
  feedPageMax: 200, // events of one answer; its bytes are bounded, too
  feedPageBytesMax: 1024 * 1024, // of stored events read for one answer
  feedScanMax: 2_000, // events looked at for one answer when a filter leaves few
  webhooksPerBackendMax: 16, // a feed has one or two readers; each costs a consumer and its connections
  webhooksMax: 800, // each has a consumer on EVENTS, and 1,000 per stream are too many; two processes may count at once
  webhookUrlCharsMax: 2_000, // what proxies and servers still take
  webhookTimeoutMs: 10 * SECOND, // names, connection and answer together: a receiver stores and answers, it does not work
  webhookAnswerBytesMax: 1024, // a status is enough; the text is for the test call
  webhookInFlightMax: 16, // attempts of one webhook at a time: 320 events/s to a receiver 50 ms away, and no flood for a small one
  webhookInHandMax: 64, // events of one webhook in a process: those in flight, and those behind one of their own topic
  webhookPendingMax: 128, // with the failed ones that wait for their next attempt; then a receiver gets nothing new
  webhookRecheckMs: 10 * SECOND, // how old the check of a receiver's addresses may be: name servers move a service within a minute
  webhookIdleMs: 10 * SECOND, // of a kept connection; most servers close theirs after 5 to 75 s
  webhookDisableMs: 5 * DAY, // of failures alone, then it is disabled: as Svix, and events are kept for 8
  webhookSilenceMs: DAY, // without an attempt ends a run of failures; the longest distance between two is 14.4 h
  webhookTestsPerMinute: 60, // of a backend: a person who tries, and no flood at a URL that may be another's
  webhookAttemptsKept: 100, // of one webhook, in Redis
  webhookSecretOverlapMs: DAY, // time to deploy the new secret
  // streams
  intentsAgeMs: 8 * DAY, // seven days are promised, idempotency for 48 h of them
  quotesAgeMs: 30 * DAY, // a dispute about an answer
  deadLettersAgeMs: 30 * DAY, // a month of operating to look at them
  recordFullRatio: 0.9, // at which POST answers 503
} as const;
