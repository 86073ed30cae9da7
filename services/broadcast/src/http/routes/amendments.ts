// /v1/intents/{id}/amend and /revisions: change an open intent, and read what it was signed as.

import { type IntentBook, type LoadedIntent, revisionsOf } from "@outcry/delivery";
import { AmendRequest, IntentAmended, LIMITS, OutcryError, RevisionsView, toRfc3339 } from "@outcry/protocol";
import Type from "typebox";
import type { AmendResult, Amendment } from "../../amend-intent.js";
import type { BackendLimits } from "../../backend-limits.js";
import { linksOf } from "../../read-intent.js";
import { idempotencyKeyOf } from "../idempotency-key.js";
import { IntentParams, ownIntent } from "../own-intent.js";
import { type App, backendOf } from "../principal.js";
import { sendStanding } from "../rate-limit-headers.js";

export interface AmendmentRouteDeps {
  amend: (amendment: Amendment) => Promise<AmendResult>;
  book: IntentBook;
  limits: BackendLimits;
}

export function amendmentRoutes(app: App, deps: AmendmentRouteDeps): void {
  app.post(
    "/v1/intents/:id/amend",
    {
      config: {
        roles: ["backend"],
        problems: [
          "intent_not_found",
          "intent_ended",
          "idempotency_key_missing",
          "idempotency_key_invalid",
          "idempotency_mismatch",
          "revision_mismatch",
          "revisions_too_many",
          "amendment_empty",
          "deadline_invalid",
          "rate_limited",
          "record_full",
        ],
      },
      schema: {
        tags: ["intents"],
        summary: "Amend an open intent; the same nodes get it anew",
        description:
          "Answers once the amendment is recorded. All deliveries begin anew, and quotes on earlier revisions are not ranked any more. " +
          "Repeat with the same Idempotency-Key until there is an answer.",
        headers: Type.Object({ "idempotency-key": Type.String({ maxLength: LIMITS.idempotencyKeyCharsMax }) }),
        params: IntentParams,
        body: AmendRequest,
        response: { 202: IntentAmended },
      },
    },
    async (request, reply) => {
      const backendId = backendOf(request.principal);
      const { id } = await ownIntent(deps.book, request.params.id, request.principal);
      const result = await deps.amend({
        intentId: id,
        backendId,
        idempotencyKey: idempotencyKeyOf(request.headers["idempotency-key"]),
        changes: request.body,
        requestId: request.id,
        traceparent: request.trace.traceparent,
      });
      if (result.kind === "mismatch")
        throw new OutcryError("idempotency_mismatch", `The key belongs to revision ${result.revision} of ${id}.`);
      if (result.kind === "replayed") void reply.header("idempotent-replayed", "true");
      sendStanding(reply, deps.limits.standing(backendId), result.cost);
      return reply.code(202).header("location", linksOf(id).self).send(amendedView(result.intent));
    },
  );

  app.get(
    "/v1/intents/:id/revisions",
    {
      config: { roles: ["backend", "operator", "admin"], problems: ["intent_not_found"] },
      schema: {
        tags: ["intents"],
        summary: "Every revision of an intent, as it was signed",
        params: IntentParams,
        response: { 200: RevisionsView },
      },
    },
    async (request) => {
      const { id } = await ownIntent(deps.book, request.params.id, request.principal);
      const newest = await deps.book.refresh(id);
      if (newest === undefined) throw new OutcryError("intent_not_found");
      return { intent_id: id, data: revisionsOf(newest).map(revisionView) };
    },
  );
}

/** Derived from the record alone, so that a replay is answered in the same words. */
function amendedView({ id, record, intent, revision, previous }: LoadedIntent): IntentAmended {
  return {
    id,
    status: "accepted",
    targets: record.targets.length,
    quote_deadline: intent.payload.quote_deadline,
    request_digest: record.request_digest,
    links: linksOf(id),
    revision,
    supersedes: previous!.record.request_digest,
  };
}

const revisionView = ({ revision, record, recordedMs }: LoadedIntent): RevisionsView["data"][number] => ({
  revision,
  request_digest: record.request_digest,
  signature: record.signature,
  recorded: toRfc3339(recordedMs),
  envelope: record.envelope,
});
