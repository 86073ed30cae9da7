// The client of backends, browsers and operators: the contract's verbs over HTTP, channels over the WebSocket. Needs fetch and, for channels, a WebSocket.

import {
  type AcksView,
  type AmendRequest,
  type Clock,
  type ExplainView,
  type IntentAccepted,
  type IntentAmended,
  type IntentRequest,
  type IntentView,
  OutcryError,
  type QuotesView,
  type Receipt,
  type RevisionsView,
  type RevisionView,
  systemClock,
  type TimelineView,
} from "@outcry/protocol";
import { type AdminClient, adminClient } from "./admin.js";
import { amend, broadcast, type BroadcastOptions, type BroadcastResult, postIntent } from "./broadcast.js";
import { type FeedItem, type FeedOptions, readFeed } from "./event-feed.js";
import { call, type HttpDeps, type HttpRequest, queryOf } from "./http.js";
import type { WebSocketConstructor } from "./realtime/connection.js";
import type { CursorStore } from "./realtime/cursor-store.js";
import { createRealtime, type Realtime } from "./realtime/realtime.js";
import { type WebhooksClient, webhooksClient } from "./webhooks.js";
import { collectAcks, type QuotesOptions, readQuotes } from "./wait-for.js";

export interface ClientOptions {
  /** Base URL of the HTTP API. */
  url: string;
  /** The gateway's address; by default `/v1/ws` under `url`. */
  gatewayUrl?: string;
  apiKey?: string;
  /** In place of a key: asked before each request, and again when a token has expired. */
  getToken?: () => string | Promise<string>;
  fetch?: typeof fetch;
  /** Node has one of its own from version 22 on; before that pass npm `ws`. */
  WebSocket?: WebSocketConstructor;
  /** Where channels keep their cursors; by default in memory. */
  cursors?: CursorStore;
  clock?: Clock;
  random?: () => number;
}

export interface TimelineOptions {
  /** Only this node. */
  nodeId?: string;
  /** Nodes per page. */
  limit?: number;
  /** `next_cursor` of the page before. */
  cursor?: string;
}

export interface EndView {
  id: string;
  status: string;
  reason?: string;
}

export interface Client extends AdminClient {
  /** Posts an intent; `targetNodes` replaces the choice by category and region. */
  broadcast(
    request: IntentRequest,
    targetNodes?: readonly string[],
    options?: BroadcastOptions,
  ): Promise<BroadcastResult>;
  /** The POST of broadcast() alone: one request, no receipts. */
  post(request: IntentRequest, targetNodes?: readonly string[], options?: BroadcastOptions): Promise<IntentAccepted>;
  /** Waits until no node is pending, at most that long. */
  collectAcks(intentId: string, timeoutMs: number, options?: { signal?: AbortSignal }): Promise<AcksView>;
  quotes(intentId: string, options?: QuotesOptions): Promise<QuotesView>;
  intent(intentId: string): Promise<IntentView>;
  receipts(intentId: string): Promise<Receipt[]>;
  /** Why this node was or was not asked. */
  explain(intentId: string, nodeId: string): Promise<ExplainView>;
  /** What happened, step by step; the nodes come in pages. */
  timeline(intentId: string, options?: TimelineOptions): Promise<TimelineView>;
  /** What is given replaces the standing member whole, null removes it; the same nodes get the intent anew. */
  amend(
    intentId: string,
    changes: AmendRequest,
    options?: BroadcastOptions,
  ): Promise<IntentAmended & { idempotencyKey: string; replayed: boolean }>;
  /** Every revision as it was signed, the first one as it was posted. */
  revisions(intentId: string): Promise<RevisionView[]>;
  cancel(intentId: string, reason?: string): Promise<EndView>;
  close(intentId: string, reason?: string): Promise<EndView>;
  /** Channels over one WebSocket, which is open while one of them is. */
  readonly realtime: Realtime;
  /** A backend's own events over HTTP, from a cursor on and without end; the same cursor as that of its channel. */
  events(feed?: FeedOptions): AsyncGenerator<FeedItem, void>;
  readonly webhooks: WebhooksClient;
}

export function createClient(options: ClientOptions): Client {
  const baseUrl = options.url.replace(/\/+$/, "");
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  const http: HttpDeps = {
    baseUrl,
    credential: credentialOf(options),
    renewable: options.getToken !== undefined,
    fetch: options.fetch ?? ((...given) => fetch(...given)), // browsers refuse a fetch that is called as a method of something else
    random,
  };
  const ask = async <T>(request: HttpRequest): Promise<T> => (await call<T>(http, request)).value;
  const intentPath = (id: string, rest = "") => `/v1/intents/${encodeURIComponent(id)}${rest}`;
  const end = (id: string, verb: "cancel" | "close", reason?: string) =>
    ask<EndView>({
      method: "POST",
      path: intentPath(id, `/${verb}`),
      body: reason === undefined ? {} : { reason },
      repeatable: true,
    });
  const waiting = { http, clock };
  let realtime: Realtime | undefined;

  return {
    ...adminClient(http),
    webhooks: webhooksClient(http),
    get realtime() {
      return (realtime ??= createRealtime({
        ...options,
        url: options.gatewayUrl ?? `${baseUrl.replace(/^http/, "ws")}/v1/ws`,
        getToken: http.credential,
      }));
    },
    broadcast: (request, targetNodes, more) => broadcast(http, request, targetNodes, more),
    post: async (request, targetNodes, more) => (await postIntent(http, request, targetNodes, more)).accepted,
    collectAcks: (intentId, timeoutMs, more) => collectAcks(waiting, intentId, timeoutMs, more?.signal),
    quotes: (intentId, more) => readQuotes(waiting, intentId, more),
    intent: (intentId) => ask({ method: "GET", path: intentPath(intentId), repeatable: true }),
    receipts: async (intentId) =>
      (await ask<{ data: Receipt[] }>({ method: "GET", path: intentPath(intentId, "/receipts"), repeatable: true }))
        .data,
    explain: (intentId, nodeId) =>
      ask({ method: "GET", path: intentPath(intentId, `/explain${queryOf({ node_id: nodeId })}`), repeatable: true }),
    timeline: (intentId, { nodeId, limit, cursor } = {}) =>
      ask({
        method: "GET",
        path: intentPath(intentId, `/timeline${queryOf({ node_id: nodeId, limit, cursor })}`),
        repeatable: true,
      }),
    amend: (intentId, changes, more) => amend(http, intentId, changes, more),
    revisions: async (intentId) =>
      (await ask<RevisionsView>({ method: "GET", path: intentPath(intentId, "/revisions"), repeatable: true })).data,
    cancel: (intentId, reason) => end(intentId, "cancel", reason),
    close: (intentId, reason) => end(intentId, "close", reason),
    events: (feed) => readFeed(http, feed),
  };
}

function credentialOf({ apiKey, getToken }: ClientOptions): () => Promise<string> {
  if (getToken !== undefined) return async () => getToken();
  if (apiKey !== undefined) return () => Promise.resolve(apiKey);
  throw new OutcryError("credentials_missing", "createClient needs apiKey or getToken");
}
