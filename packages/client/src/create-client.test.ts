import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { isTemporary, newId, type IntentRequest } from "@outcry/protocol";
import { ApiError, isApiError } from "./api-error.js";
import { type Client, type ClientOptions, createClient } from "./create-client.js";
import { PeerService, problem, type Said } from "./service.fixture.js";

let peer: PeerService;
let client: Client;

beforeEach(async () => {
  peer = await new PeerService().open();
  client = clientWith({ apiKey: "key" });
});
afterEach(() => peer.close());

const clientWith = (options: Partial<ClientOptions>): Client =>
  createClient({ url: `${peer.url}/`, random: () => 0, ...options });

const request: IntentRequest = { line_items: [{ query: "canvas bag" }], context: { currency: "EUR" } };
const intentId = newId("int");
const accepted = {
  id: intentId,
  status: "accepted",
  targets: 2,
  quote_deadline: "2026-11-20T10:00:00.000Z",
  request_digest: "sha256:x",
  links: {},
};
const receipts = { data: [{ receipt_id: "rcp_1" }, { receipt_id: "rcp_2" }] };

/** Answers of POST /v1/intents in turn; everything else gets the receipts. */
function posts(...said: Said[]): void {
  let nth = 0;
  peer.answer = ({ method }) =>
    method === "POST" ? said[Math.min(nth++, said.length - 1)]! : { status: 200, body: receipts };
}
const posted = () => peer.asked.filter(({ method }) => method === "POST");

describe("broadcast", () => {
  test("posts the request and returns one receipt id per node", async () => {
    posts({ status: 202, body: accepted });
    const result = await client.broadcast(request, undefined, { requestId: "req_mine", traceparent: "00-a-b-01" });
    expect(result).toMatchObject({
      intentId,
      receiptIds: ["rcp_1", "rcp_2"],
      targets: 2,
      quoteDeadline: accepted.quote_deadline,
      replayed: false,
    });
    expect(posted()[0]!.headers).toMatchObject({
      authorization: "Bearer key",
      "idempotency-key": result.idempotencyKey,
      "x-request-id": "req_mine",
      traceparent: "00-a-b-01",
      "content-type": "application/json",
    });
    expect(posted()[0]!.body).toEqual(request);
    expect(peer.asked[1]).toMatchObject({ method: "GET", path: `/v1/intents/${intentId}/receipts` });
  });

  test("names explicit targets in the routing and keeps the rest of it", async () => {
    posts({ status: 202, body: accepted });
    const node = newId("nod");
    await client.broadcast({ ...request, routing: { block: ["nod_x"] } }, [node]);
    expect(posted()[0]!.body).toEqual({ ...request, routing: { block: ["nod_x"], targets: [node] } });
  });

  test("repeats itself with the same key and body through outages and lost answers, and says that it was replayed", async () => {
    posts(
      "cut",
      problem("dependency_unavailable"),
      { status: 502, body: "<html>" },
      { status: 202, body: accepted, headers: { "idempotent-replayed": "true" } },
    );
    const result = await client.broadcast(request);
    expect(result.replayed).toBe(true);
    expect(posted()).toHaveLength(4);
    expect(new Set(posted().map(({ headers, body }) => JSON.stringify([headers["idempotency-key"], body]))).size).toBe(
      1,
    );
  });

  test("uses another key for another intent, and the caller's own when it is given", async () => {
    posts({ status: 202, body: accepted });
    await client.broadcast(request);
    await client.broadcast(request);
    await client.broadcast(request, undefined, { idempotencyKey: "order-7" });
    const keys = posted().map(({ headers }) => headers["idempotency-key"]);
    expect(new Set(keys).size).toBe(3);
    expect(keys[2]).toBe("order-7");
    expect(String(keys[0]).length).toBeGreaterThanOrEqual(22);
  });

  test("waits as long as Retry-After says, and does not wait for more than a minute", async () => {
    posts(problem("shutting_down", undefined, { "retry-after": "1" }), { status: 202, body: accepted });
    const from = Date.now();
    await client.broadcast(request);
    expect(Date.now() - from).toBeGreaterThanOrEqual(990);
    posts(problem("record_full", undefined, { "retry-after": "120" }));
    await expect(client.broadcast(request)).rejects.toMatchObject({ code: "record_full", retryAfterMs: 120_000 });
    expect(posted()).toHaveLength(3);
  });

  test("throws a refusal at once, typed, with what refers to it", async () => {
    posts(problem("no_eligible_nodes", "category bags leaves none"));
    const error: unknown = await client
      .broadcast(request, undefined, { idempotencyKey: "order-8" })
      .catch((reason: unknown) => reason);
    expect(isApiError(error, "no_eligible_nodes")).toBe(true);
    expect(error).toMatchObject({
      status: 422,
      detail: "category bags leaves none",
      requestId: "req_problem",
      idempotencyKey: "order-8",
      temporary: false,
    });
    expect(posted()).toHaveLength(1);
  });

  test("gives up after its attempts, naming the key to go on with", async () => {
    posts("cut");
    const error = await client
      .broadcast(request, undefined, { idempotencyKey: "order-9" })
      .catch((reason: unknown) => reason as ApiError);
    expect(error).toMatchObject({ code: "dependency_unavailable", status: 0, idempotencyKey: "order-9" });
    expect(isTemporary(error)).toBe(true);
    expect(posted()).toHaveLength(6);
  });

  test("ends with the signal, also while it waits to repeat itself", async () => {
    posts(problem("shutting_down", undefined, { "retry-after": "30" }));
    const controller = new AbortController();
    const broadcasting = client.broadcast(request, undefined, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error("enough")), 50);
    await expect(broadcasting).rejects.toThrow("enough");
    peer.answer = () => "never";
    const next = new AbortController();
    const hanging = client.broadcast(request, undefined, { signal: next.signal });
    setTimeout(() => next.abort(new Error("enough")), 50);
    await expect(hanging).rejects.toThrow("enough");
  });
});

