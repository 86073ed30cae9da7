// Appends events to EVENTS, idempotent by event id for as long as the topic is kept. Needs a NATS user that may write the stream; the
// gateway's own may not.

import { type Backbone, createAppender, createOnceAppender } from "@outcry/backbone";
import { check, Event, parseChannel, STREAMS, topicIsIn } from "@outcry/protocol";
import type { EventPublisher } from "../channels/policy.js";

export function natsPublisher({ backbone }: { backbone: Backbone }): EventPublisher {
  const once = createOnceAppender({ backbone, appender: createAppender(backbone, { stream: STREAMS.events }) });
  return {
    async publish(channel, event) {
      const parsed = parseChannel(channel);
      const checked = check(Event, event);
      if (checked.kind !== "ok")
        return { kind: "refused", code: "validation_failed", detail: checked.pointers[0]?.detail ?? "not an event" };
      if (parsed === undefined || !topicIsIn(parsed, event.topic))
        return { kind: "refused", code: "channel_invalid", detail: "the event's topic is not of this channel" };
      const data = Buffer.from(JSON.stringify(event));
      // With the topic: one id on two topics is two events.
      const msgId = `${event.id} ${event.topic}`;
      const { kind, seq } = await once.append({ subject: event.topic, data, eventId: event.id, msgId });
      return { kind: kind === "appended" ? "published" : "repeated", seq };
    },
  };
}
