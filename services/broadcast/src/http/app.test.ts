import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { ERRORS, LIMITS, type Log } from "@outcry/protocol";
import { newKeyPair } from "@outcry/backbone";
import { generateKey, publicJwk } from "@outcry/signing";
import { call, listen } from "./call.fixture.js";
import { eventually, startServers, startService, type TestServers, type TestService } from "./service.fixture.js";

let servers: TestServers;
let service: TestService;
let admin: string;
const lines: Record<string, unknown>[] = [];
const keep = (fields: Record<string, unknown>) => void lines.push(fields);
const log: Log = { debug: keep, info: keep, warn: keep, error: keep };

beforeAll(async () => {
  servers = await startServers();
  service = await startService(servers, { log });
  admin = service.adminSecret!;
});
afterAll(async () => {
  await service?.close();
  await servers?.stop();
});

const codeOf = async (body: string | Buffer, headers: Record<string, string> = {}) => {
  const answer = await call(service, "POST", "/v1/api-keys", { as: admin, body, headers });
  return [answer.status, answer.body.code];
};

describe("bodies", () => {
  const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
  test.each([
    ["{", "json_syntax"],
    ["", "json_syntax"],
    ["{} x", "json_syntax"],
    ["\ufeff{}", "json_syntax"],
    ['{"a":1,"a":2}', "json_duplicate_key"],
    ['{"a":{"b":1,"\\u0062":2}}', "json_duplicate_key"],
    ['{"a":9007199254740993}', "json_unsafe_integer"],
    ['{"a":1e999}', "json_non_finite"],
    ['{"__proto__":{"x":1}}', "json_forbidden_key"],
    ['{"a":"\\ud800"}', "json_lone_surrogate"],
    [deep(33), "json_too_deep"],
    [deep(30_000), "json_too_deep"],
    ["[]", "validation_failed"],
    ["null", "validation_failed"],
  ])("%.40j is refused as %s", async (body, code) => {
    expect(await codeOf(body)).toEqual([ERRORS[code as keyof typeof ERRORS].httpStatus, code]);
  });

  test("invalid UTF-8, too many bytes, other media types and compression have their codes", async () => {
    expect(await codeOf(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]))).toEqual([400, "json_invalid_utf8"]);
    expect(await codeOf(`"${"x".repeat(LIMITS.bodyBytesMax)}"`)).toEqual([413, "json_too_large"]);
    expect(await codeOf("{}", { "content-type": "text/plain" })).toEqual([415, "media_type_unsupported"]);
    expect(await codeOf("{}", { "content-type": "nonsense" })).toEqual([415, "media_type_unsupported"]);
    expect(await codeOf("{}", { "content-encoding": "gzip" })).toEqual([415, "media_type_unsupported"]);
  });

  test("a charset parameter is fine", async () => {
    expect(await codeOf("{}", { "content-type": "application/json; charset=utf-8" })).toEqual([
      400,
      "validation_failed",
    ]);
  });

  test("every wrong place is named at once, and nothing is coerced", async () => {
    const key = publicJwk(generateKey());
    const { body } = await call(service, "POST", "/v1/nodes", {
      as: admin,
      body: { name: 7, categories: ["ok", ""], regions: "de", capabilities: [], public_keys: [{ ...key, x: "short" }] },
    });
    expect(body.code).toBe("validation_failed");
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(
      expect.arrayContaining(["/name", "/categories/1", "/regions", "/public_keys/0/x", "/nats_public_key"]),
    );
  });

  test("texts of a query become numbers in one form alone", async () => {
    const statusOf = async (query: string) => (await call(service, "GET", `/v1/nodes?${query}`, { as: admin })).status;
    expect(await statusOf("limit=5")).toBe(200);
    for (const wrong of [
      "limit=0",
      "limit=5.0",
      "limit=+5",
      "limit=05",
      "limit=1e1",
      "limit=",
      "limit=201",
      "limit=5&limit=6",
    ]) {
      expect([wrong, await statusOf(wrong)]).toEqual([wrong, 400]);
    }
    const { body } = await call(service, "GET", "/v1/nodes?limit=x&status=gone&cursor=zz", { as: admin });
    expect(body).toMatchObject({ code: "request_invalid" });
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(
      expect.arrayContaining(["/limit", "/status"]),
    );
  });
});

