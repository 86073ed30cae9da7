// The HTTP face of the broadcast service: one Fastify app, whose routes each say who may call them. It holds no rules of
// its own; further routes are registered on what createApp returns before it listens.

import type { AuthTree } from "@outcry/backbone";
import type { Nonces } from "@outcry/jobs";
import { LIMITS, type Log, type Clock, OutcryError } from "@outcry/protocol";
import { endConnectionsOnClose } from "@outcry/runtime";
import { fastify } from "fastify";
import type { AccessBook } from "../access/access-book.js";
import { createAuthenticate } from "../access/authenticate.js";
import type { SigningKeys } from "../access/signing-keys.js";
import type { Registry } from "../registry/registry.js";
import type { Revocations } from "../registry/revocations.js";
import { useAuth } from "./auth.js";
import { type CallerLimits, refuseUnknown, useCallerLimits } from "./caller-limits.js";
import { useCors } from "./cors.js";
import { useOpenApi } from "./openapi.js";
import type { App } from "./principal.js";
import { refuseConnection, sendProblem, useProblems } from "./problems.js";
import { requestIdOf, type RequestContextDeps, useRequestContext } from "./request-context.js";
import { collectRoutes, type RouteTable } from "./route-table.js";
import { apiKeyRoutes } from "./routes/api-keys.js";
import { credentialRoutes } from "./routes/credentials.js";
import { gatewayRevocationRoutes } from "./routes/gateway-revocations.js";
import { inviteRoutes } from "./routes/invites.js";
import { metaRoutes } from "./routes/meta.js";
import { nodeKeyRoutes } from "./routes/node-keys.js";
import { nodeRoutes } from "./routes/nodes.js";
import { signingKeyRoutes } from "./routes/signing-keys.js";
import { tokenRoutes } from "./routes/tokens.js";
import { useStrictJson } from "./strict-json.js";
import { serializerCompiler, validatorCompiler } from "./validation.js";

const REQUEST_TIMEOUT_MS = 15_000; // for a request to arrive whole; an answer may take longer
const HEADERS_TIMEOUT_MS = 10_000; // slow-loris, threat 6
const TIMEOUT_CHECK_MS = 1_000; // Node looks for late requests this often; its default of 30 s would undo both
const CONNECTION_TIMEOUT_MS = LIMITS.acksLongPollMaxMs + 15_000; // a silent socket: a long poll is silent for its whole time
const KEEP_ALIVE_MS = 65_000; // above common proxies' 60 s, so that the proxy closes first
const CONNECTIONS_MAX = 10_000; // half of a usual limit of open files
const PARAM_CHARS_MAX = 128; // ids have 30

export interface AppDeps {
  log: Log;
  clock: Clock;
  /** `sender.id` of intents, `iss` of tokens. */
  serviceId: string;
  signingKeys: SigningKeys;
  book: AccessBook;
  registry: Registry;
  revocations: Revocations;
  nonces: Nonces;
  authTree: AuthTree;
  /** As nodes reach the NATS servers. */
  natsUrls: readonly string[];
  ownsIntent(backendId: string, intentId: string): Promise<boolean>;
  /** Without them nobody is limited. */
  callerLimits?: CallerLimits;
  /** Whose pages may read answers in browsers; `*` for any. */
  allowedOrigins?: readonly string[];
  onAnswered?: RequestContextDeps["onAnswered"];
  /** PEM texts. Without them it speaks plain HTTP. */
  tls?: { cert: string; key: string };
}

export interface BroadcastApp {
  app: App;
  routes: RouteTable;
}

export async function createApp(deps: AppDeps): Promise<BroadcastApp> {
  const app = newServer(deps);
  const routes = collectRoutes(app);
  useRequestContext(app, deps);
  useCors(app, routes, deps.allowedOrigins ?? []);
  refuseWhileClosing(app);
  if (deps.callerLimits !== undefined) useCallerLimits(app, deps.callerLimits);
  useAuth(
    app,
    createAuthenticate({
      ...deps,
      tokenKeys: deps.signingKeys.source,
      nodeExists: (id) => deps.registry.get(id) !== undefined,
    }),
    deps.callerLimits && refuseUnknown(deps.callerLimits),
  );
  useStrictJson(app);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  useProblems(app, deps.log, routes);
  await useOpenApi(app, routes);

  const { signingKeys } = deps;
  const signing = {
    ...deps,
    /** Looked up for each signature: it rotates. */
    get signingKey() {
      return signingKeys.current;
    },
  };
  apiKeyRoutes(app, deps);
  inviteRoutes(app, deps);
  tokenRoutes(app, signing);
  gatewayRevocationRoutes(app, deps);
  nodeRoutes(app, deps);
  nodeKeyRoutes(app, deps);
  credentialRoutes(app, signing);
  signingKeyRoutes(app, deps);
  metaRoutes(app, { signingKeys, document: () => app.swagger() });
  return { app, routes };
}

function newServer({ log, tls }: AppDeps): App {
  const timeouts = { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: TIMEOUT_CHECK_MS };
  const options = {
    logger: false, // one line per request comes from request-context.ts
    bodyLimit: LIMITS.bodyBytesMax,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    return503OnClosing: false, // refuseWhileClosing answers as a problem
    genReqId: requestIdOf,
    requestIdHeader: false,
    clientErrorHandler: refuseConnection,
    routerOptions: { maxParamLength: PARAM_CHARS_MAX },
    frameworkErrors: (
      error: Error,
      request: Parameters<typeof sendProblem>[2],
      reply: Parameters<typeof sendProblem>[3],
    ) => {
      void reply.header("x-request-id", request.id); // no hooks run for these
      return sendProblem(log, error, request, reply);
    },
  } as const;
  const app =
    tls === undefined
      ? fastify({ ...options, http: timeouts })
      : fastify({ ...options, https: { ...timeouts, handshakeTimeout: HEADERS_TIMEOUT_MS, ...tls } });
  endConnectionsOnClose(app);
  app.server.maxConnections = CONNECTIONS_MAX;
  // RFC 9110 §10.1.1 lets a server ignore what it does not know; Node's own 417 has no body and is no problem of the table.
  app.server.on("checkExpectation", (request, response) => app.server.emit("request", request, response));
  return app;
}

/** From the first moment of closing: new work would be cut off in the middle. */
function refuseWhileClosing(app: App): void {
  let closing = false;
  app.addHook("preClose", async () => {
    closing = true;
  });
  app.addHook("onRequest", (_request, _reply, done) => {
    if (closing) done(new OutcryError("shutting_down"));
    else done();
  });
}
