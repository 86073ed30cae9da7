// Every NATS subject, built and parsed here and nowhere else (DESIGN "The way of an intent").
// Nodes publish only on core subjects that no stream captures; the record's subjects are the service's own.

import { isId, topicToken } from "./ids.js";

export const STREAMS = { intents: "INTENTS", events: "EVENTS", quotes: "QUOTES", deadLetters: "DEAD_LETTERS" } as const;
export const BUCKETS = { nodes: "nodes", access: "access" } as const;

const TOKEN = /^[A-Za-z0-9_-]+$/;

/** One token of a subject as it is. Throws TypeError for dots, wildcards and blanks: input must never choose a subject. */
function safe(token: string): string {
  if (!TOKEN.test(token)) throw new TypeError(`${JSON.stringify(token)} is no safe subject token`);
  return token;
}

/** Also `*`, for permissions and subscriptions. */
const safeOrAny = (token: string): string => (token === "*" ? token : safe(token));

export const SUBJECTS = {
  // record
  intent: (intent: string) => `ucp.v1.intent.${safe(intent)}`,
  intentEnd: (intent: string) => `ucp.v1.intent.${safe(intent)}.end`,
  /** Revisions and the end of one intent: they exclude each other by expecting the last sequence of this. */
  intentChanges: (intent: string) => `ucp.v1.intent.${safe(intent)}.>`,
  intentRevision: (intent: string, revision: number) => `ucp.v1.intent.${safe(intent)}.rev.${revision}`,
  intentRevisions: (intent: string) => `ucp.v1.intent.${safe(intent)}.rev.*`,
  allIntents: "ucp.v1.intent.*",
  allRevisions: "ucp.v1.intent.*.rev.*",
  allEnds: "ucp.v1.intent.*.end",
  quote: (intent: string, node: string, quote: string) => `quotes.${safe(intent)}.${safe(node)}.${safe(quote)}`,
  quotesOf: (intent: string) => `quotes.${safe(intent)}.>`,
  allQuotes: "quotes.*.*.*",
  deadDelivery: (intent: string, node: string) => `dead.${safe(intent)}.${safe(node)}`,
  deadWebhookEvent: (webhook: string, seq: number) => `dead.webhook.${safe(webhook)}.${seq}`,
  deadMessage: (stream: string, seq: number) => `dead.consumer.${safe(stream)}.${seq}`,
  allDeadDeliveries: "dead.*.*",
  allDeadMessages: "dead.consumer.*.*",
  allDeadWebhookEvents: "dead.webhook.*.*",
  /** What became of a letter stands behind its own subject: the letter itself is never changed. */
  letterFollowUp: (letter: string, verb: LetterVerb) => `${letter}.${verb}`,
  letterFollowUps: (letter: string) => `${letter}.*`,
  replay: (replay: string) => `dead.replays.${safe(replay)}.state`,
  allReplays: "dead.replays.*.state",
  // service → node, core NATS
  nodeIntent: (node: string) => `ucp.v1.node.${safe(node)}.intent`,
  nodeCancel: (node: string) => `ucp.v1.node.${safe(node)}.cancel`,
  nodeNotice: (node: string) => `ucp.v1.node.${safe(node)}.notice`,
  /** Empty: the service's key set is another one; read it again. */
  nodeKeys: (node: string) => `ucp.v1.node.${safe(node)}.keys`,
  nodeAll: (node: string) => `ucp.v1.node.${safe(node)}.*`,
  // node → service, core NATS
  ack: (node: string, intent: string) => `ucp.v1.ack.${safe(node)}.${safeOrAny(intent)}`,
  acksOf: (intent: string) => `ucp.v1.ack.*.${safe(intent)}`,
  allAcks: "ucp.v1.ack.*.*",
  nodeQuote: (node: string, intent: string) => `ucp.v1.quote.${safe(node)}.${safeOrAny(intent)}`,
  allNodeQuotes: "ucp.v1.quote.*.*",
  heartbeat: (node: string) => `ucp.v1.hb.${safe(node)}`,
  catchup: (node: string) => `ucp.v1.catchup.${safe(node)}`,
  allCatchups: "ucp.v1.catchup.*",
} as const;

/** What a letter's subject can be followed by. */
export type LetterVerb = "discarded" | "replayed" | "recovered";

/** Inbox prefix of a node: the service answers a node nowhere else (a forged reply subject gains nothing). */
export const nodeInboxPrefix = (node: string): string => `_INBOX.${safe(node)}`;

export const EVENT_SUBJECTS = "rt.>";

