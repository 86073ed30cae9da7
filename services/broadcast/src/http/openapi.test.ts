import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Validator } from "@seriousme/openapi-schema-validator";
import { call } from "./call.fixture.js";
import { startServers, startService, type TestServers, type TestService } from "./service.fixture.js";

let servers: TestServers;
let service: TestService;
let document: Document;

interface Operation {
  operationId?: string;
  summary?: string;
  tags: string[];
  security: unknown[];
  "x-roles": string[];
  parameters: unknown[];
  responses: Record<string, { description: string; content: Record<string, { schema: unknown }> }>;
}
interface Document {
  paths: Record<string, Record<string, Operation> | undefined>;
}

beforeAll(async () => {
  servers = await startServers();
  service = await startService(servers);
  document = (await call<Document>(service, "GET", "/openapi.json")).body;
});
afterAll(async () => {
  await service?.close();
  await servers?.stop();
});

test("the document is valid OpenAPI 3.1 and its references resolve", async () => {
  const validator = new Validator();
  const result = await validator.validate({ ...structuredClone(document) });
  expect(result.errors ?? []).toEqual([]);
  expect(result.valid).toBe(true);
  expect(validator.version).toBe("3.1");
  expect(() => validator.resolveRefs()).not.toThrow();
});

test("it lists every route but its own, each with an id, roles and its problems", () => {
  const ids = new Set<string>();
  for (const { method, url, config, schema } of service.routes) {
    if (method === "HEAD" || schema?.hide === true) continue;
    const operation = document.paths[url.replaceAll(/:(\w+)/g, "{$1}")]![method.toLowerCase()]!;
    expect([url, operation.summary]).toEqual([url, expect.any(String)]);
    expect(operation.tags).toHaveLength(1);
    if (operation.operationId !== undefined) {
      expect(ids).not.toContain(operation.operationId);
      ids.add(operation.operationId);
    }
    if (config.roles === "public") {
      expect(operation.security).toEqual([]);
    } else {
      expect(operation["x-roles"]).toEqual(config.roles);
      expect(operation.responses["401"]!.content["application/problem+json"]!.schema).toEqual({
        $ref: "#/components/schemas/Problem",
      });
    }
    if (schema?.body !== undefined) expect(operation.responses["413"]!.description).toContain("json_too_large");
  }
  expect(document.paths["/openapi.json"]).toBeUndefined();
  expect(document.paths["/v1/nodes/{id}"]!["patch"]!.parameters).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ in: "header", name: "If-Match" }),
      expect.objectContaining({ in: "path", name: "id" }),
    ]),
  );
});
