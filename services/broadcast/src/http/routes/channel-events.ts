// /v1/channels/{channel}/events: a backend's or admin's own event, stored before it is answered.

import { PublishAnswer, PublishRequest } from "@outcry/protocol";
import Type from "typebox";
import { type PublishDeps, publishEvent } from "../../gateway/publish-event.js";
import type { App } from "../principal.js";

export function channelEventRoutes(app: App, deps: PublishDeps): void {
  app.post(
    "/v1/channels/:channel/events",
    {
      config: {
        roles: ["backend", "admin"],
        problems: ["channel_invalid", "channel_forbidden", "event_type_reserved", "version_unknown", "record_full"],
      },
      schema: {
        operationId: "publishEvent",
        summary: "Publish an event on an intent's channel (admins: on a node's, too)",
        description:
          "Stored when it is answered: 201, or 200 where the same id was stored on this channel before. What is left out of the event is " +
          "filled in. Types that the service itself writes are refused.",
        tags: ["gateway"],
        params: Type.Object({ channel: Type.String() }),
        body: PublishRequest,
        response: { 200: PublishAnswer, 201: PublishAnswer },
      },
    },
    async ({ principal, params, body, trace }, reply) => {
      const answer = await publishEvent(deps, principal, params.channel, body, trace.traceId);
      return reply.code(answer.status === "published" ? 201 : 200).send(answer);
    },
  );
}