/** The stream of a tap: a mirror of EVENTS with live subjects of its own, `live.<tap>.rt.>` (docs/regions.md). */
export const tapStream = (tap: string): string => `${STREAMS.events}_${safe(tap)}`;

/** The republished form of an event's subject, which gateways of `region`, or of a tap, listen to. */
export const livePrefix = (region: string): string => `live.${safe(region)}`;

const NONE = "-"; // no buyer, or no backend
const backendToken = (backend: string): string => topicToken("backend", backend);
/** Bound to the backend: two marketplaces' buyer "42" never meet. */
const buyerToken = (backend: string, buyer: string): string => topicToken("buyer", backend, buyer);

export const TOPICS = {
  intent: (backend: string, buyer: string | undefined, intent: string) =>
    `rt.intent.${backendToken(backend)}.${buyer === undefined ? NONE : buyerToken(backend, buyer)}.${safe(intent)}`,
  /** When the buyer is not known: matches the one topic of this intent. */
  intentOfBackend: (backend: string, intent: string) => `rt.intent.${backendToken(backend)}.*.${safe(intent)}`,
  /** As `intentOfBackend`, for any kind that is of one backend. */
  ofBackend: (kind: string, backend: string, id: string) => `rt.${safe(kind)}.${backendToken(backend)}.*.${safe(id)}`,
  any: (kind: string, id: string) => `rt.${safe(kind)}.*.*.${safe(id)}`,
  anyIntent: (intent: string) => `rt.intent.*.*.${safe(intent)}`,
  buyer: (backend: string, buyer: string) => `rt.*.${backendToken(backend)}.${buyerToken(backend, buyer)}.>`,
  backend: (backend: string) => `rt.*.${backendToken(backend)}.>`,
  /** Of test events, which are sent and never stored. */
  webhook: (backend: string, webhook: string) => `rt.webhook.${backendToken(backend)}.${NONE}.${safe(webhook)}`,
  node: (node: string) => `rt.node.${NONE}.${NONE}.${safe(node)}`,
} as const;

export interface Topic {
  kind: string;
  backend: string;
  buyer: string;
  id: string;
}

/** Parts of an event's topic; undefined for any other subject, patterns included. */
export function parseTopic(subject: string): Topic | undefined {
  const [rt, kind, backend, buyer, id, ...rest] = subject.split(".");
  if (rt !== "rt" || rest.length > 0) return undefined;
  if (!isToken(kind) || !isToken(backend) || !isToken(buyer) || !isToken(id)) return undefined;
  return { kind, backend, buyer, id };
}

const isToken = (token: string | undefined): token is string => token !== undefined && TOKEN.test(token);

/** `ucp.v1.ack.<node>.<intent>` or `ucp.v1.quote.<node>.<intent>` → node and intent; undefined for any other subject. */
export function parseAnswer(subject: string): { node: string; intent: string } | undefined {
  const [ucp, v1, verb, node, intent, ...rest] = subject.split(".");
  if (ucp !== "ucp" || v1 !== "v1" || (verb !== "ack" && verb !== "quote") || rest.length > 0) return undefined;
  return isId("nod", node) && isId("int", intent) ? { node, intent } : undefined;
}

/** `ucp.v1.intent.<id>` with or without what changed it (`.rev.<n>`, `.end`) → the intent's id; undefined for any other subject. */
export function parseIntentSubject(subject: string): string | undefined {
  const [ucp, v1, kind, id] = subject.split(".");
  return ucp === "ucp" && v1 === "v1" && kind === "intent" && isId("int", id) ? id : undefined;
}

export type LetterPlace =
  | { kind: "delivery"; intent: string; node: string }
  | { kind: "message"; stream: string; sequence: number }
  | { kind: "webhook"; webhook: string; sequence: number };

/** Subject of a dead letter → what it is about; undefined for follow-ups, replays and any other subject. */
export function parseDeadLetter(subject: string): LetterPlace | undefined {
  const [dead, first, second, third, ...rest] = subject.split(".");
  if (dead !== "dead" || rest.length > 0) return undefined;
  if (third === undefined) {
    const delivery = isId("int", first) && isId("nod", second);
    return delivery ? { kind: "delivery", intent: first, node: second } : undefined;
  }
  if (!isToken(second) || !/^[1-9]\d{0,15}$/.test(third)) return undefined;
  const sequence = Number(third);
  if (first === "webhook") return isId("whk", second) ? { kind: "webhook", webhook: second, sequence } : undefined;
  return first === "consumer" ? { kind: "message", stream: second, sequence } : undefined;
}
