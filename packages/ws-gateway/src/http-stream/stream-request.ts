// What `GET /v1/stream` asks for (docs/gateway-protocol.md §9). Nothing is decided here.

import type { IncomingMessage } from "node:http";
import { type HttpFormat, linesFormat, sseFormat } from "./http-format.js";

export interface StreamRequest {
  readonly token: string | undefined;
  readonly channel: string;
  readonly cursor?: string;
  readonly from?: "start";
  readonly format: HttpFormat;
  /** It ends for good at any answer but 200: what is temporary must be said within one. */
  readonly isEventSource: boolean;
}

const PARAMETERS = new Set(["channel", "cursor", "from", "access_token"]);

/** A text says what is wrong. */
export function readStreamRequest({ url, headers }: IncomingMessage): StreamRequest | string {
  const query = new URL(url ?? "/", "http://gateway.invalid").searchParams;
  for (const name of query.keys()) {
    if (!PARAMETERS.has(name)) return `${name} is not known: channel, cursor, from and access_token are`;
    if (query.getAll(name).length > 1) return `${name} stands twice`;
  }
  const channel = query.get("channel");
  if (channel === null) return "channel is missing";
  const from = query.get("from") ?? undefined;
  if (from !== undefined && from !== "start") return 'from is not "start"';
  // An EventSource keeps its address: what it has heard since is in the header.
  const cursor = lastEventId(headers) ?? query.get("cursor") ?? undefined;
  const accept = headers.accept ?? "";
  return {
    token: bearer(headers.authorization) ?? query.get("access_token") ?? undefined,
    channel,
    ...(cursor === undefined ? (from === undefined ? {} : { from }) : { cursor }),
    format: accept.includes(linesFormat.contentType) ? linesFormat : sseFormat,
    isEventSource: accept.includes(sseFormat.contentType),
  };
}

function lastEventId(headers: IncomingMessage["headers"]): string | undefined {
  const id = headers["last-event-id"];
  return typeof id === "string" && id !== "" ? id : undefined;
}

const bearer = (authorization: string | undefined): string | undefined =>
  /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
