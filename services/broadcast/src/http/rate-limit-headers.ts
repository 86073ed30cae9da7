// Limits told in header fields: draft-ietf-httpapi-ratelimit-headers-10, structured fields (RFC 9651). A policy's name is its unit, so
// `qu` is left out: the draft's units count requests and content. What a request was charged is our own `Outcry-Cost`.

import type { Cost, Standing } from "@outcry/jobs";
import type { FastifyReply } from "fastify";

export function sendStanding(reply: FastifyReply, standing: readonly Standing[], cost?: Cost): void {
  if (cost !== undefined) void reply.header("outcry-cost", dictionaryOf(cost));
  if (standing.length === 0) return; // an empty list is no field
  void reply.header("ratelimit-policy", standing.map(policyItem).join(", "));
  void reply.header("ratelimit", standing.map(standingItem).join(", "));
}

const policyItem = ({ policy }: Standing): string =>
  `"${policy.name}";q=${policy.quota};w=${Math.ceil(policy.windowMs / 1_000)}`;

/** `t`: seconds until all that is used now counts no more. */
const standingItem = ({ policy, left, resetMs }: Standing): string =>
  `"${policy.name}";r=${left};t=${Math.ceil(resetMs / 1_000)}`;

const dictionaryOf = (cost: Cost): string =>
  Object.entries(cost)
    .map(([name, amount]) => `${name}=${amount}`)
    .join(", ");
