// Verbs about the realtime gateway: its connections, what buyers' tokens open, events of one's own.

import {
  type BuyerRevocationQuery,
  type BuyerRevocationRequest,
  type BuyerRevocationView,
  type ConnectionPage,
  type ConnectionQuery,
  type ConnectionView,
  newId,
  type PublishAnswer,
  type PublishRequest,
} from "@outcry/protocol";
import type { Page } from "./admin.js";
import { call, type HttpDeps, type HttpRequest, queryOf } from "./http.js";

/** Without an id it gets a fresh one; give it yourself where you may have to repeat it. */
export type EventToPublish = Omit<PublishRequest, "id"> & { id?: string };

export interface GatewayClient {
  /** Of all gateway processes, newest first. */
  connections(query?: ConnectionQuery): Promise<ConnectionPage>;
  connection(id: string): Promise<ConnectionView>;
  /** Ends a connection; its client does not come back by itself. */
  kick(id: string): Promise<void>;
  /** Takes back what a buyer's tokens open: one channel, or everything. */
  revoke(request: BuyerRevocationRequest): Promise<BuyerRevocationView>;
  revocations(query?: BuyerRevocationQuery): Promise<Page<BuyerRevocationView>>;
  /** Resolves when the event is stored; `repeated` where its id was there before. */
  publish(channel: string, event: EventToPublish): Promise<PublishAnswer>;
}

export function gatewayClient(http: HttpDeps): GatewayClient {
  const ask = async <T>(method: HttpRequest["method"], path: string, body?: unknown): Promise<T> =>
    (await call<T>(http, { method, path, repeatable: true, ...(body === undefined ? {} : { body }) })).value;
  const connection = (id: string) => `/v1/gateway/connections/${encodeURIComponent(id)}`;
  return {
    connections: (query = {}) => ask("GET", `/v1/gateway/connections${queryOf({ ...query })}`),
    connection: (id) => ask("GET", connection(id)),
    kick: (id) => ask("DELETE", connection(id)),
    revoke: (request) => ask("POST", "/v1/gateway/revocations", request),
    revocations: (query = {}) => ask("GET", `/v1/gateway/revocations${queryOf({ ...query })}`),
    publish: (channel, event) =>
      ask("POST", `/v1/channels/${encodeURIComponent(channel)}/events`, { ...event, id: event.id ?? newId("evt") }),
  };
}
