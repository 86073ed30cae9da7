// /v1/dead-letters: what could not be delivered or handled: filtered, grouped, looked at, discarded. Replays: replays.ts.

import type { Appender, Backbone } from "@outcry/backbone";
import type { IntentBook } from "@outcry/delivery";
import {
  type Clock,
  DeadLetter,
  DeadLetterDetail,
  DiscardRequest,
  GROUP_KEYS,
  LetterFilter,
  LetterGroups,
  OutcryError,
  page,
} from "@outcry/protocol";
import Type from "typebox";
import { discardLetter } from "../../dead-letters/discard-letter.js";
import { newestLetters } from "../../dead-letters/find-letters.js";
import { groupLetters } from "../../dead-letters/group-letters.js";
import { findLetter, viewLetter, viewLetterDetail } from "../../dead-letters/view-letter.js";
import { type App, callerOf } from "../principal.js";

const PAGE_DEFAULT = 50;
const PAGE_MAX = 200;
const READERS = ["operator", "admin"] as const;
const tags = ["dead letters"];

const Cursor = Type.Optional(Type.String({ maxLength: 32, description: "`next_cursor` of the page before" }));
const ById = Type.Object({ id: Type.String() });

export interface DeadLetterRouteDeps {
  backbone: Backbone;
  deadLetters: Appender;
  book: IntentBook;
  clock: Clock;
}

export function deadLetterRoutes(app: App, deps: DeadLetterRouteDeps): void {
  const { backbone } = deps;
  app.get(
    "/v1/dead-letters",
    {
      config: { roles: READERS },
      schema: {
        tags,
        summary: "Dead letters, newest first",
        description:
          "What one request looks at is bounded: a page may be short, or empty, and yet have more behind it.",
        querystring: Type.Object({
          ...LetterFilter.properties,
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_MAX, default: PAGE_DEFAULT })),
          cursor: Cursor,
        }),
        response: { 200: page(DeadLetter) },
      },
    },
    async (request) => {
      const { limit = PAGE_DEFAULT, cursor, ...filter } = request.query;
      const { found, nextBefore } = await newestLetters(backbone, { filter, limit, before: sequenceOf(cursor) });
      return { data: found.map(viewLetter), ...moreBehind(nextBefore) };
    },
  );

  app.get(
    "/v1/dead-letters/groups",
    {
      config: { roles: READERS },
      schema: {
        tags,
        summary: "Dead letters counted by cause, node or version",
        description: "Over the newest ones; with `has_more` the next page counts older ones, by itself.",
        querystring: Type.Object({ by: Type.Enum(GROUP_KEYS), ...LetterFilter.properties, cursor: Cursor }),
        response: { 200: LetterGroups },
      },
    },
    async (request) => {
      const { by, cursor, ...filter } = request.query;
      const { groups, scanned, nextBefore } = await groupLetters(backbone, by, filter, sequenceOf(cursor));
      return { by, data: groups, scanned, ...moreBehind(nextBefore) };
    },
  );

  app.get(
    "/v1/dead-letters/:id",
    {
      config: { roles: READERS, problems: ["dead_letter_not_found"] },
      schema: {
        tags,
        summary: "One dead letter, with its payload or its delivery's timeline",
        params: ById,
        response: { 200: DeadLetterDetail },
      },
    },
    async (request) => viewLetterDetail(deps, await findLetter(backbone, request.params.id)),
  );

  app.post(
    "/v1/dead-letters/:id/discard",
    {
      config: { roles: ["admin"], problems: ["dead_letter_not_found"] },
      schema: {
        tags,
        summary: "Discard a dead letter; it stays readable, and no replay sends it",
        description: "Repeated, it is answered with the first discard.",
        params: ById,
        body: DiscardRequest,
        response: { 200: DeadLetterDetail },
      },
    },
    async (request) => {
      const word = { by: callerOf(request.principal), reason: request.body.reason };
      return viewLetterDetail(deps, await discardLetter(deps, request.params.id, word));
    },
  );
}

const moreBehind = (nextBefore: number | undefined) =>
  nextBefore === undefined
    ? { has_more: false }
    : { has_more: true, next_cursor: Buffer.from(String(nextBefore)).toString("base64url") };

function sequenceOf(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  const text = Buffer.from(cursor, "base64url").toString();
  if (!/^[1-9]\d{0,15}$/.test(text)) throw new OutcryError("request_invalid", "The cursor is not one of this list.");
  return Number(text);
}
