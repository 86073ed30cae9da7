// Requests per minute of each caller: of its key or token, else of its address (IPv6: its /64). Wrong credentials count for the address, and
// never against a neighbour behind it that has right ones. Probes, metrics and the API document are exempt; POST /v1/intents has limits of its own.

import { isIPv6 } from "node:net";
import { type Charge, createLimiter, type Limiter, type LimiterOptions } from "@outcry/jobs";
import { OutcryError } from "@outcry/protocol";
import type { FastifyRequest } from "fastify";
import type { Quotas } from "../quotas.js";
import type { App, Principal } from "./principal.js";
import { sendStanding } from "./rate-limit-headers.js";

const MINUTE_MS = 60_000;
const ONE = { requests: 1 } as const;

export interface CallerLimits {
  readonly keys: Limiter;
  readonly addresses: Limiter;
  stop(): Promise<void>;
}

export function createCallerLimits(
  { requestsPerMinute, addressRequestsPerMinute }: Quotas,
  deps: Pick<LimiterOptions, "store" | "clock" | "log">,
): CallerLimits {
  const limiter = (name: string, quota: number) =>
    createLimiter({ ...deps, name, policies: [{ name: "requests", quota, windowMs: MINUTE_MS }] });
  const [keys, addresses] = [limiter("key", requestsPerMinute), limiter("address", addressRequestsPerMinute)];
  return {
    keys,
    addresses,
    async stop() {
      await Promise.all([keys.stop(), addresses.stop()]);
    },
  };
}

export function useCallerLimits(app: App, { keys, addresses }: CallerLimits): void {
  app.addHook("preParsing", (request, reply, _payload, done) => {
    if (isExempt(request)) return done();
    const caller = nameOf(request.principal);
    const [limiter, name] = caller === undefined ? [addresses, addressOf(request)] : [keys, caller];
    const refusal = refusalOf(limiter.charge(name, ONE));
    sendStanding(reply, limiter.standing(name));
    done(refusal);
  });
}

/** For a request whose credentials prove nobody. */
export const refuseUnknown =
  ({ addresses }: CallerLimits) =>
  (request: FastifyRequest): Error | undefined =>
    refusalOf(addresses.charge(addressOf(request), ONE));

function isExempt({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.schema?.hide === true || routeOptions.config.ownLimits === true;
}

function refusalOf(charge: Charge): Error | undefined {
  if (charge.kind === "charged") return undefined;
  const { policy, left, retryAfterMs } = charge;
  return new OutcryError("rate_limited", `${left} of ${policy.quota} ${policy.name} per minute are left.`, {
    retryAfterMs,
  });
}

/** Undefined for whoever proved nothing. */
function nameOf({ keyId, nodeId, backendId, buyerId }: Principal): string | undefined {
  if (keyId !== undefined) return keyId;
  if (nodeId !== undefined) return nodeId;
  return buyerId === undefined ? undefined : `${backendId}:${buyerId}`;
}

/** One household or server has a whole /64 of IPv6 to itself (RFC 6177). */
export function addressOf({ ip }: Pick<FastifyRequest, "ip">): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1];
  if (mapped !== undefined || !isIPv6(ip)) return mapped ?? ip;
  const [head = "", tail] = ip.split("%", 1)[0]!.split("::", 2);
  const groups = (text: string | undefined): string[] => (text ? text.split(":") : []);
  const missing = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array.from({ length: Math.max(0, missing) }, () => "0"), ...groups(tail)];
  return `${all.slice(0, 4).join(":")}::/64`;
}
