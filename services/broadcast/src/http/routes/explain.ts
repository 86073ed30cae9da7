// /v1/intents/{id}/explain and /timeline: why a node was asked or not, and what happened, step by step.

import type { IntentBook } from "@outcry/delivery";
import { ExplainView, OutcryError, TimelineView, isId } from "@outcry/protocol";
import Type from "typebox";
import { type ExplainDeps, explainSelection } from "../../explain-selection.js";
import type { ReadDeps } from "../../read-intent.js";
import { readTimeline } from "../../read-timeline.js";
import { IntentParams, ownIntent } from "../own-intent.js";
import type { App } from "../principal.js";

const NODES_DEFAULT = 200;
const NODES_MAX = 1_000; // about 300 bytes each
const CURSOR = /^[1-9]\d{0,5}$/; // a place among the targets
const NodeIdText = Type.String({ maxLength: 64 });

export interface ExplainRouteDeps {
  book: IntentBook;
  explain: ExplainDeps;
  read: ReadDeps;
}

const config = {
  roles: ["backend", "operator", "admin"],
  problems: ["intent_not_found", "request_invalid"],
} as const;

export function explainRoutes(app: App, deps: ExplainRouteDeps): void {
  app.get(
    "/v1/intents/:id/explain",
    {
      config,
      schema: {
        tags: ["intents"],
        summary: "Why a node was or was not asked",
        description: "Each filter with its verdict, over the registry as it was then and as it is now.",
        params: IntentParams,
        querystring: Type.Object({ node_id: NodeIdText }),
        response: { 200: ExplainView },
      },
    },
    async (request) => {
      const intent = await ownIntent(deps.book, request.params.id, request.principal);
      return explainSelection(deps.explain, intent, nodeIdOf(request.query.node_id));
    },
  );

  app.get(
    "/v1/intents/:id/timeline",
    {
      config,
      schema: {
        tags: ["intents"],
        summary: "What happened to an intent, step by step",
        description: "Every stage, and for each node every attempt, answer and quote, with times.",
        params: IntentParams,
        querystring: Type.Object({
          node_id: Type.Optional(NodeIdText),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: NODES_MAX })),
          cursor: Type.Optional(Type.String({ maxLength: 16 })),
        }),
        response: { 200: TimelineView },
      },
    },
    async (request) => {
      const intent = await ownIntent(deps.book, request.params.id, request.principal);
      const { node_id, limit = NODES_DEFAULT, cursor } = request.query;
      return readTimeline(deps.read, intent, {
        limit,
        from: cursor === undefined ? 0 : placeOf(cursor),
        ...(node_id === undefined ? {} : { nodeId: nodeIdOf(node_id) }),
      });
    },
  );
}

function nodeIdOf(text: string): string {
  if (!isId("nod", text)) throw new OutcryError("request_invalid", "node_id is no node's id.");
  return text;
}

function placeOf(cursor: string): number {
  if (!CURSOR.test(cursor)) throw new OutcryError("request_invalid", "The cursor is not one of this list.");
  return Number(cursor);
}
