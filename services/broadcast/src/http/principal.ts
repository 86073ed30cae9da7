// Who calls, as the auth hook found it, and what each route declares about its callers.

import { type ErrorCode, OutcryError, type Role } from "@outcry/protocol";
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyTypeProvider,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from "fastify";
import type { Static, TSchema } from "typebox";

export interface Principal {
  readonly role: Role | "anonymous";
  /** Of an API key: backend, operator, admin. */
  readonly keyId?: string;
  /** The owner of what is posted: of a backend's key, and of a buyer's token. */
  readonly backendId?: string;
  readonly buyerId?: string;
  readonly nodeId?: string;
  /** What a buyer's token names. */
  readonly channels?: readonly string[];
}

export const ANONYMOUS: Principal = Object.freeze({ role: "anonymous" });

/** Whose intents these are. */
export function backendOf(principal: Principal): string {
  if (principal.backendId === undefined)
    throw new OutcryError("permission_denied", "This caller belongs to no backend.");
  return principal.backendId;
}

/** Who did it, for the record. */
export const callerOf = ({ keyId, backendId, role }: Principal): string => keyId ?? backendId ?? role;

/** From the `traceparent` header, or begun here (W3C Trace Context §3.2). */
export interface RequestTrace {
  readonly traceId: string;
  /** With a span id of this request: what goes on to nodes and back to the caller. */
  readonly traceparent: string;
}

declare module "fastify" {
  interface FastifyRequest {
    principal: Principal;
    trace: RequestTrace;
    startedAt: number; // of performance.now()
  }
  interface FastifyContextConfig {
    /** Required of every route: registering one without it fails. */
    roles?: readonly Role[] | "public";
    /** A request without Authorization passes as anonymous; the route demands another proof itself. */
    orAnonymous?: boolean;
    /** It counts what its callers cost by itself; the general limit of requests does not. */
    ownLimits?: boolean;
    /** No page reads it: it has no CORS headers. */
    forMachines?: boolean;
    /** Codes of this route beyond the common ones, for the API document. */
    problems?: readonly ErrorCode[];
  }
}

/** Handlers see bodies, queries and params as their schemas describe them. */
export interface TypeBoxProvider extends FastifyTypeProvider {
  validator: this["schema"] extends TSchema ? Static<this["schema"]> : unknown;
  serializer: this["schema"] extends TSchema ? Static<this["schema"]> : unknown;
}

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxProvider
>;
