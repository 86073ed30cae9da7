// Names of channels, and which topics belong to them (docs/gateway-protocol.md §7).

import { parseTopic, TOPICS } from "./subjects.js";

const CHANNEL = /^([a-z]+):([A-Za-z0-9_.:-]{1,128})$/;

export interface Channel {
  readonly kind: string;
  readonly id: string;
}

export function parseChannel(channel: string): Channel | undefined {
  const [, kind, id] = CHANNEL.exec(channel) ?? [];
  return kind === undefined || id === undefined ? undefined : { kind, id };
}

/** Whether an event on this topic may be published through this channel. */
export function topicIsIn({ kind, id }: Channel, subject: string): boolean {
  const topic = parseTopic(subject);
  if (topic === undefined) return false;
  if (kind === "backend") return TOPICS.backend(id) === `rt.*.${topic.backend}.>`;
  return (kind === "intent" || kind === "node") && topic.kind === kind && topic.id === id;
}
