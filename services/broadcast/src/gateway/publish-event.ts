// An event of the marketplace's own on an intent's or a node's channel: stored once by its id, then heard by whoever may open the channel.
// What the service itself writes is refused: each of those events has one appender, and readers of the record rely on it.

import { setTimeout as sleep } from "node:timers/promises";
import { type Backbone, getLast } from "@outcry/backbone";
import type { IntentBook } from "@outcry/delivery";
import {
  type Clock,
  EVENTS,
  isFreshId,
  isId,
  OutcryError,
  parseChannel,
  PROTOCOL_VERSION,
  PUBLISHABLE_TYPES,
  type PublishAnswer,
  type PublishRequest,
  STREAMS,
  TOPICS,
  toRfc3339,
} from "@outcry/protocol";
import type { EventPublisher, PublishableEvent } from "@outcry/ws-gateway";
import type { Principal } from "../http/principal.js";

const LOOK_EVERY_MS = 20;
const LOOKS_MAX = 100; // two seconds: an intent is dispatched within some milliseconds, or something is down

export interface PublishDeps {
  readonly backbone: Backbone;
  readonly publisher: EventPublisher;
  readonly book: IntentBook;
  nodeExists(nodeId: string): boolean;
  /** Throws while the record is nearly full. */
  requireRoom(): void;
  readonly clock: Clock;
}

export async function publishEvent(
  deps: PublishDeps,
  principal: Principal,
  channel: string,
  request: PublishRequest,
  traceId: string,
): Promise<PublishAnswer> {
  const topic = await topicOf(deps, principal, channel);
  requireShape(channel, request, topic);
  deps.requireRoom();
  if (topic.startsWith("rt.intent.")) await firstEvent(deps.backbone, topic);
  const published = await deps.publisher.publish(channel, eventOf(deps, request, topic, traceId));
  if (published.kind === "refused") throw new OutcryError(published.code, published.detail);
  return { id: request.id, channel, topic, status: published.kind };
}

/** The one topic of the channel, for callers who may publish there. "Not yours" and "not there" are one answer. */
async function topicOf({ book, nodeExists }: PublishDeps, principal: Principal, channel: string): Promise<string> {
  const parsed = parseChannel(channel);
  if (parsed === undefined) throw new OutcryError("channel_invalid");
  const { kind, id } = parsed;
  const isAdmin = principal.role === "admin";
  if (kind === "intent" && isId("int", id)) {
    const intent = await book.get(id);
    if (intent !== undefined && (isAdmin || intent.record.backend_id === principal.backendId)) return intent.topic;
  }
  if (kind === "node" && isAdmin && isId("nod", id) && nodeExists(id)) return TOPICS.node(id);
  throw new OutcryError("channel_forbidden", "Nothing of this name takes your events.");
}

/** The pipeline's first event proves by its place that it is the first: nothing may come before it. */
async function firstEvent(backbone: Backbone, topic: string): Promise<void> {
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    if ((await getLast(backbone, STREAMS.events, topic)) !== undefined) return;
    await sleep(LOOK_EVERY_MS);
  }
  throw new OutcryError("dependency_unavailable", "The intent is not dispatched yet.");
}

function requireShape(
  channel: string,
  { id, type, topic: named, protocol_version, data }: PublishRequest,
  topic: string,
) {
  if (named !== undefined && named !== topic) throw wrong("channel_invalid", "/topic", "is not the channel's own");
  if (Object.hasOwn(EVENTS, type)) throw wrong("event_type_reserved", "/type", "is written by the service alone");
  if (!PUBLISHABLE_TYPES.includes(type))
    throw wrong("validation_failed", "/type", `must be one of ${PUBLISHABLE_TYPES.join(", ")}`);
  // Derived ids are how the pipeline finds its own events again: one that is foreign would pass for them.
  if (!isFreshId("evt", id)) throw wrong("validation_failed", "/id", "must be a fresh id (UUIDv7)");
  if (protocol_version !== undefined && protocol_version !== PROTOCOL_VERSION)
    throw wrong("version_unknown", "/protocol_version", `must be ${PROTOCOL_VERSION}`);
  const [subject, own] = channel.split(":") as [string, string];
  const told = data[`${subject}_id`];
  if (told !== undefined && told !== own)
    throw wrong("validation_failed", `/data/${subject}_id`, "is not the channel's own");
}

const eventOf = (
  { clock }: PublishDeps,
  { id, type, data, schema_version, time, trace_id }: PublishRequest,
  topic: string,
  traceId: string,
): PublishableEvent => ({
  id,
  type,
  schema_version: schema_version ?? 1,
  protocol_version: PROTOCOL_VERSION,
  time: time ?? toRfc3339(clock.now()),
  topic,
  trace_id: trace_id ?? traceId,
  data: data as PublishableEvent["data"],
});

const wrong = (
  code: "validation_failed" | "channel_invalid" | "event_type_reserved" | "version_unknown",
  pointer: string,
  detail: string,
): OutcryError => new OutcryError(code, `${pointer.slice(1)} ${detail}.`, { pointers: [{ pointer, detail }] });
