// NATS message headers (ADR-4 of nats-architecture-and-design). Encoded once per fan-out, read from the raw bytes:
// going through nats.js's MsgHdrs doubles the cost of a received message.

import type { Msg, MsgHdrs } from "@nats-io/transport-node";

export type HeaderFields = Readonly<Record<string, string>>;

/** Headers as wire bytes, so that a thousand publishes of one attempt encode them once. */
export class EncodedHeaders {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
  /** The one method that nats.js calls on headers when it publishes. */
  encode(): Uint8Array {
    return this.bytes;
  }
}

const FIELD_NAME = /^[!-9;-~]+$/; // printable ASCII without the colon
const LINE_BREAK = /[\r\n]/; // would end the field and start another one

export function encodeHeaders(fields: HeaderFields): EncodedHeaders {
  return encodeHeaderLines(headerLines(fields));
}

/** The checked fields as header lines, to be joined with others before they are encoded. */
export function headerLines(fields: HeaderFields): string {
  let text = "";
  for (const [name, value] of Object.entries(fields)) {
    if (!FIELD_NAME.test(name) || LINE_BREAK.test(value))
      throw new TypeError(`header ${JSON.stringify(name)} is malformed`);
    text += `${name}: ${value}\r\n`;
  }
  return text;
}

export const encodeHeaderLines = (lines: string): EncodedHeaders =>
  new EncodedHeaders(Buffer.from(`NATS/1.0\r\n${lines}\r\n`));

/** What nats.js takes: it only calls `encode()` (nats-core 3.4.0, protocol.publish). */
export function natsHeaders(headers: EncodedHeaders | HeaderFields): MsgHdrs {
  return (headers instanceof EncodedHeaders ? headers : encodeHeaders(headers)) as unknown as MsgHdrs;
}

const VERSION = "NATS/1.0";
const BEGINS_MAX = 1_000; // names come from our own code; a bound all the same

const begins = new Map<string, string>();

/** What stands before a field's value: made once per name, since six fields are asked of each message of a page. */
function beginOf(name: string): string {
  let begin = begins.get(name);
  if (begin === undefined) {
    begin = `\r\n${name}:`;
    if (begins.size < BEGINS_MAX) begins.set(name, begin);
  }
  return begin;
}

/** Read-only view of received headers. Names match exactly. */
export class HeaderView {
  readonly #text: string;
  constructor(raw: Uint8Array) {
    this.#text = raw.length === 0 ? "" : Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString();
  }

  /** The last value: nats-server appends its own fields behind the publisher's, who may have sent the same names. */
  last(name: string): string | undefined {
    const begin = beginOf(name);
    const at = this.#text.lastIndexOf(begin);
    if (at < 0) return undefined;
    const from = at + begin.length + (this.#text.startsWith(" ", at + begin.length) ? 1 : 0); // spares most of them a second cut
    return this.#text.slice(from, this.#text.indexOf("\r\n", from)).trim();
  }

  /** 404 of `NATS/1.0 404 Message Not Found`; 0 when there is none. */
  get status(): number {
    if (this.#text.startsWith("\r", VERSION.length)) return 0;
    return Number.parseInt(this.#text.slice(VERSION.length, VERSION.length + 4), 10) || 0;
  }

  get description(): string {
    return this.#text.slice("NATS/1.0 404".length, Math.max(0, this.#text.indexOf("\r\n"))).trim();
  }

  /** Every field, the last value of a repeated name. */
  fields(): Record<string, string> {
    const fields: Record<string, string> = Object.create(null) as Record<string, string>;
    for (const line of this.#text.split("\r\n").slice(1)) {
      const colon = line.indexOf(":");
      if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trim();
    }
    return fields;
  }
}

/** Fields that came from outside, without `Nats-*`: those steer the server (message ids, expectations, traces, batches). */
export function foreignHeaders(headers: HeaderView): Record<string, string> {
  const fields = headers.fields();
  for (const name of Object.keys(fields)) if (/^nats-/i.test(name)) delete fields[name];
  return fields;
}

const NO_HEADERS = new HeaderView(new Uint8Array(0));

/** A received message. Headers are parsed when first asked for. */
export class Incoming {
  readonly #message: Msg;
  #headers: HeaderView | undefined;
  constructor(message: Msg) {
    this.#message = message;
  }
  get subject(): string {
    return this.#message.subject;
  }
  get reply(): string | undefined {
    return this.#message.reply || undefined;
  }
  get data(): Uint8Array {
    return this.#message.data;
  }
  get headers(): HeaderView {
    return (this.#headers ??= rawHeaders(this.#message));
  }
}

function rawHeaders(message: Msg): HeaderView {
  // Fields of MsgImpl in the pinned nats-core 3.4.0: header and payload stand in one array, `hdr` is the header's length.
  const inner = message as unknown as { _msg: { hdr: number }; _rdata: Uint8Array };
  return inner._msg.hdr > 0 ? new HeaderView(inner._rdata.subarray(0, inner._msg.hdr)) : NO_HEADERS;
}
