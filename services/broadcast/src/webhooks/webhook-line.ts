// One webhook while this process runs it: events of one topic in their order, several topics at a time, over connections that are kept.

import type { ConsumedMessage } from "@outcry/backbone";
import { LIMITS, OutcryError } from "@outcry/protocol";
import { deliverEvent, type DeliverDeps } from "./deliver-event.js";
import { KeptConnections } from "./kept-connections.js";
import { createTopicOrder } from "./topic-order.js";

export interface WebhookLine {
  /** As a consumer's handler. */
  deliver(message: ConsumedMessage): Promise<void>;
  /** What is under way ends; what waits is given back, once the consumer stops. */
  close(): void;
}

/** `consumer`: the durable name that its events come from. */
export function openLine(deps: DeliverDeps, webhookId: string, consumer: string): WebhookLine {
  const order = createTopicOrder(LIMITS.webhookInFlightMax);
  const connections = new KeptConnections(deps.post);
  const at = { webhookId, consumer, connections };
  return {
    deliver: (message) => order.run(message.stored.subject, () => deliverEvent(deps, at, message)),
    close() {
      order.close(new OutcryError("dependency_unavailable", "This process stops sending for the webhook."));
      connections.close();
    },
  };
}
