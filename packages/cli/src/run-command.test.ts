import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { newId } from "@outcry/protocol";
import { PeerApi, problem } from "./api.fixture.js";
import { COMMANDS } from "./command-table.js";
import { money, printable } from "./print.js";

let api: PeerApi;

beforeEach(async () => {
  api = await new PeerApi().open();
});
afterEach(() => api.close());

const intentId = newId("int");
const nodeId = newId("nod");

describe("outcry for operators", () => {
  test("speaks the routes of the API", async () => {
    const node = { id: nodeId, status: "suspended", name: "Shop \u001b[31m", categories: ["bags"], regions: [] };
    api.answer = (path) => {
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
          data: [{ id: "dead.x.y", time: "t", status: "open", kind: "delivery", cause: "no_ack", attempts: 3 }],
          has_more: false,
        },
      ];
    };
    const nodes = await api.outcry(["node", "ls", "--status", "suspended"]);
    expect(nodes.out).toMatch(/^nod_\S+ +suspended +Shop �\[31m +bags +any$/m);
    expect(nodes.out).toContain("more: --cursor next");
    await api.outcry(["node", "suspend", nodeId, "--reason", "fraud"]);
    await api.outcry(["node", "resume", nodeId]);
    expect((await api.outcry(["api-key", "create", "--role", "backend", "--name", "shop"])).out).toContain(
      "secret  s3cret",
    );
    expect((await api.outcry(["api-key", "revoke", "key_1"])).out).toBe("key_1  revoked\n");
    expect((await api.outcry(["token", "gen", "--buyer", "42"])).out).toContain("t.o.k");
    expect((await api.outcry(["invite", "create", "--name", "Shop"])).out).toContain("inv-secret");
    expect((await api.outcry(["dlq", "ls", "--limit", "5"])).out).toMatch(
      /^t +open +delivery +no_ack +3 +dead\.x\.y$/m,
    );
    expect(
      api.asked.map(
        ({ method, path, body }) => `${method} ${path}${body === undefined ? "" : ` ${JSON.stringify(body)}`}`,
      ),
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
    api.answer = () => [200, { data: [{ id: "key_1", role: "admin", name: "first", created: "c" }], has_more: false }];
    expect((await api.outcry(["api-key", "ls"])).out).toMatch(/^key_1 +admin +- +first +c +-$/m);
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
    api.answer = () => problem(code, [{ pointer: "/x", detail: "is wrong" }]);
    const ran = await api.outcry(["intent", "get", intentId]);
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
    expect((await api.outcry(["api-key", "create", "--role", "admin", "--name", "x", ...away])).code).toBe(5);
    const wrong = [
      ["intent"],
      ["intent", "sendd"],
      ["intent", "get"],
      ["intent", "get", intentId, "more"],
      ["intent", "send"],
      ["intent", "send", "--query", "bag", "--quantity", "two"],
      ["intent", "send", "--query", "bag", "--unknown"],
      ["quote", "ls", intentId, "--wait", "some"],
      ["api-key", "create", "--role", "king", "--name", "x"],
      ["api-key", "create", "--name", "x"],
      ["token", "gen"],
      ["constructor", "name"],
    ];
    for (const args of wrong)
      expect({ args, ...(await api.outcry(args)) }).toMatchObject({
        args,
        code: 2,
        err: expect.stringContaining("outcry: "),
      });
    expect(await api.outcry(["api-key", "ls"], { env: { OUTCRY_API_KEY: "" } })).toMatchObject({
      code: 2,
      err: expect.stringContaining("OUTCRY_API_KEY"),
    });
    expect(api.asked).toEqual([]);
  });

  test("of help is 0: of all, of a noun, of each command", async () => {
    const all = await api.outcry(["--help"]);
    expect(all).toMatchObject({ code: 0, err: "" });
    const names = [...all.out.matchAll(/^ {2}outcry (\S+(?: \S+)?) {2}/gm)].map(([, name]) => name!.trim());
    expect(names).toEqual(Object.keys(COMMANDS));
    expect((await api.outcry(["node", "--help"])).out.match(/^ {2}outcry node /gm)).toHaveLength(5);
    for (const name of names) {
      const ran = await api.outcry([...name.split(" "), "--help"], { env: { OUTCRY_API_KEY: "" } });
      expect(ran.code).toBe(0);
      expect(ran.out).toContain(`Usage: outcry ${name}`);
      expect(ran.out).toContain("--json");
      expect(ran.out).toMatch(/Examples:\n {2}(outcry|\w+ .*\| outcry) /);
    }
  });
});

describe("a typing mistake", () => {
  test.each([
    [["intent", "sned"], "did you mean outcry intent send?"],
    [["nodes", "ls"], "did you mean outcry node ls?"],
    [["docter"], "did you mean outcry doctor?"],
    [["intent", "send", "--qurey", "bag"], "there is no option --qurey; did you mean --query?"],
    [["node"], "node needs a verb: ls, inspect, suspend"],
    [["completion", "bsh"], "did you mean bash?"],
    [["zzzzzz"], 'there is no command "zzzzzz"; see outcry --help'],
  ] as const)("%j is answered with what is near", async (args, said) => {
    expect(await api.outcry([...args])).toMatchObject({ code: 2, out: "", err: expect.stringContaining(said) });
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
    env: { ...process.env, OUTCRY_URL: api.url, OUTCRY_API_KEY: "key" },
  });
  const [code] = (await once(child, "exit")) as [number];
  expect(code).toBe(0);
  expect(api.asked[0]).toMatchObject({ method: "GET", path: "/v1/nodes", headers: { authorization: "Bearer key" } });
});
