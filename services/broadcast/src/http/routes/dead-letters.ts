// /v1/dead-letters: what could not be delivered or handled, newest first.

import { type Backbone, type Stored, readAll, streamHead } from "@outcry/backbone";
import { DeadLetter, OutcryError, STREAMS, page } from "@outcry/protocol";
import Type from "typebox";
import type { DeadDelivery } from "../../dead-letter.js";
import type { DeadMessage } from "@outcry/delivery";
import type { App } from "../principal.js";

const PAGE_DEFAULT = 50;
const PAGE_MAX = 200;

export function deadLetterRoutes(app: App, deps: { backbone: Backbone }): void {
  app.get(
    "/v1/dead-letters",
    {
      config: { roles: ["operator", "admin"] },
      schema: {
        tags: ["dead letters"],
        summary: "Dead letters, newest first",
        querystring: Type.Object({
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE_MAX })),
          cursor: Type.Optional(Type.String({ maxLength: 32 })),
        }),
        response: { 200: page(DeadLetter) },
      },
    },
    async (request) => {
      const { limit = PAGE_DEFAULT, cursor } = request.query;
      const head = await streamHead(deps.backbone, STREAMS.deadLetters);
      const before = Math.min(head.lastSeq + 1, cursor === undefined ? Infinity : sequenceOf(cursor));
      const found = await newestBefore(deps.backbone, before, limit, head.firstSeq);
      const last = found.at(-1);
      const more = last !== undefined && last.seq > head.firstSeq;
      return {
        data: found.map(viewOf),
        has_more: more,
        ...(more ? { next_cursor: Buffer.from(String(last.seq)).toString("base64url") } : {}),
      };
    },
  );
}

/** A stream reads forwards: pages are cut from its end, and taken again further back where messages have aged away. */
async function newestBefore(backbone: Backbone, before: number, limit: number, firstSeq: number): Promise<Stored[]> {
  const found: Stored[] = [];
  for (let end = before; end > firstSeq && found.length < limit;) {
    const start = Math.max(firstSeq, end - limit);
    const ascending: Stored[] = [];
    for await (const stored of readAll(backbone, STREAMS.deadLetters, { fromSeq: start, upToSeq: end - 1 }))
      ascending.push(stored);
    found.push(...ascending.toReversed());
    end = start;
  }
  return found.slice(0, limit);
}

function sequenceOf(cursor: string): number {
  const text = Buffer.from(cursor, "base64url").toString();
  if (!/^[1-9]\d{0,15}$/.test(text)) throw new OutcryError("request_invalid", "The cursor is not one of this list.");
  return Number(text);
}

function viewOf(stored: Stored): DeadLetter {
  const letter = JSON.parse(Buffer.from(stored.data).toString()) as DeadDelivery | DeadMessage;
  return { id: stored.subject, ...letter };
}
