// /v1/webhooks: a backend's own receivers of events. A secret is in the answer that made it and nowhere else.

import { type Backbone, consumerPlace } from "@outcry/backbone";
import {
  LIMITS,
  page,
  RecoverAccepted,
  RecoverRequest,
  STREAMS,
  toRfc3339,
  type WebhookAttempt,
  WebhookAttempts,
  WebhookChange,
  WebhookCreated,
  WebhookRequest,
  WebhookSecret,
  WebhookTested,
  WebhookView,
} from "@outcry/protocol";
import Type, { type Static } from "typebox";
import type { StoredWebhook } from "../../access/access-book.js";
import { countedSinceMs } from "../../webhooks/deliver-event.js";
import {
  changeWebhook,
  createWebhook,
  durableOf,
  listWebhooks,
  ownWebhook,
  recoverWebhook,
  removeWebhook,
  rotateSecret,
  type WebhookBookDeps,
  webhookView,
} from "../../webhooks/webhook-book.js";
import { type App, backendOf } from "../principal.js";

export interface WebhookRouteDeps extends WebhookBookDeps {
  readonly backbone: Backbone;
  readonly test: (webhook: StoredWebhook, traceId: string) => Promise<Static<typeof WebhookTested>>;
}

const ATTEMPTS_DEFAULT = 20;
const Params = Type.Object({ id: Type.String({ maxLength: 64 }) });
const tags = ["webhooks"];
const own = { roles: ["backend"], problems: ["webhook_not_found"] } as const;

export function webhookRoutes(app: App, deps: WebhookRouteDeps): void {
  storeRoutes(app, deps);
  workRoutes(app, deps);
}

function storeRoutes(app: App, deps: WebhookRouteDeps): void {
  app.post(
    "/v1/webhooks",
    {
      config: { roles: ["backend"], problems: ["webhook_url_refused", "webhook_limit"] },
      schema: {
        tags,
        operationId: "createWebhook",
        summary: "Have events sent to a URL, from now on",
        body: WebhookRequest,
        response: { 201: WebhookCreated },
      },
    },
    async (request, reply) => {
      const created = await createWebhook(deps, backendOf(request.principal), request.body);
      return reply.code(201).header("location", `/v1/webhooks/${created.id}`).send(created);
    },
  );

  app.get(
    "/v1/webhooks",
    {
      config: { roles: ["backend"] },
      schema: {
        tags,
        operationId: "listWebhooks",
        summary: "Your webhooks, oldest first",
        response: { 200: page(WebhookView) },
      },
    },
    async (request) => ({ data: listWebhooks(deps, backendOf(request.principal)), has_more: false }),
  );

  app.get(
    "/v1/webhooks/:id",
    {
      config: own,
      schema: { tags, operationId: "getWebhook", summary: "A webhook", params: Params, response: { 200: WebhookView } },
    },
    async (request) => webhookView(await ownWebhook(deps, backendOf(request.principal), request.params.id)),
  );

  app.patch(
    "/v1/webhooks/:id",
    {
      config: { ...own, problems: ["webhook_not_found", "webhook_url_refused"] },
      schema: {
        tags,
        operationId: "changeWebhook",
        summary: "Change a webhook, pause it, or let it go on",
        params: Params,
        body: WebhookChange,
        response: { 200: WebhookView },
      },
    },
    async (request) => changeWebhook(deps, backendOf(request.principal), request.params.id, request.body),
  );

  app.delete(
    "/v1/webhooks/:id",
    {
      config: own,
      schema: {
        tags,
        operationId: "deleteWebhook",
        summary: "Delete a webhook; an attempt under way ends",
        params: Params,
        response: { 204: Type.Null({ description: "Deleted." }) },
      },
    },
    async (request, reply) => {
      await removeWebhook(deps, backendOf(request.principal), request.params.id);
      return reply.code(204).send(null);
    },
  );
}

function workRoutes(app: App, deps: WebhookRouteDeps): void {
  app.get(
    "/v1/webhooks/:id/attempts",
    {
      config: own,
      schema: {
        tags,
        operationId: "listWebhookAttempts",
        summary: "The last attempts, newest first",
        params: Params,
        querystring: Type.Object({
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIMITS.webhookAttemptsKept })),
        }),
        response: { 200: WebhookAttempts },
      },
    },
    async (request) => {
      const webhook = await ownWebhook(deps, backendOf(request.principal), request.params.id);
      return viewAttempts(deps, webhook, request.query.limit ?? ATTEMPTS_DEFAULT);
    },
  );

  app.post(
    "/v1/webhooks/:id/test",
    {
      config: { ...own, problems: ["webhook_not_found", "rate_limited"] },
      preValidation: noBody,
      schema: {
        tags,
        operationId: "testWebhook",
        summary: "Send a signed WEBHOOK_TEST now, once, and tell what came back",
        params: Params,
        response: { 200: WebhookTested },
      },
    },
    async (request) => {
      const webhook = await ownWebhook(deps, backendOf(request.principal), request.params.id);
      return deps.test(webhook, request.trace.traceId);
    },
  );

  app.post(
    "/v1/webhooks/:id/recover",
    {
      config: own,
      schema: {
        tags,
        operationId: "recoverWebhook",
        summary: "Send everything since a time again, under the same ids",
        params: Params,
        body: RecoverRequest,
        response: { 202: RecoverAccepted },
      },
    },
    async (request, reply) => {
      const { since } = request.body;
      return reply.code(202).send(await recoverWebhook(deps, backendOf(request.principal), request.params.id, since));
    },
  );

  app.post(
    "/v1/webhooks/:id/secret",
    {
      config: own,
      preValidation: noBody,
      schema: {
        tags,
        operationId: "rotateWebhookSecret",
        summary: "A new secret; for 24 hours the one before it signs, too",
        params: Params,
        response: { 200: WebhookSecret },
      },
    },
    async (request) => rotateSecret(deps, backendOf(request.principal), request.params.id),
  );
}

async function noBody(request: { body: unknown }): Promise<void> {
  request.body ??= {};
}

async function viewAttempts(
  { backbone, table }: WebhookRouteDeps,
  webhook: StoredWebhook,
  limit: number,
): Promise<WebhookAttempts> {
  const [texts, failingSinceMs, place] = await Promise.all([
    table.attempts(webhook.id, limit + 1),
    table.failingSinceMs(webhook.id),
    consumerPlace(backbone, STREAMS.events, durableOf(webhook)),
  ]);
  const sinceMs = countedSinceMs(webhook, failingSinceMs);
  return {
    data: texts.slice(0, limit).map((text) => JSON.parse(text) as WebhookAttempt),
    has_more: texts.length > limit,
    waiting: place?.waiting ?? 0,
    in_hand: place?.inHand ?? 0,
    ...(sinceMs === undefined ? {} : { failing_since: toRfc3339(sinceMs) }),
  };
}
