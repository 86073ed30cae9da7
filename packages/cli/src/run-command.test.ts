import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ErrorCode, newId, OutcryError, problemOf } from "@outcry/protocol";
import { type WebSocket, WebSocketServer } from "ws";
import { runCommand } from "./run-command.js";
import { money, printable } from "./print.js";

let server: Server;
let url: string;
let asked: { method: string; path: string; body: unknown; headers: Record<string, unknown> }[];
let answer: (path: string) => [status: number, body: unknown];
let events: WebSocketServer;

const intentId = newId("int");
const nodeId = newId("nod");

beforeEach(async () => {
  asked = [];
  answer = () => [200, { data: [], has_more: false }];
  server = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      asked.push({
        method: request.method!,
        path: request.url!,
        body: text === "" ? undefined : JSON.parse(text),
        headers: request.headers,
      });
      const [status, body] = answer(request.url!);
      response
        .writeHead(status, { "content-type": "application/json" })
        .end(status === 204 ? "" : JSON.stringify(body));
    })();
  });
  events = new WebSocketServer({ server, path: "/v1/ws" });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  for (const socket of events.clients) socket.terminate();
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

const problem = (code: ErrorCode, pointers: { pointer: string; detail: string }[] = []): [number, unknown] => {
  const error = new OutcryError(code, "told so", { pointers });
  return [error.httpStatus, problemOf(error, "req_1")];
};

interface Ran {
  code: number;
  out: string;
  err: string;
}
async function outcry(args: string[], more: { env?: Record<string, string>; input?: string } = {}): Promise<Ran> {
  const ran = { out: "", err: "" };
  const code = await runCommand(args, {
    env: { OUTCRY_URL: url, OUTCRY_API_KEY: "key", ...more.env },
    out: (text) => void (ran.out += text),
    err: (text) => void (ran.err += text),
    readInput: () => Promise.resolve(more.input ?? ""),
    signal: new AbortController().signal,
  });
  return { code, ...ran };
}

const accepted = { id: intentId, targets: 2, quote_deadline: "2026-11-20T10:00:00.000Z", request_digest: "sha256:x" };
const ranked = {
  intent_id: intentId,
  status: "closed",
  method: "m",
  quotes: [
    {
      rank: 1,
      quote_id: newId("quo"),
      node_id: nodeId,
      explanation: { score: 990 },
      quote: {
        payload: {
          total: { amount_minor: 8_990, currency: "EUR" },
          quote_type: "firm",
          valid_until: "2026-11-20T11:00:00.000Z",
        },
      },
    },
  ],
  unranked: [{ code: "quote_late" }],
};

