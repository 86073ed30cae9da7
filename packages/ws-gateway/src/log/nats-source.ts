// The event source on NATS: core subscription to the republished subject (ADR-28), Direct Get for reads (ADR-31), no consumer.
// The stream is EVENTS itself on one server, or a tap that mirrors it: then tap-source.ts stands before this.

import { type Backbone, type Incoming, readBatch, type Stored, streamHead, TimestampReader } from "@outcry/backbone";
import { EVENT_SUBJECTS, livePrefix, OutcryError } from "@outcry/protocol";
import type { EventSource, SourceMessage } from "./event-source.js";

export interface NatsSourceDeps {
  readonly backbone: Backbone;
  /** EVENTS or its tap. */
  readonly stream: string;
  readonly region: string;
}

export function natsSource({ backbone, stream, region }: NatsSourceDeps): EventSource {
  const prefix = livePrefix(region);
  const timestamps = new TimestampReader();
  return {
    get up() {
      return backbone.health.up;
    },
    listen(onMessage) {
      const subscription = backbone.subscribe(`${prefix}.${EVENT_SUBJECTS}`, (incoming) => {
        const message = republished(incoming, prefix.length + 1, timestamps);
        if (message !== undefined) onMessage(message);
      });
      return () => subscription.close();
    },
    async read({ seq, filter, batch, bytesMax }) {
      const query = { seq, batch, maxBytes: bytesMax };
      const page = await readBatch(backbone, stream, filter === undefined ? query : { ...query, filter });
      return { messages: page.messages.map(plain), pending: page.pending };
    },
    async head() {
      const { epoch, created, firstSeq, lastSeq, lastTime, replicas } = await streamHead(backbone, stream);
      if (replicas > 1) throw new OutcryError("promise_unkept", manyReplicas(stream, replicas));
      return { epoch: epoch ?? created, firstSeq, lastSeq, lastTime, createdAt: Date.parse(created) };
    },
    newestSeq: async () => (await streamHead(backbone, stream)).lastSeq,
    onUp: (listener) => backbone.health.onChange(listener),
  };
}

const manyReplicas = (stream: string, replicas: number): string =>
  `${stream} has ${replicas} replicas, of which one that is behind may answer: read a tap (docs/regions.md)`;

const plain = ({ seq, time, subject, data }: Stored): SourceMessage => ({ seq, time, subject, data });

/** Undefined for what no stream has republished. A publisher may send `Nats-Sequence` too: the server's own stands last. */
function republished(incoming: Incoming, prefixChars: number, clock: TimestampReader): SourceMessage | undefined {
  const { headers } = incoming;
  const seq = Number(headers.last("Nats-Sequence"));
  if (!Number.isSafeInteger(seq) || seq < 1) return undefined;
  const time = clock.read(headers.last("Nats-Time-Stamp") ?? "");
  return { seq, time, subject: incoming.subject.slice(prefixChars), data: incoming.data };
}
