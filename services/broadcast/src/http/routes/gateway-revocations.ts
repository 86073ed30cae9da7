// /v1/gateway/revocations: a backend takes back what its buyers' tokens open, and reads what was taken back, when and why.

import {
  BuyerRevocationPage,
  BuyerRevocationQuery,
  BuyerRevocationRequest,
  BuyerRevocationView,
  OutcryError,
  parseChannel,
} from "@outcry/protocol";
import type { AccessBook } from "../../access/access-book.js";
import { listRevocations, revokeBuyer } from "../../access/buyer-rights.js";
import { readCursor, writeCursor } from "../cursor.js";
import { type App, callerOf, type Principal } from "../principal.js";

const PAGE_DEFAULT = 50;

export function gatewayRevocationRoutes(app: App, { book }: { book: AccessBook }): void {
  app.post(
    "/v1/gateway/revocations",
    {
      config: { roles: ["backend", "admin"], problems: ["channel_invalid", "rate_limited"] },
      schema: {
        operationId: "revokeBuyer",
        summary: "Take back what a buyer's tokens open: one channel, or everything",
        description:
          "Within a second the buyer's connections, or its subscriptions to the channel, end at every gateway process, and tokens " +
          "issued until now do not open them again. Tokens made from now on do. `backend_id` is for admins.",
        tags: ["gateway"],
        body: BuyerRevocationRequest,
        response: { 201: BuyerRevocationView },
      },
    },
    async ({ body, principal }, reply) => {
      const { buyer_id: buyerId, channel, reason } = body;
      if (channel !== undefined && parseChannel(channel) === undefined)
        throw wrong("channel_invalid", "/channel", "not <kind>:<id>");
      const backendId = await backendIn(book, principal, body);
      const revocation = { backendId, buyerId, channel, reason, by: callerOf(principal) };
      return reply.code(201).send(await revokeBuyer(book, revocation));
    },
  );

  app.get(
    "/v1/gateway/revocations",
    {
      config: { roles: ["backend", "operator", "admin"] },
      schema: {
        operationId: "listRevocations",
        summary: "What was revoked, when, by whom and why, newest first; kept for seven days",
        description: "The newest of each buyer and channel. A backend sees its own.",
        tags: ["gateway"],
        querystring: BuyerRevocationQuery,
        response: { 200: BuyerRevocationPage },
      },
    },
    async ({ query, principal }) => {
      const backendId = principal.role === "backend" ? principal.backendId : query.backend_id;
      const { limit = PAGE_DEFAULT, cursor } = query;
      const before = cursor === undefined ? undefined : readCursor("rvk", cursor);
      const all = listRevocations(book, { backendId, buyerId: query.buyer_id });
      const behind = before === undefined ? all : all.filter(({ id }) => id < before);
      const data = behind.slice(0, limit);
      const hasMore = behind.length > data.length;
      return { data, has_more: hasMore, ...(hasMore ? { next_cursor: writeCursor(data.at(-1)!.id) } : {}) };
    },
  );
}

/** A backend's own; an admin names one that there is. */
async function backendIn(
  book: AccessBook,
  { role, backendId }: Principal,
  { backend_id: named }: BuyerRevocationRequest,
): Promise<string> {
  if (role === "backend") {
    if (named === undefined || named === backendId) return backendId!;
    throw wrong("validation_failed", "/backend_id", "is not the caller's own");
  }
  if (named === undefined) throw wrong("validation_failed", "/backend_id", "is missing");
  if ((await book.backends.find(named)) === undefined)
    throw wrong("validation_failed", "/backend_id", "there is no such backend");
  return named;
}

const wrong = (code: "validation_failed" | "channel_invalid", pointer: string, detail: string): OutcryError =>
  new OutcryError(code, `${pointer.slice(1)} ${detail}`, { pointers: [{ pointer, detail }] });
