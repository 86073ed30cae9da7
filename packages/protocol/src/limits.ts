// Every bound with its reason. Values that operators may change are defaults here and variables in packages/runtime.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const LIMITS = {
  // sizes
  bodyBytesMax: 64 * 1024, // an HTTP body or an intent: real intents have a p99 under 1 KiB
  quoteBytesMax: 32 * 1024, // one node must not fill QUOTES
  ackBytesMax: 1024, // an ack says yes or no
  nodePayloadBytesMax: 64 * 1024, // of a node's NATS user: the largest thing a node may publish
  jsonDepthMax: 32, // deeper values are attacks on recursive parsers
  recordBytesMax: 1024 * 1024, // nats-server's max_payload: an intent with 10,000 targets fits
  // counts
  lineItemsMax: 100,
  constraintsMax: 32, // per line item
  targetsMax: 10_000, // one message of the record holds the list
  routingListMax: 1_000, // allow, block, targets as named by a caller
  quotesPerNodeMax: 16,
  quotesPerNodeDefault: 4,
  responsesPerEventMax: 256, // 1,000 responses are 60 kB in every subscriber's queue
  idempotencyKeyCharsMax: 255,
  textCharsMax: 2_000,
  tagCharsMax: 128,
  tagsMax: 200, // categories, regions, capabilities of one node
  nodeKeysMax: 8, // rotation with overlap needs two
  nodeSubscriptionsMax: 16, // of a node's NATS user
  channelsPerTokenMax: 32,
  amountMinorMax: Number.MAX_SAFE_INTEGER,
  // durations
  quoteWindowDefaultMs: 30 * SECOND, // ONDC's default
  quoteWindowMinMs: 100, // below a round trip nobody can answer
  quoteWindowMaxMs: DAY, // an open intent is kept in Redis; INTENTS keeps 7 days
  clockSkewMs: 60 * SECOND, // `created` may be this far ahead; `expires` has no tolerance
  buyerTokenMs: 15 * MINUTE,
  inviteMs: 7 * DAY,
  nonceMs: 2 * MINUTE,
  nodeCredentialsMs: HOUR, // short: a leaked user JWT dies soon, renewal costs 40 ms
  acksLongPollMaxMs: 30 * SECOND, // below common proxies' 60 s
  // delivery (defaults)
  ackTimeoutMs: 500, // UniswapX and OKX wait as long
  attemptsMax: 3,
  attemptsCeiling: 15, // four bits in the packed row
  retryBaseMs: 50, // of full jitter: random(0, base · 2^attempt)
  responseWindowMs: 5, // how long answers wait to share one NODE_RESPONDED
  outageGraceMs: 5 * SECOND, // after an outage nodes reconnect first; attempts inside it are repeated, not counted
  endGraceMs: 100, // after the deadline, for quotes that are being stored
  // streams
  intentsAgeMs: 8 * DAY,
  quotesAgeMs: 30 * DAY,
  deadLettersAgeMs: 30 * DAY,
  eventsRetentionMs: 8 * DAY,
  recordFullRatio: 0.9, // at which POST answers 503
} as const;
