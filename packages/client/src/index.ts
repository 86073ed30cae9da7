export { ApiError, isApiError } from "./api-error.js";
export type {
  AdminClient,
  LetterPageOptions,
  NodesClient,
  Page,
  PageOptions,
  ReplaysClient,
  SigningKeysClient,
} from "./admin.js";
export type { BroadcastOptions, BroadcastResult } from "./broadcast.js";
export { type Client, type ClientOptions, createClient, type EndView } from "./create-client.js";
export type { EventToPublish, GatewayClient } from "./gateway-admin.js";
export type { FeedItem, FeedOptions } from "./event-feed.js";
export { verifyWebhook, type WebhookHeaders, type VerifyOptions } from "./verify-webhook.js";
export * from "./realtime/index.js";
export type { WebhooksClient } from "./webhooks.js";
export type { QuotesOptions } from "./wait-for.js";
export { isOutcryError, OutcryError } from "@outcry/protocol";