describe("errors", () => {
  test("of a code that this version does not know keep the service's word on retrying", async () => {
    peer.answer = () => ({
      status: 409,
      body: {
        code: "brand_new",
        detail: "later",
        retryable: true,
        request_id: "req_9",
        errors: [{ pointer: "/x", detail: "y" }],
      },
    });
    const error = await clientWith({ apiKey: "key" })
      .createInvite()
      .catch((reason: unknown) => reason as ApiError);
    expect(error).toMatchObject({
      code: "dependency_unavailable",
      detail: "brand_new: later",
      temporary: true,
      requestId: "req_9",
      pointers: [{ pointer: "/x", detail: "y" }],
    });
  });

  test("are what a wrong construction gets: no credential, no WebSocket", () => {
    expect(() => createClient({ url: peer.url })).toThrow("credentials_missing");
    const { WebSocket } = globalThis as { WebSocket?: unknown };
    if (WebSocket === undefined) expect(() => client.realtime).toThrow("config_invalid");
  });
});

describe("credentials", () => {
  test("are asked for once more when a token has expired", async () => {
    let given = 0;
    client = clientWith({ apiKey: undefined, getToken: () => `token-${given++}` });
    peer.answer = ({ headers }) =>
      headers.authorization === "Bearer token-0" ? problem("token_expired") : { status: 200, body: { data: [] } };
    expect(await client.receipts(intentId)).toEqual([]);
    given = 0;
    peer.answer = () => problem("token_expired");
    await expect(client.receipts(intentId)).rejects.toMatchObject({ code: "token_expired", status: 401 });
    expect(given).toBe(2);
  });
});

describe("waiting", () => {
  const acks = (complete: boolean) => ({ status: 200, body: { intent_id: intentId, complete, counts: {}, acks: [] } });

  test("collectAcks polls in turns until no node is pending", async () => {
    peer.answer = (_, nth) => (nth === 1 ? problem("dependency_unavailable") : acks(nth === 3));
    expect((await client.collectAcks(intentId, 5_000)).complete).toBe(true);
    expect(peer.asked).toHaveLength(4);
    expect(peer.asked[0]!.path).toBe(`/v1/intents/${intentId}/acks?timeout_ms=5000`);
  });

  test("collectAcks answers with what there is when the time is up, and never asks for more than the service allows", async () => {
    peer.answer = () => acks(false);
    expect((await client.collectAcks(intentId, 120)).complete).toBe(false);
    let now = 0;
    client = clientWith({ apiKey: "key", clock: { now: () => (now += 40_000) } });
    await client.collectAcks(intentId, 90_000);
    expect(Math.max(...peer.asked.map(({ path }) => Number(path.split("=")[1])))).toBe(30_000);
  });

  test("quotes waits for a number of them, for the end with nothing in verification, or for its time", async () => {
    const view = (status: string, quotes: number, unranked: string[] = []) => ({
      status: 200,
      body: {
        intent_id: intentId,
        status,
        method: "m",
        quotes: Array.from({ length: quotes }, () => ({})),
        unranked: unranked.map((code) => ({ code })),
      },
    });
    peer.answer = (_, nth) => view("open", nth);
    expect((await client.quotes(intentId)).quotes).toHaveLength(0);
    expect((await client.quotes(intentId, { wait: 3, timeoutMs: 2_000 })).quotes).toHaveLength(3);
    const from = peer.asked.length;
    peer.answer = (_, nth) =>
      [view("open", 1), view("closed", 1, ["processing"]), view("closed", 2, ["quote_late"])][Math.min(nth - from, 2)]!;
    expect(await client.quotes(intentId, { wait: "closed", timeoutMs: 2_000 })).toMatchObject({
      status: "closed",
      quotes: [{}, {}],
    });
    peer.answer = () => view("open", 1);
    expect((await client.quotes(intentId, { wait: 2, timeoutMs: 120 })).quotes).toHaveLength(1);
  });
});

