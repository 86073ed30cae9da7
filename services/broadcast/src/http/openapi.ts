// OpenAPI 3.1 from the route schemas. What every operation shares – who may call it, which problems it answers – is written
// here from the routes' config, so that no route can forget it.

import swagger from "@fastify/swagger";
import { type ErrorCode, ERRORS, Problem, ROLES } from "@outcry/protocol";
import type { App } from "./principal.js";
import { PROBLEM_TYPE } from "./problems.js";
import type { RouteRow, RouteTable } from "./route-table.js";

const TAGS = [
  { name: "intents", description: "Broadcast an intent, follow it, end it" },
  { name: "nodes", description: "The registry of seller nodes and their credentials" },
  { name: "tokens", description: "Short tokens for buyers" },
  { name: "api-keys", description: "Keys of backends, operators and admins" },
  { name: "signing-keys", description: "The service's own keys: rotation and revocation" },
  { name: "dead letters", description: "What could not be delivered" },
  { name: "gateway", description: "Connections, revoked rights of buyers, published events" },
  { name: "meta", description: "Keys and error pages" },
];

interface Operation {
  security?: Record<string, string[]>[];
  description?: string;
  responses?: Record<string, unknown>;
  [extension: `x-${string}`]: unknown;
}
interface Document {
  paths?: Record<string, Record<string, Operation> | undefined>;
  components?: { schemas?: Record<string, unknown> };
}

export async function useOpenApi(app: App, routes: RouteTable): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Outcry", version: "1", description: "Broadcast of signed purchase intents to seller nodes." },
      tags: TAGS,
      components: {
        securitySchemes: {
          key: { type: "http", scheme: "bearer", description: "API key `ock_…` of a backend, operator or admin" },
          token: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "short token of a buyer or node" },
        },
      },
    },
    convertConstToEnum: false,
    transformObject: (documents) => {
      const document = "openapiObject" in documents ? documents.openapiObject : documents.swaggerObject;
      complete(document as Document, routes);
      return document;
    },
  });
}

function complete(document: Document, routes: RouteTable): void {
  ((document.components ??= {}).schemas ??= {})["Problem"] = Problem;
  for (const route of routes) {
    const path = route.url.replaceAll(/:(\w+)/g, "{$1}");
    const operation = document.paths?.[path]?.[route.method.toLowerCase()];
    if (operation !== undefined) describe(operation, route);
  }
}

function describe(operation: Operation, { config, schema }: RouteRow): void {
  const { roles = [], orAnonymous = false } = config;
  if (roles === "public") {
    operation.security = [];
  } else {
    const schemes = [...new Set(roles.map((role) => (role === "buyer" || role === "node" ? "token" : "key")))];
    operation.security = [...(orAnonymous ? [{}] : []), ...schemes.map((scheme) => ({ [scheme]: [] }))];
    operation["x-roles"] = roles;
    operation.description ??= `Roles: ${roles.join(", ")}.`;
  }
  operation.responses ??= {};
  for (const [status, codes] of byStatus(problemsOf(config, schema))) {
    operation.responses[status] ??= {
      description: codes.map((code) => `\`${code}\`: ${ERRORS[code].meaning}`).join("\n\n"),
      content: { [PROBLEM_TYPE]: { schema: { $ref: "#/components/schemas/Problem" } } },
    };
  }
}

const JSON_CODES = (Object.keys(ERRORS) as ErrorCode[]).filter(
  (code) => code.startsWith("json_") && code !== "json_not_canonical",
);

function problemsOf({ roles = [], problems = [] }: RouteRow["config"], schema: RouteRow["schema"]): ErrorCode[] {
  const restricted = roles !== "public" && roles.length < ROLES.length;
  return [
    ...problems,
    ...(schema?.body === undefined
      ? []
      : [...JSON_CODES, "validation_failed" as const, "media_type_unsupported" as const]),
    ...(schema?.querystring === undefined ? [] : ["request_invalid" as const]),
    ...(roles === "public" ? [] : (["credentials_missing", "credentials_invalid", "token_expired"] as const)),
    ...(restricted ? ["permission_denied" as const] : []),
    "internal",
    "dependency_unavailable",
    "shutting_down",
  ];
}

function byStatus(codes: readonly ErrorCode[]): Map<string, ErrorCode[]> {
  const grouped = new Map<string, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const status = String(ERRORS[code].httpStatus);
    grouped.set(status, [...(grouped.get(status) ?? []), code]);
  }
  return grouped;
}
