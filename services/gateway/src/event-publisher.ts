// publishEvent's other end: appends to EVENTS, idempotent by event id for as long as the topic is kept. Needs a NATS user that may
// write the stream; the gateway's own may not.

import { type Backbone, createAppender, createOnceAppender } from "@outcry/backbone";
import { check, Event, STREAMS } from "@outcry/protocol";
import type { EventPublisher } from "@outcry/ws-gateway";
import { parseChannel, topicIsIn } from "./channels.js";

export function eventPublisher({ backbone }: { backbone: Backbone }): EventPublisher {
  const once = createOnceAppender({ backbone, appender: createAppender(backbone, { stream: STREAMS.events }) });
  return {
    async publish(channel, event) {
      const parsed = parseChannel(channel);
      const checked = check(Event, event);
      if (checked.kind !== "ok")
        return { kind: "refused", code: "validation_failed", detail: checked.pointers[0]?.detail ?? "not an event" };
      if (parsed === undefined || !topicIsIn(parsed, event.topic))
        return { kind: "refused", code: "channel_invalid", detail: "the event's topic is not of this channel" };
      const entry = { subject: event.topic, data: Buffer.from(JSON.stringify(event)), eventId: event.id };
      const { kind, seq } = await once.append(entry);
      return { kind: kind === "found" ? "repeated" : "published", seq };
    },
  };
}
