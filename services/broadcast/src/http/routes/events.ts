// /v1/events: a backend's own events by cursor, the pull side of what sockets and webhooks push.

import { EVENT_TYPES, EventPage, LIMITS, OutcryError, PUBLISHABLE_TYPES } from "@outcry/protocol";
import Type from "typebox";
import { type AwaitFeedDeps, awaitFeed } from "../../feed/await-feed.js";
import { type App, backendOf } from "../principal.js";

const PAGE_DEFAULT = 50;

export function eventRoutes(app: App, deps: AwaitFeedDeps): void {
  app.get(
    "/v1/events",
    {
      config: { roles: ["backend"], problems: ["cursor_invalid", "cursor_gone"] },
      schema: {
        tags: ["events"],
        operationId: "readEvents",
        summary: "Your own events, oldest first",
        description:
          "Go on with `after=<next_cursor>`. Without `after` it begins with the oldest event kept. With `wait_ms` an empty " +
          "page waits for the next event. The cursor is that of the channel `backend:<id>`, too.",
        querystring: Type.Object({
          after: Type.Optional(Type.String({ maxLength: 64 })),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: LIMITS.feedPageMax })),
          types: Type.Optional(Type.String({ maxLength: 1_000, description: "event types, separated by commas" })),
          wait_ms: Type.Optional(Type.Integer({ minimum: 0, maximum: LIMITS.acksLongPollMaxMs })),
        }),
        response: { 200: EventPage },
      },
    },
    async (request) => {
      const { after, limit = PAGE_DEFAULT, types, wait_ms: waitMs = 0 } = request.query;
      const query = { backendId: backendOf(request.principal), after, limit, types: typesOf(types) };
      return awaitFeed(deps, query, waitMs);
    },
  );
}

function typesOf(text: string | undefined): string[] {
  const types = text === undefined ? [] : text.split(",");
  const known: string[] = [...EVENT_TYPES, ...PUBLISHABLE_TYPES];
  const unknown = types.filter((type) => !known.includes(type));
  if (unknown.length === 0) return types;
  const detail = `must be among ${known.join(", ")}`;
  throw new OutcryError("request_invalid", "`types` names an unknown event type.", {
    pointers: [{ pointer: "/types", detail }],
  });
}
