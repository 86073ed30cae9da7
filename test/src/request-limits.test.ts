// Requests of callers on real servers: each has its own quota, wrong credentials cost their address, and what must always answer does.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { ApiKeyCreated } from "@outcry/protocol";
import type { Answer, Call } from "./api-calls.js";
import { type Market, startMarket } from "./in-process.js";

const REQUESTS = 12;
const ADDRESS = 8;

let market: Market;

beforeAll(async () => {
  market = await startMarket({ quotas: { requestsPerMinute: REQUESTS, addressRequestsPerMinute: ADDRESS } });
});
afterAll(() => market.stop());

const operator = async (): Promise<Call> => {
  const made = await market.admin<ApiKeyCreated>("POST", "/v1/api-keys", { role: "operator", name: "operator" });
  return market.as(made.body.secret);
};

async function statuses(call: () => Promise<Answer<unknown>>, times: number): Promise<number[]> {
  const answers: number[] = [];
  for (let nth = 0; nth < times; nth++) answers.push((await call()).status);
  return answers;
}

const filled = (count: number, status: number): number[] => Array.from({ length: count }, () => status);

describe("requests", () => {
  test("of a key are counted, told and refused beyond its quota; another key is served", async () => {
    const [one, other] = [await operator(), await operator()];
    const first = await one("GET", "/v1/nodes");
    expect(first.headers.get("ratelimit-policy")).toBe(`"requests";q=${REQUESTS};w=60`);
    expect(first.headers.get("ratelimit")).toMatch(new RegExp(`^"requests";r=${REQUESTS - 1};t=\\d+$`));
    await statuses(() => one("GET", "/v1/nodes"), REQUESTS - 2);
    const last = await one("GET", "/v1/nodes");
    expect([last.status, last.headers.get("ratelimit")]).toEqual([200, expect.stringMatching(/^"requests";r=0;/)]);
    const refused = await one("GET", "/v1/nodes");
    expect([refused.status, refused.body.code]).toEqual([429, "rate_limited"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await other("GET", "/v1/nodes")).status).toBe(200);
  });

  test("without or with wrong credentials cost their address, and never a key behind it", async () => {
    const key = await operator();
    const wrong = market.as(`ock_${"0".repeat(26)}_${"A".repeat(43)}`);
    expect(await statuses(() => wrong("GET", "/v1/nodes"), ADDRESS + 2)).toEqual([
      ...filled(ADDRESS, 401),
      ...filled(2, 429),
    ]);
    expect((await market.as(undefined)("GET", "/errors/internal")).status).toBe(429);
    expect((await key("GET", "/v1/nodes")).status).toBe(200);
  });

  test("for keys, the API document and probes are always answered", async () => {
    for (const url of ["/.well-known/jwks.json", "/openapi.json"]) {
      expect(await statuses(() => market.as(undefined)("GET", url), ADDRESS + 4)).toEqual(filled(ADDRESS + 4, 200));
    }
  });
});