describe("administration", () => {
  test("speaks the routes of the API", async () => {
    const id = newId("nod");
    peer.answer = ({ method }) => ({
      status: method === "DELETE" ? 204 : 200,
      ...(method === "DELETE" ? {} : { body: { node: { id }, data: [] } }),
    });
    await client.createApiKey({ role: "backend", name: "shop" });
    await client.listApiKeys();
    await client.revokeApiKey("key_1");
    await client.createInvite();
    await client.createToken({ buyer_id: "42", channels: ["buyer:42"] });
    await client.deadLetters({ limit: 5 });
    await client.deadLetters({ kind: "delivery", status: "open", cause: "ack timeout" });
    await client.deadLetterGroups("node", { since: "2026-11-20T00:00:00.000Z" });
    await client.deadLetter("dead.a.b");
    await client.discardDeadLetter("dead.a.b", "a duplicate");
    await client.replays.dryRun({ filter: { kind: "delivery" } });
    await client.replays.start({ filter: {}, rate_per_second: 5, reason: "back" });
    await client.replays.list({ limit: 1 });
    await client.replays.get("rpl_1");
    await client.replays.pause("rpl_1", "too fast");
    await client.replays.resume("rpl_1");
    await client.replays.cancel("rpl_1");
    await client.nodes.list({ status: "suspended", cursor: "a b" });
    await client.nodes.get(id);
    await client.nodes.update(id, { name: "x" });
    await client.nodes.suspend(id, "fraud");
    await client.nodes.resume(id);
    await client.nodes.remove(id);
    await client.cancel(intentId, "changed my mind");
    await client.close(intentId);
    expect(
      peer.asked.map(
        ({ method, path, body }) => `${method} ${path}${body === undefined ? "" : ` ${JSON.stringify(body)}`}`,
      ),
    ).toEqual([
      'POST /v1/api-keys {"role":"backend","name":"shop"}',
      "GET /v1/api-keys",
      "DELETE /v1/api-keys/key_1",
      "POST /v1/invites {}",
      'POST /v1/tokens {"buyer_id":"42","channels":["buyer:42"]}',
      "GET /v1/dead-letters?limit=5",
      "GET /v1/dead-letters?kind=delivery&status=open&cause=ack+timeout",
      "GET /v1/dead-letters/groups?by=node&since=2026-11-20T00%3A00%3A00.000Z",
      "GET /v1/dead-letters/dead.a.b",
      'POST /v1/dead-letters/dead.a.b/discard {"reason":"a duplicate"}',
      'POST /v1/dead-letters/replays {"filter":{"kind":"delivery"},"dry_run":true}',
      'POST /v1/dead-letters/replays {"filter":{},"rate_per_second":5,"reason":"back"}',
      "GET /v1/dead-letters/replays?limit=1",
      "GET /v1/dead-letters/replays/rpl_1",
      'POST /v1/dead-letters/replays/rpl_1/pause {"reason":"too fast"}',
      "POST /v1/dead-letters/replays/rpl_1/resume {}",
      "POST /v1/dead-letters/replays/rpl_1/cancel {}",
      "GET /v1/nodes?status=suspended&cursor=a+b",
      `GET /v1/nodes/${id}`,
      `PATCH /v1/nodes/${id} {"name":"x"}`,
      `POST /v1/nodes/${id}/suspend {"reason":"fraud"}`,
      `POST /v1/nodes/${id}/resume {}`,
      `DELETE /v1/nodes/${id}`,
      `POST /v1/intents/${intentId}/cancel {"reason":"changed my mind"}`,
      `POST /v1/intents/${intentId}/close {}`,
    ]);
  });

  test("does not repeat what would be made twice; a removal whose answer was lost counts as done", async () => {
    peer.answer = () => "cut";
    await expect(client.createApiKey({ role: "backend", name: "shop" })).rejects.toBeInstanceOf(ApiError);
    expect(peer.asked).toHaveLength(1);
    peer.answer = (_, nth) => (nth === 1 ? "cut" : problem("api_key_not_found"));
    await client.revokeApiKey("key_1");
    await expect(client.revokeApiKey("key_1")).rejects.toMatchObject({ code: "api_key_not_found" });
  });
});
