// What a seller says to createNode, and what it gets told.

import type { Clock, Intent, Log, PublicKey, QuoteNotice } from "@outcry/protocol";
import type { SigningKey } from "@outcry/signing";
import type { IntentContext } from "./intent-context.js";
import type { HandlerResult } from "./reply.js";
import type { QuoteOutcome } from "./send-quote.js";

export interface NodeOptions {
  /** Base URL of the HTTP API, e.g. `https://outcry.example`. Not needed with `connection`. */
  readonly url?: string;
  /** The node's id when it was registered elsewhere; else the one in `stateDir`, else it registers itself. */
  readonly id?: string;
  /** Holds the signing key, the NATS seed and the id; made with mode 0700, its files 0600. */
  readonly stateDir?: string;
  readonly key?: SigningKey;
  readonly keyFile?: string;
  readonly natsSeed?: string;
  readonly natsSeedFile?: string;
  /** Single use; needed once, to register. */
  readonly invite?: string;
  readonly registration?: NodeDescription;
  /** A connection that is known already, without HTTP: nothing is registered, renewed or refetched. */
  readonly connection?: DirectConnection;
  /** Ask for what was missed, at the start and after each lost connection. Default: true. */
  readonly catchUp?: boolean;
  /** Sign each ack, for services that ask for it or record it as evidence. Default: false. */
  readonly signAcks?: boolean;
  /** Handlers at once. */
  readonly concurrency?: number;
  /** Intents waiting, being handled or with an unconfirmed quote; more are declined with `capacity`. */
  readonly openIntentsMax?: number;
  readonly tls?: { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string };
  readonly log?: Log;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly fetch?: typeof fetch;
}

export interface NodeDescription {
  readonly name: string;
  readonly categories: readonly string[];
  readonly regions: readonly string[];
  readonly capabilities?: readonly string[];
}

export interface DirectConnection {
  readonly natsUrl: string | readonly string[];
  /** Absent for a server without authentication. */
  readonly userJwt?: string;
  readonly natsSeed?: string;
  readonly inboxPrefix: string;
  readonly serviceKeys: readonly PublicKey[];
  readonly serviceId: string;
}

export type IntentHandler = (intent: Intent, context: IntentContext) => HandlerResult | Promise<HandlerResult>;

export interface CancelNotice {
  readonly intentId: string;
  readonly reason: string;
  /** True when this node had taken the intent and not finished it. */
  readonly open: boolean;
}
export type CancelHandler = (cancel: CancelNotice) => void | Promise<void>;

export type NodeState = "idle" | "starting" | "connected" | "disconnected" | "draining" | "closed";

export interface NodeStatus {
  readonly state: NodeState;
  readonly nodeId?: string;
  readonly detail?: string;
}

export interface NodeFault {
  readonly error: unknown;
  readonly intentId?: string;
}

export interface QuoteReport {
  readonly intentId: string;
  readonly quoteId: string;
  readonly outcome: QuoteOutcome;
}

export interface CaughtUp {
  readonly intents: number;
  readonly more: boolean;
}

export interface NodeEvents {
  status: NodeStatus;
  /** What the service decided about a stored quote. */
  notice: QuoteNotice;
  /** What was missed has been sent once more; with `more` the node asks again by itself. */
  caughtUp: CaughtUp;
  /** What became of a quote on its way: stored, refused, unconfirmed or cancelled. */
  quote: QuoteReport;
  error: NodeFault;
}

export interface NodeHealth {
  readonly state: NodeState;
  readonly nodeId: string | undefined;
  readonly connected: boolean;
  /** RFC 3339; undefined with a direct connection. */
  readonly credentialsExpire: string | undefined;
  readonly waiting: number;
  readonly running: number;
  readonly unconfirmedQuotes: number;
  readonly counters: Readonly<NodeCounters>;
}

/** Since the start. */
export interface NodeCounters {
  received: number;
  duplicates: number;
  rejected: number;
  declined: number;
  quotesStored: number;
  quotesRefused: number;
  quotesUnconfirmed: number;
  handlerFailures: number;
}

export const noCounters = (): NodeCounters => ({
  received: 0,
  duplicates: 0,
  rejected: 0,
  declined: 0,
  quotesStored: 0,
  quotesRefused: 0,
  quotesUnconfirmed: 0,
  handlerFailures: 0,
});

export interface DrainReport {
  /** Intents that were cut off when the time was up. */
  readonly abandoned: number;
}
