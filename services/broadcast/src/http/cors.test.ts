// CORS on the HTTP API as browsers ask for it (Fetch standard §3.2), over real connections.

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { call } from "./call.fixture.js";
import { startServers, startService, type TestServers, type TestService } from "./service.fixture.js";

const SHOP = "https://shop.example";
const STRANGER = "https://stranger.example";

let servers: TestServers;
let service: TestService;
let admin: string;

beforeAll(async () => {
  servers = await startServers();
  service = await startService(servers, { allowedOrigins: [SHOP, "http://localhost:5173"] });
  service.app.get("/livez", { config: { roles: "public", forMachines: true }, schema: { hide: true } }, () => "ok");
  admin = service.adminSecret!;
});
afterAll(async () => {
  await service?.close();
  await servers?.stop();
});

const preflight = (path: string, origin: string, method: string, headers = "authorization,content-type") =>
  call(service, "OPTIONS", path, {
    headers: { origin, "access-control-request-method": method, "access-control-request-headers": headers },
  });

const listed = (value: unknown): string[] => String(value).toLowerCase().split(", ");

test("a preflight is answered on every route for its methods, without credentials and without a body", async () => {
  let asked = 0;
  for (const { method, url, config } of service.routes) {
    if (method === "HEAD" || config.forMachines) continue;
    const { status, headers, body } = await preflight(url.replaceAll(/:(\w+)/g, "x"), SHOP, method);
    expect([url, status, body]).toEqual([url, 204, ""]);
    expect(headers["access-control-allow-origin"]).toBe(SHOP);
    expect(listed(headers["access-control-allow-methods"])).toContain(method.toLowerCase());
    expect(listed(headers["access-control-allow-headers"])).toEqual(
      expect.arrayContaining(["authorization", "content-type", "idempotency-key", "last-event-id", "if-match"]),
    );
    expect(headers["access-control-max-age"]).toBe("600");
    expect(headers["access-control-allow-credentials"]).toBeUndefined(); // keys travel in a header, never in a cookie
    expect(headers["vary"]).toMatch(/origin/i);
    asked++;
  }
  expect(asked).toBeGreaterThan(20);
});

test("an answer of any status may be read by a page of an allowed origin, with the headers that clients use", async () => {
  for (const [method, path, as, status] of [
    ["GET", "/v1/api-keys", admin, 200],
    ["GET", "/v1/api-keys", undefined, 401],
    ["GET", "/v1/nodes/nod_x", admin, 404],
    ["GET", "/nothing", undefined, 404],
    ["DELETE", "/v1/tokens", admin, 405],
    ["POST", "/v1/tokens", admin, 403],
    ["GET", "/.well-known/jwks.json", undefined, 200],
    ["GET", "/errors/internal", undefined, 200],
    ["GET", "/docs", undefined, 200],
  ] as const) {
    const answer = await call(service, method, path, { as, headers: { origin: SHOP } });
    expect([path, answer.status, answer.headers["access-control-allow-origin"]]).toEqual([path, status, SHOP]);
    expect(listed(answer.headers["access-control-expose-headers"])).toEqual(
      expect.arrayContaining(["x-request-id", "retry-after", "ratelimit", "ratelimit-policy", "etag", "location"]),
    );
    expect(answer.headers["vary"]).toMatch(/origin/i);
  }
});

test("each allowed origin is answered by its own name", async () => {
  const { headers } = await call(service, "GET", "/docs", { headers: { origin: "http://localhost:5173" } });
  expect(headers["access-control-allow-origin"]).toBe("http://localhost:5173");
});

test("another origin gets no header to go by, whatever it asks", async () => {
  for (const origin of [STRANGER, "null", `${SHOP}.stranger.example`, "http://shop.example", `${SHOP}:444`]) {
    const asked = await preflight("/v1/tokens", origin, "POST");
    expect([origin, asked.status, asked.body.code]).toEqual([origin, 403, "permission_denied"]);
    const answered = await call(service, "GET", "/v1/api-keys", { as: admin, headers: { origin } });
    expect([origin, answered.status]).toEqual([origin, 200]); // the browser keeps it from the page
    for (const { headers } of [asked, answered]) {
      expect(Object.keys(headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);
      expect(headers["vary"]).toMatch(/origin/i);
    }
  }
});

test("without an Origin nothing is said but that answers differ by it", async () => {
  const { status, headers } = await call(service, "GET", "/v1/api-keys", { as: admin });
  expect([status, headers["access-control-allow-origin"], headers["vary"]]).toEqual([200, undefined, "Origin"]);
});

test("OPTIONS that is no preflight, or of a path that is not there, is no method of ours", async () => {
  expect((await call(service, "OPTIONS", "/v1/api-keys", { headers: { origin: SHOP } })).status).toBe(405);
  expect((await preflight("/nothing", SHOP, "GET")).status).toBe(404);
});

test("probes and metrics are for machines", async () => {
  const { status, headers } = await call(service, "GET", "/livez", { headers: { origin: SHOP } });
  expect([status, headers["access-control-allow-origin"]]).toEqual([200, undefined]);
});

test("a star allows every origin, by its name", async () => {
  const open = await startService(servers, { allowedOrigins: ["*"] });
  const { headers } = await call(open, "GET", "/docs", { headers: { origin: STRANGER } });
  expect(headers["access-control-allow-origin"]).toBe(STRANGER);
  await open.close();
});