describe("outcry intent", () => {
  test("send posts what the options say, and waits for quotes when it is told to", async () => {
    answer = (path) =>
      path === "/v1/intents"
        ? [202, accepted]
        : path.endsWith("quotes")
          ? [200, ranked]
          : [200, { data: [{ receipt_id: "rcp_1" }] }];
    const args = [
      "--query",
      "canvas bag",
      "--category",
      "bags",
      "--quantity",
      "2",
      "--currency",
      "usd",
      "--region",
      "US",
      "--budget-minor",
      "5000",
    ];
    const ran = await outcry([
      "intent",
      "send",
      ...args,
      "--buyer",
      "42",
      "--target",
      nodeId,
      "--idempotency-key",
      "k-1",
      "--wait",
      "closed",
    ]);
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(asked[0]!.headers).toMatchObject({ authorization: "Bearer key", "idempotency-key": "k-1" });
    expect(asked[0]!.body).toEqual({
      line_items: [{ query: "canvas bag", category: "bags", quantity: 2 }],
      context: { currency: "usd", region: "US" },
      budget: { max_minor: 5_000 },
      buyer_id: "42",
      routing: { targets: [nodeId] },
    });
    expect(ran.out).toContain(`${intentId}  2 nodes`);
    expect(ran.out).toMatch(/^1 +89\.90 EUR +firm +990 +nod_/m);
    expect(ran.out).toContain("closed  1 ranked, 1 not ranked");
  });

  test("send takes a file or standard input, strictly read, and moves the deadline", async () => {
    answer = (path) => (path === "/v1/intents" ? [202, accepted] : [200, { data: [] }]);
    const folder = mkdtempSync(join(tmpdir(), "outcry-cli-"));
    const file = join(folder, "intent.json");
    const request = { line_items: [{ query: "bag" }], context: { currency: "EUR" } };
    writeFileSync(file, JSON.stringify(request));
    expect((await outcry(["intent", "send", "--file", file, "--window-ms", "2000"])).code).toBe(0);
    expect(asked[0]!.body).toMatchObject({ ...request, quote_deadline: expect.stringMatching(/Z$/) });
    const piped = await outcry(["intent", "send", "--file", "-", "--json"], { input: JSON.stringify(request) });
    expect(JSON.parse(piped.out)).toMatchObject({ intentId, targets: 2, replayed: false });
    expect(await outcry(["intent", "send", "--file", "-"], { input: '{"a":1,"a":2}' })).toMatchObject({
      code: 2,
      err: expect.stringContaining("json_duplicate_key"),
    });
    expect((await outcry(["intent", "send", "--file", join(folder, "none")])).code).toBe(2);
    rmSync(folder, { recursive: true });
  });

  test("get, cancel and quote ls show what the service says", async () => {
    answer = () => [
      200,
      { id: intentId, status: "open", created: "c", quote_deadline: "d", deliveries: { acked: 2, dead: 0 } },
    ];
    expect((await outcry(["intent", "get", intentId])).out).toContain("deliveries acked 2\n");
    answer = () => [200, { id: intentId, status: "cancelled" }];
    expect((await outcry(["intent", "cancel", intentId, "--reason", "changed my mind"])).out).toBe(
      `${intentId}  cancelled\n`,
    );
    expect(asked.at(-1)).toMatchObject({ path: `/v1/intents/${intentId}/cancel`, body: { reason: "changed my mind" } });
    answer = () => [200, ranked];
    const { out } = await outcry(["quote", "ls", intentId, "--json"]);
    expect(
      out
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { rank: number }).rank),
    ).toEqual([1]);
  });

  test("tail follows the events from the start until the end", async () => {
    events.on("connection", (socket: WebSocket) => {
      socket.on("message", (data: Buffer) => {
        const { id, op, ch, from } = JSON.parse(data.toString()) as Record<string, string>;
        if (op === "auth") return socket.send(JSON.stringify({ id, ok: { ping_ms: 25_000 } }));
        expect([ch, from]).toEqual([`intent:${intentId}`, "start"]);
        const event = (type: string, nth: number, data_: unknown) =>
          JSON.stringify({ ch, c: `c${nth}`, e: type, d: { type, time: "2026-11-20T10:00:00.000Z", data: data_ } });
        socket.send(JSON.stringify({ id, ok: { ch, c: "c0", recovered: true } }));
        socket.send(
          [
            event("INTENT_CREATED", 1, { intent_id: intentId, targets: 2 }),
            event("INTENT_CLOSED", 2, { reason: "all_answered" }),
          ].join("\n"),
        );
      });
    });
    const ran = await outcry(["intent", "tail", intentId]);
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out.split("\n").map((line) => line.replaceAll(/ +/g, " "))).toEqual([
      "2026-11-20T10:00:00.000Z INTENT_CREATED targets=2",
      "2026-11-20T10:00:00.000Z INTENT_CLOSED reason=all_answered",
      "",
    ]);
  });
});

