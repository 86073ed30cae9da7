// Requests that the matrix of hostile input (test/src/soaks/bad-input.test.ts) found answered otherwise than by the error table.

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { call } from "./call.fixture.js";
import { startServers, startService, type TestServers, type TestService } from "./service.fixture.js";

let servers: TestServers;
let service: TestService;

beforeAll(async () => {
  servers = await startServers();
  service = await startService(servers);
});
afterAll(async () => {
  await service?.close();
  await servers?.stop();
});

test.each(["$where", "{}", "a*", ">", "%20", "%C3%A9", ".x"])("an id like %s belongs to nothing", async (id) => {
  for (const path of [`/v1/signing-keys/${id}`, `/v1/api-keys/${id}`, `/v1/nodes/${id}`]) {
    const { status } = await call(service, "DELETE", path, { as: service.adminSecret! });
    expect([path, status]).toEqual([path, 404]);
  }
});

test("an expectation that nobody knows is passed over", async () => {
  const answer = await call(service, "GET", "/nowhere", { headers: { expect: "200-ok" } });
  expect([answer.status, answer.body.code]).toEqual([404, "route_not_found"]);
});
