// /v1/intents: post, read, long-poll, end. An intent belongs to the backend that posted it; to others it does not exist.

import type { EndRecord, IntentBook, LoadedIntent } from "@outcry/delivery";
import {
  AcksView,
  CancelRequest,
  IntentAccepted,
  IntentRequest,
  IntentView,
  LIMITS,
  OutcryError,
  type Outcome,
  QuotesView,
  Receipt,
} from "@outcry/protocol";
import Type from "typebox";
import type { EndRequest, EndResult } from "../../end-intent.js";
import { type ReadDeps, linksOf, viewAcks, viewIntent, viewQuotes, viewReceipts } from "../../read-intent.js";
import type { Submission, SubmitResult, SubmittedIntent } from "../../submit-intent.js";
import { idempotencyKeyOf } from "../idempotency-key.js";
import { IntentParams, ownIntent } from "../own-intent.js";
import { type BackendLimits, NO_COST } from "../../backend-limits.js";
import { type App, type Principal, backendOf } from "../principal.js";
import { sendStanding } from "../rate-limit-headers.js";

export interface IntentRouteDeps {
  submit: (submission: Submission) => Promise<SubmitResult>;
  end: (intent: LoadedIntent, request: EndRequest) => Promise<EndResult>;
  read: ReadDeps;
  book: IntentBook;
  limits: BackendLimits;
  /** Aborts when the service stops: long polls answer with what they have. */
  stopping: AbortSignal;
}

const READERS = ["backend", "operator", "admin"] as const;
const EndView = Type.Object({ id: Type.String(), status: Type.String(), reason: Type.Optional(Type.String()) });

export function intentRoutes(app: App, deps: IntentRouteDeps): void {
  app.post(
    "/v1/intents",
    {
      config: {
        roles: ["backend"],
        ownLimits: true,
        problems: [
          "idempotency_key_missing",
          "idempotency_key_invalid",
          "idempotency_mismatch",
          "deadline_invalid",
          "no_eligible_nodes",
          "targets_too_many",
          "rate_limited",
          "record_full",
        ],
      },
      // Refusals are told where the caller stands too.
      onSend: (request, reply, _payload, done) => {
        const { backendId } = request.principal;
        if (backendId !== undefined && !reply.hasHeader("outcry-cost"))
          sendStanding(reply, deps.limits.standing(backendId), NO_COST);
        done();
      },
      schema: {
        tags: ["intents"],
        summary: "Broadcast a purchase intent",
        description:
          "Answers once the intent is recorded. Repeat with the same Idempotency-Key until there is an answer.",
        headers: Type.Object({ "idempotency-key": Type.String({ maxLength: LIMITS.idempotencyKeyCharsMax }) }),
        body: IntentRequest,
        response: { 202: IntentAccepted },
      },
    },
    async (request, reply) => {
      const backendId = backendOf(request.principal);
      const result = await deps.submit({
        backendId,
        idempotencyKey: idempotencyKeyOf(request.headers["idempotency-key"]),
        request: request.body,
        requestId: request.id,
        traceparent: request.trace.traceparent,
        traceId: request.trace.traceId,
      });
      if (result.kind === "mismatch")
        throw new OutcryError("idempotency_mismatch", `The key belongs to ${result.intentId}.`);
      if (result.kind === "replayed") void reply.header("idempotent-replayed", "true");
      sendStanding(reply, deps.limits.standing(backendId), result.cost);
      return reply.code(202).header("location", linksOf(result.intent.id).self).send(acceptedView(result.intent));
    },
  );

  const read = { roles: READERS, problems: ["intent_not_found"] } as const;
  const own = (request: { params: { id: string }; principal: Principal }) =>
    ownIntent(deps.book, request.params.id, request.principal);

  app.get(
    "/v1/intents/:id",
    {
      config: read,
      schema: {
        tags: ["intents"],
        summary: "Where an intent stands",
        params: IntentParams,
        response: { 200: IntentView },
      },
    },
    async (request) => viewIntent(deps.read, await own(request)),
  );

  app.get(
    "/v1/intents/:id/acks",
    {
      config: read,
      schema: {
        tags: ["intents"],
        summary: "Ack status of each node",
        description: "With timeout_ms it waits until no node is pending, at most that long.",
        params: IntentParams,
        querystring: Type.Object({
          timeout_ms: Type.Optional(Type.Integer({ minimum: 0, maximum: LIMITS.acksLongPollMaxMs })),
        }),
        response: { 200: AcksView },
      },
    },
    async (request) => viewAcks(deps.read, await own(request), request.query.timeout_ms ?? 0, deps.stopping),
  );

  app.get(
    "/v1/intents/:id/receipts",
    {
      config: read,
      schema: {
        tags: ["intents"],
        summary: "Dispatch receipts, one per node",
        params: IntentParams,
        response: { 200: Type.Object({ data: Type.Array(Receipt) }) },
      },
    },
    async (request) => ({ data: await viewReceipts(deps.read, await own(request)) }),
  );

  app.get(
    "/v1/intents/:id/quotes",
    {
      config: read,
      schema: { tags: ["intents"], summary: "Ranked quotes", params: IntentParams, response: { 200: QuotesView } },
    },
    async (request) => viewQuotes(deps.read, await own(request)),
  );

  const endRoute = (verb: "cancel" | "close", outcome: Outcome, summary: string) =>
    app.post(
      `/v1/intents/:id/${verb}`,
      {
        config: { roles: ["backend", "admin"], problems: ["intent_not_found", "intent_ended"] },
        // No body is one without a reason.
        preValidation: async (request) => {
          request.body ??= {};
        },
        schema: {
          tags: ["intents"],
          summary,
          params: IntentParams,
          body: CancelRequest,
          response: { 200: EndView },
        },
      },
      async (request) => {
        const intent = await own(request);
        const { reason } = request.body;
        const by = request.principal.backendId ?? request.principal.keyId ?? request.principal.role;
        const { end } = await deps.end(intent, { outcome, by, ...(reason === undefined ? {} : { reason }) });
        return endView(intent.id, outcome, end);
      },
    );
  endRoute("cancel", "cancelled", "Cancel an intent; its nodes are told");
  endRoute("close", "closed", "Close an intent early: quotes stored so far count");
}

/** Repeating an end is answered like the first time; a different end that came first is a conflict. */
function endView(id: string, wanted: Outcome, end: EndRecord) {
  if (end.outcome !== wanted) throw new OutcryError("intent_ended", `${id} had ended: ${end.outcome}.`);
  return { id, status: end.outcome, ...(end.reason === undefined ? {} : { reason: end.reason }) };
}

/** Derived from the record alone, so that a replay is answered in the same words. */
function acceptedView({ id, record, intent }: SubmittedIntent): IntentAccepted {
  return {
    id,
    status: "accepted",
    targets: record.targets.length,
    quote_deadline: intent.payload.quote_deadline,
    request_digest: record.request_digest,
    links: linksOf(id),
  };
}
