// Every variable: what it is called, what it may be, what it is for. docs and the types of Config follow this table.

import { LIMITS, SIGNED_ACKS } from "@outcry/protocol";

export interface Variable {
  readonly key: string;
  readonly name: `OUTCRY_${string}`;
  readonly kind: "text" | "integer" | "boolean" | "url" | "path" | "list" | "choice";
  /** As text, parsed like a given value. Absent: the variable may be unset. */
  readonly default?: string;
  readonly doc: string;
  /** An accepted second name, such as the one other tools use. */
  readonly alias?: string;
  /** Also readable from the file that `<name>_FILE` names; never printed. */
  readonly secret?: true;
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  /** URL schemes. */
  readonly schemes?: readonly string[];
}

const DAY_MS = 86_400_000;
const PER_MINUTE_MAX = 1_000_000_000_000; // sums of a minute stay far below 2^53

export const VARIABLES = [
  {
    key: "host",
    name: "OUTCRY_HOST",
    kind: "text",
    default: "127.0.0.1",
    doc: "Address that HTTP and WebSocket listen on.",
  },
  {
    key: "port",
    name: "OUTCRY_PORT",
    kind: "integer",
    default: "7070",
    min: 0,
    max: 65_535,
    doc: "Port that they listen on; 0 takes a free one.",
  },
  {
    key: "dataDir",
    name: "OUTCRY_DATA_DIR",
    kind: "path",
    default: ".outcry",
    doc: "Folder of keys and, in development, of the servers' data.",
  },
  {
    key: "logLevel",
    name: "OUTCRY_LOG_LEVEL",
    kind: "choice",
    choices: ["debug", "info", "warn", "error"],
    default: "info",
    doc: "Least severe line that is logged.",
  },
  {
    key: "natsUrl",
    name: "OUTCRY_NATS_URL",
    kind: "list",
    alias: "NATS_URL",
    doc: "NATS servers, separated by commas.",
  },
  {
    key: "natsPublicUrl",
    name: "OUTCRY_NATS_PUBLIC_URL",
    kind: "list",
    doc: "NATS servers as nodes reach them; without it OUTCRY_NATS_URL.",
  },
  {
    key: "redisUrl",
    name: "OUTCRY_REDIS_URL",
    kind: "url",
    schemes: ["redis", "rediss"],
    alias: "REDIS_URL",
    secret: true,
    doc: "Redis; its URL may hold a password.",
  },
  {
    key: "natsAuthDir",
    name: "OUTCRY_NATS_AUTH_DIR",
    kind: "path",
    doc: "Folder with auth-tree.json and the .creds files, made by the first start of the development stack; 0600 each.",
  },
  {
    key: "natsMonitorUrl",
    name: "OUTCRY_NATS_MONITOR_URL",
    kind: "url",
    schemes: ["http", "https"],
    doc: "NATS monitoring, to read the server's settings where the system account may not.",
  },
  {
    key: "natsTlsCaFile",
    name: "OUTCRY_NATS_TLS_CA_FILE",
    kind: "path",
    doc: "CA certificate of the NATS servers (PEM).",
  },
  {
    key: "signingKey",
    name: "OUTCRY_SIGNING_KEY",
    kind: "text",
    secret: true,
    doc: "Private key that signs intents (JWK); without it one is kept in the data folder.",
  },
  {
    key: "cursorSecret",
    name: "OUTCRY_CURSOR_SECRET",
    kind: "text",
    secret: true,
    doc: "Secret that seals cursors, the same in every broadcast and gateway process; several separated by commas while it is changed, newest first.",
  },
  {
    key: "webhookKey",
    name: "OUTCRY_WEBHOOK_KEY",
    kind: "text",
    secret: true,
    doc: "Secret that encrypts webhook secrets at rest, the same in every broadcast process; several separated by commas while it is changed, newest first; without it one is kept in the data folder.",
  },
  {
    key: "webhookPorts",
    name: "OUTCRY_WEBHOOK_PORTS",
    kind: "list",
    default: "443",
    doc: "Ports that webhooks may be sent to, separated by commas.",
  },
  {
    key: "webhookAllowPrivate",
    name: "OUTCRY_WEBHOOK_ALLOW_PRIVATE",
    kind: "boolean",
    default: "false",
    doc: "Development only: webhooks may use http, any port and private addresses.",
  },
  {
    key: "senderId",
    name: "OUTCRY_SENDER_ID",
    kind: "text",
    default: "outcry",
    doc: "sender.id of the signed intents.",
  },
  {
    key: "ackTimeoutMs",
    name: "OUTCRY_ACK_TIMEOUT_MS",
    kind: "integer",
    default: "500",
    min: 10,
    max: DAY_MS,
    doc: "Time that a node has to acknowledge before the next attempt.",
  },
  {
    key: "attemptsMax",
    name: "OUTCRY_ATTEMPTS_MAX",
    kind: "integer",
    default: "3",
    min: 1,
    max: 15,
    doc: "Attempts per node before its delivery is dead.",
  },
  {
    key: "ackWindowMs",
    name: "OUTCRY_ACK_WINDOW_MS",
    kind: "integer",
    default: "5",
    min: 0,
    max: 1_000,
    doc: "Time that answers wait to share one NODE_RESPONDED.",
  },
  {
    key: "signedAcks",
    name: "OUTCRY_SIGNED_ACKS",
    kind: "choice",
    choices: SIGNED_ACKS,
    default: "off",
    doc: "What is done with signatures of acks: off ignores them, accept verifies and records those that come, require also refuses acks without one. Verifying costs about ten times the rest of a delivery.",
  },
  {
    key: "quoteWindowDefaultMs",
    name: "OUTCRY_QUOTE_WINDOW_DEFAULT_MS",
    kind: "integer",
    default: "30000",
    min: 100,
    max: DAY_MS,
    doc: "Time for quotes when the intent names no quote_deadline.",
  },
  {
    key: "limitDeliveries",
    name: "OUTCRY_LIMIT_DELIVERIES",
    kind: "integer",
    default: String(LIMITS.deliveriesPerMinute),
    min: 0,
    max: PER_MINUTE_MAX,
    doc: "Deliveries per minute and backend, counted when an intent is posted; 0 = no limit.",
  },
  {
    key: "limitDeliveryBytes",
    name: "OUTCRY_LIMIT_DELIVERY_BYTES",
    kind: "integer",
    default: String(LIMITS.deliveryBytesPerMinute),
    min: 0,
    max: PER_MINUTE_MAX,
    doc: "Deliveries times bytes of their intents, per minute and backend; 0 = no limit.",
  },
  {
    key: "limitRequests",
    name: "OUTCRY_LIMIT_REQUESTS",
    kind: "integer",
    default: String(LIMITS.requestsPerMinute),
    min: 0,
    max: PER_MINUTE_MAX,
    doc: "Requests per minute and API key or token, except POST /v1/intents; 0 = no limit.",
  },
  {
    key: "limitAddressRequests",
    name: "OUTCRY_LIMIT_ADDRESS_REQUESTS",
    kind: "integer",
    default: String(LIMITS.addressRequestsPerMinute),
    min: 0,
    max: PER_MINUTE_MAX,
    doc: "Requests per minute and remote address without credentials, or with wrong ones; 0 = no limit. Behind a proxy all share its address.",
  },
  {
    key: "limitQuotes",
    name: "OUTCRY_LIMIT_QUOTES",
    kind: "integer",
    default: String(LIMITS.quotesPerMinute),
    min: 0,
    max: PER_MINUTE_MAX,
    doc: "Quotes per minute and node; 0 = no limit.",
  },
  {
    key: "limitQuoteBytes",
    name: "OUTCRY_LIMIT_QUOTE_BYTES",
    kind: "integer",
    default: String(LIMITS.quoteBytesPerMinute),
    min: 0,
    max: PER_MINUTE_MAX,
    doc: "Bytes of quotes per minute and node; 0 = no limit.",
  },
  {
    key: "limitQuotesShare",
    name: "OUTCRY_LIMIT_QUOTES_SHARE",
    kind: "integer",
    default: String(LIMITS.quotesSharePercent),
    min: 0,
    max: 100,
    doc: "Percent of the stream QUOTES that the quotes of one node may fill within their retention; 0 = no limit.",
  },
  {
    key: "limitAcks",
    name: "OUTCRY_LIMIT_ACKS",
    kind: "integer",
    default: String(LIMITS.acksPerMinute),
    min: 0,
    max: PER_MINUTE_MAX,
    doc: "Acks per minute and node and process; more are dropped; 0 = no limit.",
  },
  {
    key: "replicas",
    name: "OUTCRY_REPLICAS",
    kind: "integer",
    default: "1",
    min: 1,
    max: 5,
    doc: "Replicas of the streams; 3 in production.",
  },
  {
    key: "region",
    name: "OUTCRY_REGION",
    kind: "text",
    default: "local",
    doc: "Name of this region in the live subjects: one token.",
  },
  {
    key: "eventsTap",
    name: "OUTCRY_EVENTS_TAP",
    kind: "text",
    doc: "Gateway and its tap keeper: name, one token, of the mirror EVENTS_<name> that is read instead of EVENTS (docs/regions.md). Needed where EVENTS has replicas, and in every further region.",
  },
  {
    key: "recordDomain",
    name: "OUTCRY_RECORD_DOMAIN",
    kind: "text",
    doc: "Gateway and its tap keeper: JetStream domain of EVENTS, where it is another than that of the NATS servers they connect to.",
  },
  { key: "tlsCertFile", name: "OUTCRY_TLS_CERT_FILE", kind: "path", doc: "Certificate chain of the listener (PEM)." },
  { key: "tlsKeyFile", name: "OUTCRY_TLS_KEY_FILE", kind: "path", doc: "Private key of the listener (PEM)." },
  {
    key: "gatewayPaths",
    name: "OUTCRY_GATEWAY_PATHS",
    kind: "text",
    doc: "Other paths of the gateway's wire protocols, for example `phoenix=/realtime/websocket,stream=/events`; native, phoenix, centrifugo, longPoll, stream.",
  },
  {
    key: "wsAllowedOrigins",
    name: "OUTCRY_WS_ALLOWED_ORIGINS",
    kind: "list",
    default: "",
    doc: "Origins whose pages may open sockets and streams and call the HTTP API (CORS), separated by commas; `*` for any.",
  },
  {
    key: "shutdownGraceMs",
    name: "OUTCRY_SHUTDOWN_GRACE_MS",
    kind: "integer",
    default: "25000",
    min: 0,
    max: 600_000,
    doc: "Time for an orderly stop, all steps together.",
  },
  {
    key: "allowUnkeptPromises",
    name: "OUTCRY_ALLOW_UNKEPT_PROMISES",
    kind: "boolean",
    default: "false",
    doc: "Development only: start although a server's settings break a promise.",
  },
  {
    key: "allowPlaintext",
    name: "OUTCRY_ALLOW_PLAINTEXT",
    kind: "boolean",
    default: "false",
    doc: "Listen beyond loopback without TLS, for a proxy that terminates it.",
  },
] as const satisfies readonly Variable[];

/** Variables of tools around the services: known, so that they are no typing mistakes. */
export const OTHER_VARIABLES: readonly string[] = [
  "OUTCRY_NATS_SERVER",
  "OUTCRY_REDIS_SERVER",
  "OUTCRY_TEST_DATA",
  "OUTCRY_URL",
  "OUTCRY_API_KEY",
];
