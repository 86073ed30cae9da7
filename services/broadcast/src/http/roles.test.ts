import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { newKeyPair } from "@outcry/backbone";
import { LIMITS, newId, OutcryError, type Role, ROLES } from "@outcry/protocol";
import { generateKey, publicJwk } from "@outcry/signing";
import { issueBuyerToken, issueNodeToken } from "../access/tokens.js";
import { registerNode } from "../registry/register-node.js";
import { nodeRoutes } from "./routes/nodes.js";
import { call, makeKey } from "./call.fixture.js";
import { SERVICE_ID, startServers, startService, type TestServers, type TestService } from "./service.fixture.js";

let servers: TestServers;
let service: TestService;
const credentials = new Map<Role, string>();
let nodeId: string;

beforeAll(async () => {
  servers = await startServers();
  service = await startService(servers);
  const admin = service.adminSecret!;
  const node = await registerNode(
    service,
    {
      name: "n",
      categories: [],
      regions: [],
      capabilities: [],
      public_keys: [publicJwk(generateKey())],
      nats_public_key: newKeyPair("user").publicKey,
    },
    "admin",
  );
  nodeId = node.id;
  const tokens = { ...service, serviceId: SERVICE_ID, clock: service.book.clock, ownsIntent: async () => true };
  const backend = await makeKey(service, admin, "backend");
  const buyer = await issueBuyerToken(tokens, backend.backend_id!, { buyer_id: "42", channels: ["buyer:42"] });
  credentials.set("admin", (await makeKey(service, admin, "admin")).secret);
  credentials.set("operator", (await makeKey(service, admin, "operator")).secret);
  credentials.set("backend", backend.secret);
  credentials.set("buyer", buyer.token);
  credentials.set("node", issueNodeToken(tokens, nodeId, LIMITS.nodeCredentialsMs).token);
});
afterAll(async () => {
  await service?.close();
  await servers?.stop();
});

// A role that may: the route's own answer to a request without a body, whatever it is; the others: refused before it is looked at.
const REFUSED = [401, 403];

test("each route lets in the roles it names and nobody else", async () => {
  let tried = 0;
  for (const { method, url, config } of service.routes) {
    if (method === "HEAD") continue;
    const path = url.replace(":id", newId("nod")).replace(":code", "internal");
    for (const role of [...ROLES, "nobody"] as const) {
      const { status, body } = await call(service, method, path, { as: credentials.get(role as Role) });
      const allowed = config.roles === "public" || config.roles!.includes(role as Role);
      const expected = allowed
        ? "let in"
        : role === "nobody" && !config.orAnonymous
          ? "401 credentials_missing"
          : role === "nobody"
            ? "let in"
            : "403 permission_denied";
      const found = REFUSED.includes(status) && body.code !== "nonce_invalid" ? `${status} ${body.code}` : "let in";
      expect(`${method} ${url} as ${role}: ${found}`).toBe(`${method} ${url} as ${role}: ${expected}`);
      tried++;
    }
  }
  expect(tried).toBeGreaterThanOrEqual(16 * 6);
});

test("a route that names no roles cannot be registered", async () => {
  const other = await startService(servers);
  expect(() => other.app.get("/open", () => "x")).toThrow("declares no config.roles");
  expect(() => nodeRoutes(other.app, other)).toThrow("already declared"); // nor one twice
  await other.close();
});

test("without a key a node is registered with an invite alone", async () => {
  const body = {
    name: "n",
    categories: [],
    regions: [],
    capabilities: [],
    public_keys: [publicJwk(generateKey())],
    nats_public_key: newKeyPair("user").publicKey,
  };
  expect(await call(service, "POST", "/v1/nodes", { body })).toMatchObject({
    status: 401,
    body: { code: "credentials_missing" },
  });
  for (const invite of ["x", `oci_${newId("inv").slice(4)}_${"A".repeat(43)}`]) {
    expect(await call(service, "POST", "/v1/nodes", { body: { ...body, invite } })).toMatchObject({
      status: 403,
      body: { code: "invite_invalid" },
    });
  }
});

test("a node reads itself and no other", async () => {
  const as = credentials.get("node");
  expect(await call(service, "GET", `/v1/nodes/${nodeId}`, { as })).toMatchObject({
    status: 200,
    body: { id: nodeId, status: "active" },
  });
  expect(await call(service, "GET", `/v1/nodes/${newId("nod")}`, { as })).toMatchObject({
    status: 404,
    body: { code: "node_not_found" },
  });
});

test("a token of another issuer, key or audience is refused, an expired one says so", async () => {
  const at = (now: number) => ({ now: () => now });
  const good = { signingKey: service.signingKey, serviceId: SERVICE_ID, clock: service.book.clock };
  const answer = async (token: string) => {
    const { status, body } = await call(service, "GET", `/v1/nodes/${nodeId}`, { as: token });
    return body.code ?? status;
  };
  expect(await answer(issueNodeToken(good, nodeId, 60_000).token)).toBe(200);
  expect(await answer(issueNodeToken({ ...good, signingKey: generateKey() }, nodeId, 60_000).token)).toBe(
    "credentials_invalid",
  );
  expect(await answer(issueNodeToken({ ...good, serviceId: "other" }, nodeId, 60_000).token)).toBe(
    "credentials_invalid",
  );
  expect(await answer(issueNodeToken({ ...good, clock: at(Date.now() - 120_000) }, nodeId, 60_000).token)).toBe(
    "token_expired",
  );
  expect(await answer(issueNodeToken(good, newId("nod"), 60_000).token)).toBe("credentials_invalid");
  const [header, payload, signature] = issueNodeToken(good, nodeId, 60_000).token.split(".");
  expect(await answer(`${header}.${payload}.${signature!.replace(/^./, (first) => (first === "A" ? "B" : "A"))}`)).toBe(
    "credentials_invalid",
  );
});

test("an error inside a handler is told as internal, without its text", async () => {
  const other = await startService(servers);
  other.app.get("/throws", { config: { roles: "public" } }, () => {
    throw new Error("the database password is hunter2");
  });
  other.app.get("/refuses", { config: { roles: "public" } }, () => {
    throw new OutcryError("dependency_unavailable", "nats: away");
  });
  const thrown = await call(other, "GET", "/throws");
  expect(thrown).toMatchObject({ status: 500, body: { code: "internal" } });
  expect(JSON.stringify(thrown.body)).not.toContain("hunter2");
  expect(await call(other, "GET", "/refuses")).toMatchObject({
    status: 503,
    headers: { "retry-after": "1" },
    body: { retryable: true },
  });
  await other.close();
});
