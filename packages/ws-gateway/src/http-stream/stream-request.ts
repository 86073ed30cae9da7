// What `GET /v1/stream` asks for (docs/gateway-protocol.md §9). Nothing is decided here.

import type { IncomingMessage } from "node:http";
import { readWanted, type Wanted } from "../channels/wanted.js";
import { type HttpFormat, linesFormat, sseFormat } from "./http-format.js";

export interface StreamRequest {
  readonly token: string | undefined;
  readonly channel: string;
  readonly wanted: Wanted;
  readonly format: HttpFormat;
  /** It ends for good at any answer but 200: what is temporary must be said within one. */
  readonly isEventSource: boolean;
}

const PARAMETERS = [
  "channel",
  "cursor",
  "from",
  "rewind_count",
  "rewind_ms",
  "mode",
  "types",
  "presence",
  "access_token",
];

/** A text says what is wrong. */
export function readStreamRequest({ url, headers }: IncomingMessage): StreamRequest | string {
  const query = new URL(url ?? "/", "http://gateway.invalid").searchParams;
  for (const name of query.keys()) {
    if (!PARAMETERS.includes(name)) return `${name} is not known: ${PARAMETERS.join(", ")} are`;
    if (query.getAll(name).length > 1) return `${name} stands twice`;
  }
  const channel = query.get("channel");
  if (channel === null) return "channel is missing";
  const wanted = readWanted(lastEventId(headers) ?? query.get("cursor") ?? undefined, wishOf(query));
  if (typeof wanted === "string") return wanted;
  const accept = headers.accept ?? "";
  return {
    token: bearer(headers.authorization) ?? query.get("access_token") ?? undefined,
    channel,
    wanted,
    format: accept.includes(linesFormat.contentType) ? linesFormat : sseFormat,
    isEventSource: accept.includes(sseFormat.contentType),
  };
}

function wishOf(query: URLSearchParams): Record<string, unknown> {
  const text = (name: string): string | undefined => query.get(name) ?? undefined;
  const number = (name: string): number | undefined => (query.has(name) ? Number(query.get(name)) : undefined);
  const [count, ms] = [number("rewind_count"), number("rewind_ms")];
  return {
    from: text("from"),
    rewind: count === undefined && ms === undefined ? undefined : { count, ms },
    mode: text("mode"),
    types: text("types")?.split(","),
    presence: query.has("presence") ? query.get("presence") === "true" : undefined,
  };
}

/** An EventSource keeps its address: what it has heard since is in the header. */
function lastEventId(headers: IncomingMessage["headers"]): string | undefined {
  const id = headers["last-event-id"];
  return typeof id === "string" && id !== "" ? id : undefined;
}

const bearer = (authorization: string | undefined): string | undefined =>
  /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
