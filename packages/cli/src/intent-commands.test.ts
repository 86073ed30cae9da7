import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, IntentAccepted, IntentAmended, newId } from "@outcry/protocol";
import type { WebSocket } from "ws";
import { PeerApi } from "./api.fixture.js";

let api: PeerApi;

beforeEach(async () => {
  api = await new PeerApi().open();
});
afterEach(() => api.close());

const intentId = newId("int");
const nodeId = newId("nod");
const accepted = {
  id: intentId,
  status: "accepted",
  targets: 2,
  quote_deadline: "2026-11-20T10:00:00.000Z",
  request_digest: `sha256:${"x".repeat(43)}`,
  links: { self: `/v1/intents/${intentId}` },
};
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

/** The gateway subscribes anyone to this intent from its start, and tells these events. */
function tells(...events: [type: string, data: unknown][]): void {
  api.events.on("connection", (socket: WebSocket) => {
    const onCommand = (line: string) => {
      const { id, op, ch, from } = JSON.parse(line) as Record<string, string>;
      if (op === "auth") return socket.send(JSON.stringify({ id, ok: { ping_ms: 25_000 } }));
      if (op === "unsub") return socket.send(JSON.stringify({ id, ok: { ch } }));
      expect([ch, from]).toEqual([`intent:${intentId}`, "start"]);
      socket.send(JSON.stringify({ id, ok: { ch, c: "c0", recovered: true } }));
      const frames = events.map(([type, told], nth) =>
        JSON.stringify({
          ch,
          c: `c${nth + 1}`,
          e: type,
          d: { id: `evt_${nth}`, type, time: "2026-11-20T10:00:00.000Z", data: told },
        }),
      );
      socket.send(frames.join("\n"));
    };
    socket.on("message", (data: Buffer) => data.toString().split("\n").forEach(onCommand)); // several commands in a frame
  });
}

describe("outcry intent", () => {
  test("send posts what the options say, and with --wait tells each node's answer and the ranking", async () => {
    api.answer = (path) =>
      path === "/v1/intents"
        ? [202, accepted]
        : path.endsWith("quotes")
          ? [200, ranked]
          : [200, { data: [{ receipt_id: "rcp_1" }] }];
    const response = { node_id: nodeId, kind: "ack", status: "accepted", received_at: "2026-11-20T09:59:00.000Z" };
    tells(
      ["NODE_RESPONDED", { intent_id: intentId, responses: [response] }],
      ["INTENT_CLOSED", { intent_id: intentId }],
    );
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
    const ran = await api.outcry([
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
      "--timeout-ms",
      "5000",
    ]);
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(api.asked[0]!.headers).toMatchObject({ authorization: "Bearer key", "idempotency-key": "k-1" });
    expect(api.asked[0]!.body).toEqual({
      line_items: [{ query: "canvas bag", category: "bags", quantity: 2 }],
      context: { currency: "usd", region: "US" },
      budget: { max_minor: 5_000 },
      buyer_id: "42",
      routing: { targets: [nodeId] },
    });
    expect(ran.out).toContain(`${intentId}  2 nodes`);
    expect(ran.out).toContain(`${api.url}/v1/intents/${intentId}`);
    expect(ran.out).toMatch(/^nod_\S+ +accepted +2026-11-20T09:59:00\.000Z$/m);
    expect(ran.out).toMatch(/^1 +89\.90 EUR +firm +990 +nod_/m);
    expect(ran.out).toContain("closed  1 ranked, 1 not ranked");
  });

  test("send takes a file or standard input, strictly read, and moves the deadline", async () => {
    api.answer = (path) => (path === "/v1/intents" ? [202, accepted] : [200, { data: [] }]);
    const folder = mkdtempSync(join(tmpdir(), "outcry-cli-"));
    const file = join(folder, "intent.json");
    const request = { line_items: [{ query: "bag" }], context: { currency: "EUR" } };
    writeFileSync(file, JSON.stringify(request));
    expect((await api.outcry(["intent", "send", "--file", file, "--window-ms", "2000"])).code).toBe(0);
    expect(api.asked[0]!.body).toMatchObject({ ...request, quote_deadline: expect.stringMatching(/Z$/) });
    const piped = await api.outcry(["intent", "send", "--file", "-", "--json"], { input: JSON.stringify(request) });
    expect(check(IntentAccepted, JSON.parse(piped.out))).toMatchObject({ kind: "ok", value: { id: intentId } });
    expect(await api.outcry(["intent", "send", "--file", "-"], { input: '{"a":1,"a":2}' })).toMatchObject({
      code: 2,
      err: expect.stringContaining("json_duplicate_key"),
    });
    expect((await api.outcry(["intent", "send", "--file", join(folder, "none")])).code).toBe(2);
    rmSync(folder, { recursive: true });
  });

  test("amend sends what changes, in a file or as options, and says which revision it became", async () => {
    const amended = { ...accepted, revision: 2, supersedes: accepted.request_digest };
    api.answer = () => [202, amended];
    const ran = await api.outcry(
      [
        "intent",
        "amend",
        intentId,
        "--file",
        "-",
        "--no-budget",
        "--expected-revision",
        "1",
        "--idempotency-key",
        "k-2",
      ],
      { input: '{"quote_type":"firm"}' },
    );
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out).toBe(`${intentId}  revision 2  2 nodes  quotes until ${accepted.quote_deadline}\n`);
    expect(api.asked[0]).toMatchObject({
      body: { quote_type: "firm", budget: null, expected_revision: 1 },
      headers: { "idempotency-key": "k-2" },
    });
    const json = await api.outcry(["intent", "amend", intentId, "--budget-minor", "5", "--json"]);
    expect(check(IntentAmended, JSON.parse(json.out)).kind).toBe("ok");
    for (const wrong of [[], ["--expected-revision", "1"], ["--no-budget", "--budget-minor", "5"], ["--file", "none"]])
      expect((await api.outcry(["intent", "amend", intentId, ...wrong])).code).toBe(2);
    expect(api.asked).toHaveLength(2);
  });

  test("get, cancel and quote ls show what the service says", async () => {
    api.answer = () => [
      200,
      { id: intentId, status: "open", created: "c", quote_deadline: "d", deliveries: { acked: 2, dead: 0 } },
    ];
    expect((await api.outcry(["intent", "get", intentId])).out).toContain("deliveries acked 2\n");
    api.answer = () => [200, { id: intentId, status: "cancelled" }];
    expect((await api.outcry(["intent", "cancel", intentId, "--reason", "changed my mind"])).out).toBe(
      `${intentId}  cancelled\n`,
    );
    expect(api.asked.at(-1)).toMatchObject({
      path: `/v1/intents/${intentId}/cancel`,
      body: { reason: "changed my mind" },
    });
    api.answer = () => [200, ranked];
    const { out } = await api.outcry(["quote", "ls", intentId, "--json"]);
    expect(
      out
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { rank: number }).rank),
    ).toEqual([1]);
  });

  test("tail follows the events from the start until the end", async () => {
    tells(["INTENT_CREATED", { intent_id: intentId, targets: 2 }], ["INTENT_CLOSED", { reason: "all_answered" }]);
    const ran = await api.outcry(["intent", "tail", intentId]);
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out.split("\n").map((line) => line.replaceAll(/ +/g, " "))).toEqual([
      "2026-11-20T10:00:00.000Z INTENT_CREATED targets=2",
      "2026-11-20T10:00:00.000Z INTENT_CLOSED reason=all_answered",
      "",
    ]);
  });
});