describe("problems", () => {
  test("a problem is RFC 9457 with code, hint, request id and its page", async () => {
    const { status, headers, body } = await call(service, "GET", "/v1/nodes", {
      headers: { "x-request-id": "mine-1" },
    });
    expect(status).toBe(401);
    expect(headers["content-type"]).toMatch(/^application\/problem\+json/);
    expect(headers["www-authenticate"]).toMatch(/^Bearer/);
    expect(body).toEqual({
      type: "/errors/credentials_missing",
      title: ERRORS.credentials_missing.meaning,
      status: 401,
      detail: ERRORS.credentials_missing.meaning,
      code: "credentials_missing",
      number: 2001,
      retryable: false,
      hint: ERRORS.credentials_missing.whatToDo,
      request_id: "mine-1",
      errors: [],
    });
    const page = await call(service, "GET", body.type);
    expect(page).toMatchObject({ status: 200, body: { code: "credentials_missing", number: 2001 } });
    const html = await call<string>(service, "GET", body.type, { headers: { accept: "text/html" } });
    expect(html.body).toContain("<h1>credentials_missing</h1>");
    expect((await call(service, "GET", "/errors/constructor")).status).toBe(404);
  });

  test("a path nobody has is 404, a method that it does not take 405 with those it does", async () => {
    expect(await call(service, "GET", "/v2/nodes")).toMatchObject({ status: 404, body: { code: "route_not_found" } });
    const wrong = await call(service, "PUT", "/v1/nodes/x");
    expect(wrong).toMatchObject({ status: 405, body: { code: "method_not_allowed" } });
    expect(String(wrong.headers["allow"]).split(", ")).toEqual(expect.arrayContaining(["GET", "PATCH", "DELETE"]));
    expect(await call(service, "GET", `/errors/${"x".repeat(500)}`)).toMatchObject({
      status: 404,
      body: { code: "route_not_found" },
    });
    expect(await call(service, "GET", "/errors/%zz")).toMatchObject({ status: 400, body: { code: "request_invalid" } });
  });

  test("a request without a valid credential learns nothing of the route's input", async () => {
    for (const authorization of [
      "Basic eDp5",
      "Bearer",
      "Bearer a b",
      "Bearer ock_x",
      "Bearer a.b.c",
      `Bearer ${"x".repeat(9_000)}`,
    ]) {
      const { status, body } = await call(service, "POST", "/v1/api-keys", { body: "{", headers: { authorization } });
      expect([authorization.slice(0, 20), status, body.code]).toEqual([
        authorization.slice(0, 20),
        401,
        "credentials_invalid",
      ]);
    }
  });

  test("what is not HTTP gets a problem and a closed connection", async () => {
    const answer = await talk(await listen(service), "NONSENSE\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(answer).toContain('"code":"request_invalid"');
    const [, id] = /"request_id":"(\w+)"/.exec(answer)!;
    expect(answer).toContain(`X-Request-Id: ${id}`);
  });
});

describe("request id and trace", () => {
  test("a plain X-Request-Id is echoed, any other replaced", async () => {
    const idOf = async (sent?: string) =>
      (
        await call(service, "GET", "/.well-known/jwks.json", {
          headers: sent === undefined ? {} : { "x-request-id": sent },
        })
      ).headers["x-request-id"];
    expect(await idOf("abc.DEF:1-2_3")).toBe("abc.DEF:1-2_3");
    for (const sent of [undefined, "", "two words", "x".repeat(129), "a,b", "ä"])
      expect(await idOf(sent)).toMatch(/^req_[0-9a-z]{26}$/);
  });

  test("the trace of traceparent goes on with a span of this request; a malformed one is begun anew", async () => {
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    const traceOf = async (traceparent: string) =>
      String(
        (await call(service, "GET", "/.well-known/jwks.json", { headers: { traceparent } })).headers["traceparent"],
      );
    const taken = await traceOf(`00-${traceId}-00f067aa0ba902b7-00`);
    expect(taken).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
    expect(taken).not.toContain("00f067aa0ba902b7");
    expect(await traceOf(`01-${traceId}-00f067aa0ba902b7-01-later`)).toContain(traceId);
    for (const wrong of [
      "",
      "00",
      `ff-${traceId}-00f067aa0ba902b7-01`,
      `00-${traceId}-0000000000000000-01`,
      `00-${traceId}-00f067aa0ba902b7-01-x`,
    ]) {
      const begun = await traceOf(wrong);
      expect(begun).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
      expect(begun).not.toContain(traceId);
    }
  });

  test("the log has one line per request with the route's pattern, and no secret", async () => {
    lines.length = 0;
    const secret = "ock_0000000000000000000000000x_abc";
    await call(service, "GET", "/v1/nodes/nod_secret?token=hunter2", {
      as: secret,
      headers: { "x-request-id": "logged-1" },
    });
    await eventually(() => lines.some(({ request_id }) => request_id === "logged-1"));
    expect(lines.find(({ request_id }) => request_id === "logged-1")).toMatchObject({
      route: "/v1/nodes/:id",
      status: 401,
      role: "anonymous",
    });
    expect(JSON.stringify(lines)).not.toMatch(/hunter2|ock_|nod_secret/);
  });
});

test("the key set is public, cacheable, and holds no private part", async () => {
  const { status, headers, body } = await call(service, "GET", "/.well-known/jwks.json");
  expect(status).toBe(200);
  expect(headers["cache-control"]).toBe("public, max-age=300");
  expect(body.keys).toEqual([{ ...publicJwk(service.signingKey), alg: "EdDSA", use: "sig" }]);
  const again = await call(service, "GET", "/.well-known/jwks.json", {
    headers: { "if-none-match": String(headers["etag"]) },
  });
  expect(again).toMatchObject({ status: 304, body: "" });
  const kept = await service.accessBucket.get(`signing-key.${service.signingKey.kid}`);
  expect(JSON.parse(Buffer.from(kept!.value).toString())).toMatchObject(publicJwk(service.signingKey));
});

test("the admin key is made once, by one of several processes that start together", async () => {
  const others = await Promise.all([startService(servers), startService(servers)]);
  expect(others.map(({ adminSecret }) => adminSecret)).toEqual([undefined, undefined]);
  await Promise.all(others.map((other) => other.close()));
});

test("a slow request is cut, and an answer that takes longer than that is not", async () => {
  const { server } = service.app;
  expect(server.requestTimeout).toBe(15_000);
  expect((server as unknown as { headersTimeout: number }).headersTimeout).toBe(10_000);
  expect(server.timeout).toBeGreaterThan(LIMITS.acksLongPollMaxMs);
});

test("a closing service finishes what it has begun and refuses new requests as problems", async () => {
  const other = await startService(servers);
  let finish = (): void => undefined;
  other.app.get(
    "/slow",
    { config: { roles: "public" } },
    () => new Promise((resolve) => (finish = () => resolve("done"))),
  );
  const port = await listen(other);
  const answers = ["", ""];
  const [begun, late] = answers.map((_, index) => {
    const socket = connect(port, "127.0.0.1");
    return socket.on("data", (bytes) => (answers[index] += bytes.toString()));
  });
  await once(late!, "connect");
  begun!.write("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
  await eventually(() => finish.length === 0 && String(finish).includes("done"));
  const closing = other.close();
  late!.write("GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n");
  await eventually(() => answers[1]!.includes("shutting_down"));
  finish();
  await closing;
  await eventually(() => answers[0]!.includes("done"));
  expect(answers[0]).toMatch(/^HTTP\/1.1 200 [^]*connection: close\r\n[^]*done/i);
  expect(answers[1]).toMatch(/^HTTP\/1.1 503 [^]*connection: close\r\n/i);
});

test("keys at rest are hashes", async () => {
  const { body } = await call(service, "POST", "/v1/api-keys", { as: admin, body: { role: "operator", name: "o" } });
  expect(body.secret).toMatch(/^ock_[0-9a-z]{26}_[A-Za-z0-9_-]{43}$/);
  const natsSeed = newKeyPair("user").seed; // never sent: here only to be absent
  let everything = "";
  for await (const entry of service.accessBucket.entries()) everything += Buffer.from(entry.value).toString();
  for (const secret of [admin, body.secret]) {
    expect(everything).not.toContain(secret);
    expect(everything).not.toContain(secret.slice(-43));
    expect(everything).toContain(createHash("sha256").update(secret).digest("base64url"));
  }
  expect(everything).not.toContain(natsSeed);
});

function talk(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    socket.on("data", (bytes) => (answer += bytes.toString()));
    socket.on("end", () => resolve(answer));
    socket.on("error", reject);
  });
}
