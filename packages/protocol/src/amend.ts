// An amendment: what shall be different in an open intent. It becomes the whole intent anew, under the same id, to the same nodes.

import Type, { type Static } from "typebox";
import { IntentAccepted } from "./api.js";
import { Digest, Timestamp } from "./envelope.js";
import { type IntentPayload, IntentRequest } from "./intent.js";
import { IntentId } from "./id-schemas.js";
import { LIMITS } from "./limits.js";

const asked = IntentRequest.properties;

export const AmendRequest = Type.Object(
  {
    expected_revision: Type.Optional(
      Type.Integer({ minimum: 0, maximum: LIMITS.intentRevisionsMax, description: "refuse when it is at another one" }),
    ),
    description: Type.Optional(Type.Union([Type.Null(), asked.description])),
    line_items: Type.Optional(asked.line_items),
    context: Type.Optional(asked.context),
    budget: Type.Optional(Type.Union([Type.Null(), asked.budget])),
    fulfilment: Type.Optional(asked.fulfilment),
    quote_type: Type.Optional(asked.quote_type),
    quote_deadline: Type.Optional(Timestamp),
    quotes_per_node_max: Type.Optional(asked.quotes_per_node_max),
  },
  { description: "A member that is given replaces the standing one whole; null removes it; what is left out stands." },
);
export type AmendRequest = Static<typeof AmendRequest>;

export const IntentAmended = Type.Object({
  ...IntentAccepted.properties,
  revision: Type.Integer({ minimum: 1 }),
  supersedes: Digest,
});
export type IntentAmended = Static<typeof IntentAmended>;

/** One revision as it was signed: what a quote that answers it is verified against. */
export const RevisionView = Type.Object({
  revision: Type.Integer({ minimum: 0 }),
  request_digest: Digest,
  signature: Type.String(),
  recorded: Timestamp,
  envelope: Type.String({ description: "the signed bytes" }),
});
export type RevisionView = Static<typeof RevisionView>;

export const RevisionsView = Type.Object({ intent_id: IntentId, data: Type.Array(RevisionView) });
export type RevisionsView = Static<typeof RevisionsView>;

/** Who hears it, and who asks, is not amended. */
const AMENDABLE = [
  "description",
  "line_items",
  "context",
  "budget",
  "fulfilment",
  "quote_type",
  "quote_deadline",
  "quotes_per_node_max",
] as const satisfies readonly (keyof AmendRequest & keyof IntentPayload)[];

/** The standing intent with the changes, as a request that could have been posted. */
export function amendedRequest(standing: IntentPayload, changes: AmendRequest): IntentRequest {
  const merged = AMENDABLE.flatMap((member) => {
    const value = changes[member] === undefined ? standing[member] : changes[member];
    return value === null || value === undefined ? [] : [[member, value] as const];
  });
  return Object.fromEntries(merged) as unknown as IntentRequest;
}
