// Every NATS subject, built and parsed here and nowhere else (DESIGN "The way of an intent").
// Nodes publish only on core subjects that no stream captures; the record's subjects are the service's own.

import { isId, topicToken } from "./ids.js";

export const STREAMS = { intents: "INTENTS", events: "EVENTS", quotes: "QUOTES", deadLetters: "DEAD_LETTERS" } as const;
export const BUCKETS = { nodes: "nodes", access: "access" } as const;

export const SUBJECTS = {
  // record
  intent: (intent: string) => `ucp.v1.intent.${intent}`,
  intentEnd: (intent: string) => `ucp.v1.intent.${intent}.end`,
  /** Revisions and the end of one intent: they exclude each other by expecting the last sequence of this. */
  intentChanges: (intent: string) => `ucp.v1.intent.${intent}.>`,
  allIntents: "ucp.v1.intent.*",
  allEnds: "ucp.v1.intent.*.end",
  quote: (intent: string, node: string, quote: string) => `quotes.${intent}.${node}.${quote}`,
  quotesOf: (intent: string) => `quotes.${intent}.>`,
  allQuotes: "quotes.*.*.*",
  deadDelivery: (intent: string, node: string) => `dead.${intent}.${node}`,
  deadDeliveriesOf: (intent: string) => `dead.${intent}.*`,
  deadMessage: (stream: string, seq: number) => `dead.consumer.${stream}.${seq}`,
  // service → node, core NATS
  nodeIntent: (node: string) => `ucp.v1.node.${node}.intent`,
  nodeCancel: (node: string) => `ucp.v1.node.${node}.cancel`,
  nodeNotice: (node: string) => `ucp.v1.node.${node}.notice`,
  nodeAll: (node: string) => `ucp.v1.node.${node}.*`,
  // node → service, core NATS
  ack: (node: string, intent: string) => `ucp.v1.ack.${node}.${intent}`,
  allAcks: "ucp.v1.ack.*.*",
  nodeQuote: (node: string, intent: string) => `ucp.v1.quote.${node}.${intent}`,
  allNodeQuotes: "ucp.v1.quote.*.*",
  heartbeat: (node: string) => `ucp.v1.hb.${node}`,
  catchup: (node: string) => `ucp.v1.catchup.${node}`,
} as const;

/** Inbox prefix of a node: the service answers a node nowhere else (a forged reply subject gains nothing). */
export const nodeInboxPrefix = (node: string): string => `_INBOX.${node}`;

export const EVENT_SUBJECTS = "rt.>";

/** The republished form of an event's subject, which gateways of `region` listen to. */
export const livePrefix = (region: string): string => `live.${region}`;

const NONE = "-"; // no buyer, or no backend
export const backendToken = (backend: string): string => topicToken("backend", backend);
/** Bound to the backend: two marketplaces' buyer "42" never meet. */
export const buyerToken = (backend: string, buyer: string): string => topicToken("buyer", backend, buyer);

export const TOPICS = {
  intent: (backend: string, buyer: string | undefined, intent: string) =>
    `rt.intent.${backendToken(backend)}.${buyer === undefined ? NONE : buyerToken(backend, buyer)}.${intent}`,
  /** When the buyer is not known: matches the one topic of this intent. */
  intentOfBackend: (backend: string, intent: string) => `rt.intent.${backendToken(backend)}.*.${intent}`,
  anyIntent: (intent: string) => `rt.intent.*.*.${intent}`,
  buyer: (backend: string, buyer: string) => `rt.*.${backendToken(backend)}.${buyerToken(backend, buyer)}.>`,
  backend: (backend: string) => `rt.*.${backendToken(backend)}.>`,
  node: (node: string) => `rt.node.${NONE}.${NONE}.${node}`,
} as const;

export interface Topic {
  kind: string;
  backend: string;
  buyer: string;
  id: string;
}

/** Parts of an event's topic; undefined for any other subject. */
export function parseTopic(subject: string): Topic | undefined {
  const [rt, kind, backend, buyer, id, ...rest] = subject.split(".");
  if (rt !== "rt" || !kind || !backend || !buyer || !id || rest.length > 0) return undefined;
  return { kind, backend, buyer, id };
}

/** `ucp.v1.<verb>.<node>.<intent>` → node and intent; undefined when a token is not an id of its kind. */
export function parseAnswer(subject: string): { node: string; intent: string } | undefined {
  const [, , , node, intent, ...rest] = subject.split(".");
  return isId("nod", node) && isId("int", intent) && rest.length === 0 ? { node, intent } : undefined;
}

/** `ucp.v1.intent.<id>` or `ucp.v1.intent.<id>.end` → the intent's id. */
export function parseIntentSubject(subject: string): string | undefined {
  const id = subject.split(".")[3];
  return isId("int", id) ? id : undefined;
}