describe("outcry for operators", () => {
  test("speaks the routes of the API", async () => {
    const node = { id: nodeId, status: "suspended", name: "Shop \u001b[31m", categories: ["bags"], regions: [] };
    answer = (path) => {
      if (path.startsWith("/v1/nodes?")) return [200, { data: [node], has_more: true, next_cursor: "next" }];
      if (path.startsWith("/v1/nodes/")) return [200, node];
      if (path === "/v1/api-keys")
        return [201, { id: "key_1", role: "backend", name: "shop", backend_id: "bkd_1", secret: "s3cret" }];
      if (path.startsWith("/v1/api-keys/")) return [204, undefined];
      if (path === "/v1/tokens") return [201, { token: "t.o.k", expires: "e", channels: ["buyer:42"] }];
      if (path === "/v1/invites") return [201, { id: "inv_1", invite: "inv-secret", expires: "e" }];
      return [
        200,
        {
          data: [{ time: "t", kind: "delivery", cause: "no_ack", attempts: 3, intent_id: intentId, node_id: nodeId }],
          has_more: false,
        },
      ];
    };
    const nodes = await outcry(["node", "ls", "--status", "suspended"]);
    expect(nodes.out).toMatch(/^nod_\S+ +suspended +Shop �\[31m +bags +any$/m);
    expect(nodes.out).toContain("more: --cursor next");
    await outcry(["node", "suspend", nodeId, "--reason", "fraud"]);
    await outcry(["node", "resume", nodeId]);
    expect((await outcry(["key", "create", "--role", "backend", "--name", "shop"])).out).toContain("secret  s3cret");
    expect((await outcry(["key", "revoke", "key_1"])).out).toBe("key_1  revoked\n");
    expect((await outcry(["token", "mint", "--buyer", "42"])).out).toContain("t.o.k");
    expect((await outcry(["invite", "create", "--name", "Shop"])).out).toContain("inv-secret");
    expect((await outcry(["dlq", "ls", "--limit", "5"])).out).toMatch(/^t +delivery +no_ack +3 +int_/m);
    expect(
      asked.map(({ method, path, body }) => `${method} ${path}${body === undefined ? "" : ` ${JSON.stringify(body)}`}`),
    ).toEqual([
      "GET /v1/nodes?status=suspended",
      `POST /v1/nodes/${nodeId}/suspend {"reason":"fraud"}`,
      `POST /v1/nodes/${nodeId}/resume {}`,
      'POST /v1/api-keys {"role":"backend","name":"shop"}',
      "DELETE /v1/api-keys/key_1",
      'POST /v1/tokens {"buyer_id":"42","channels":["buyer:42"]}',
      'POST /v1/invites {"name":"Shop"}',
      "GET /v1/dead-letters?limit=5",
    ]);
    answer = () => [200, { data: [{ id: "key_1", role: "admin", name: "first", created: "c" }], has_more: false }];
    expect((await outcry(["key", "ls"])).out).toMatch(/^key_1 +admin +- +first +c +-$/m);
  });
});

describe("the exit code", () => {
  test.each([
    ["intent_ended", 1],
    ["credentials_invalid", 3],
    ["permission_denied", 3],
    ["intent_not_found", 4],
    ["internal", 1],
  ] as const)("of %s is %d, with the hint and the request id on the error output", async (code, expected) => {
    answer = () => problem(code, [{ pointer: "/x", detail: "is wrong" }]);
    const ran = await outcry(["intent", "get", intentId]);
    expect(ran).toMatchObject({ code: expected, out: "" });
    expect(ran.err).toContain(`outcry: ${code}: told so\n  /x: is wrong\n`);
    expect(ran.err).toContain("request req_1");
  });

  test("is 5 when nobody answers, and 2 for a wrong command line, which sends nothing", async () => {
    const gone = createServer().listen(0, "127.0.0.1");
    await once(gone, "listening");
    const away = ["--url", `http://127.0.0.1:${(gone.address() as AddressInfo).port}`];
    gone.close();
    await once(gone, "close");
    expect((await outcry(["key", "create", "--role", "admin", "--name", "x", ...away])).code).toBe(5);
    const wrong = [
      ["intent"],
      ["intent", "sendd"],
      ["intent", "get"],
      ["intent", "get", intentId, "more"],
      ["intent", "send"],
      ["intent", "send", "--query", "bag", "--quantity", "two"],
      ["intent", "send", "--query", "bag", "--unknown"],
      ["quote", "ls", intentId, "--wait", "some"],
      ["key", "create", "--role", "king", "--name", "x"],
      ["key", "create", "--name", "x"],
      ["token", "mint"],
      ["constructor", "name"],
    ];
    for (const args of wrong)
      expect({ args, ...(await outcry(args)) }).toMatchObject({
        args,
        code: 2,
        err: expect.stringContaining("outcry: "),
      });
    expect(await outcry(["key", "ls"], { env: { OUTCRY_API_KEY: "" } })).toMatchObject({
      code: 2,
      err: expect.stringContaining("OUTCRY_API_KEY"),
    });
    expect(asked).toEqual([]);
  });

  test("of help is 0: of all, of a noun, of each command", async () => {
    const all = await outcry(["--help"]);
    expect(all).toMatchObject({ code: 0, err: "" });
    const names = [...all.out.matchAll(/^ {2}outcry (\w+ \w+)/gm)].map(([, name]) => name!);
    expect(names).toHaveLength(14);
    expect((await outcry(["node", "--help"])).out.match(/^ {2}outcry /gm)).toHaveLength(3);
    for (const name of names) {
      const ran = await outcry([...name.split(" "), "--help"], { env: { OUTCRY_API_KEY: "" } });
      expect(ran.code).toBe(0);
      expect(ran.out).toContain(`Usage: outcry ${name}`);
      expect(ran.out).toContain("--json");
    }
  });
});

describe("printing", () => {
  test("shows money with the digits of its currency, and no control characters", () => {
    expect(money({ amount_minor: 8_990, currency: "EUR" })).toBe("89.90 EUR");
    expect(money({ amount_minor: 5, currency: "USD" })).toBe("0.05 USD");
    expect(money({ amount_minor: 1_200, currency: "JPY" })).toBe("1200 JPY");
    expect(money({ amount_minor: 1, currency: "KWD" })).toBe("0.001 KWD");
    expect(printable("a\u001b[2Jb\r\n")).toBe("a�[2Jb��");
  });
});

test("the command runs as a process of its own", async () => {
  const bin = fileURLToPath(new URL("../bin/outcry.js", import.meta.url));
  const child = spawn(process.execPath, [bin, "node", "ls", "--json"], {
    env: { ...process.env, OUTCRY_URL: url, OUTCRY_API_KEY: "key" },
  });
  const [code] = (await once(child, "exit")) as [number];
  expect(code).toBe(0);
  expect(asked[0]).toMatchObject({ method: "GET", path: "/v1/nodes", headers: { authorization: "Bearer key" } });
});
