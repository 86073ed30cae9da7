// A message as a stream holds it, from each of the three forms in which the server hands it out.

import type { HeaderView, Incoming } from "./headers.js";
import { TimestampReader } from "./timestamps.js";

export interface Stored {
  readonly stream: string;
  readonly subject: string;
  readonly seq: number;
  /** When the stream stored it, by the server's clock, epoch ms. */
  readonly time: number;
  readonly data: Uint8Array;
  readonly headers: HeaderView;
}

const timestamps = new TimestampReader();

/** From a Direct Get reply, or from a republished message (ADR-28): both carry the place as `Nats-*` headers. */
export function storedFromHeaders(message: Incoming): Stored | undefined {
  const headers = message.headers;
  const stream = headers.last("Nats-Stream");
  const subject = headers.last("Nats-Subject");
  const seq = Number(headers.last("Nats-Sequence"));
  const time = timestamps.read(headers.last("Nats-Time-Stamp") ?? "");
  if (stream === undefined || subject === undefined || !Number.isSafeInteger(seq) || Number.isNaN(time))
    return undefined;
  return { stream, subject, seq, time, data: message.data, headers };
}

export interface Delivered {
  readonly stored: Stored;
  /** 1 on the first delivery. */
  readonly deliveryCount: number;
}

/** From a consumer's delivery, whose place stands in the reply subject `$JS.ACK.…` that the server made. */
export function storedFromDelivery(message: Incoming): Delivered | undefined {
  const tokens = message.reply?.split(".") ?? [];
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined;
  // Nine tokens, or eleven and more with domain and account hash in front of the stream.
  const at = tokens.length >= 11 ? 4 : 2;
  const [stream, , deliveries, seq, , nanoseconds] = tokens.slice(at);
  if (stream === undefined || nanoseconds === undefined) return undefined;
  const time = Number(nanoseconds.slice(0, -6)); // whole milliseconds of a number beyond 2^53
  const stored = {
    stream,
    subject: message.subject,
    seq: Number(seq),
    time,
    data: message.data,
    headers: message.headers,
  };
  return { stored, deliveryCount: Number(deliveries) };
}
