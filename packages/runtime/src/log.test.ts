import { describe, expect, test } from "@jest/globals";
import { createLog, type LogOptions } from "./log.js";

const SEED = `SU${"A2".repeat(28)}`;
const JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJidXllcl80MiJ9.c2lnbmF0dXJl";
const PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIcanary\n-----END PRIVATE KEY-----";
const API_KEY = "ock_01k8e2s6m9f4tq7c3x5z0w1v2b_c4n4ryc4n4ryc4n4ryc4n4ry";

const WEBHOOK_SECRET = `whsec_${"c4n4ry".repeat(7)}==`;

function capture(options: LogOptions = {}) {
  const lines: string[] = [];
  const log = createLog({
    level: "debug",
    ...options,
    destination: { write: (line: string) => void lines.push(line) },
  });
  return { log, lines, last: () => JSON.parse(lines.at(-1)!) as Record<string, unknown> };
}

describe("the log", () => {
  test("writes one JSON object per line with time, level, message and the fields of its ancestors", () => {
    const { log, last } = capture({ base: { service: "broadcast" } });
    log.child({ request_id: "req_1" }).info({ intent: "int_1", targets: 3 }, "accepted");
    expect(last()).toMatchObject({
      service: "broadcast",
      request_id: "req_1",
      intent: "int_1",
      targets: 3,
      msg: "accepted",
    });
    expect(String(last()["time"])).toMatch(/^\d{4}-.*Z$/);
  });

  test("drops what is below its level", () => {
    const { log, lines } = capture({ level: "warn" });
    log.info({}, "quiet");
    log.warn({}, "loud");
    expect(lines).toHaveLength(1);
  });

  test("shows no canary, wherever it hides", () => {
    const { log, lines } = capture({ sensitiveFields: ["pet_name"] });
    const canary = "canary-7f3a";
    const secrets = {
      authorization: canary,
      Authorization: canary,
      apiKey: canary,
      "API-KEY": canary,
      private_key: canary,
      signingKey: canary,
      seed: canary,
      jwt: canary,
      creds: canary,
      token: canary,
      buyer: { id: canary },
      buyerId: canary,
      petName: canary,
      intent: { payload: { query: canary } },
      line_items: [canary],
      body: canary,
    };
    const error = Object.assign(new Error(`failed with ${API_KEY}`, { cause: new Error(PEM) }), {
      headers: { cookie: canary },
    });
    log.info(secrets, "fields");
    log.warn({ deep: [{ deeper: { deepest: secrets } }], map: new Map([["k", secrets]]) }, "nested");
    log.error({ err: error }, "error");
    log
      .child(secrets)
      .debug({ url: `redis://user:${canary}@cache:6379/0`, ws: `wss://h/v1?api_key=${canary}&x=1` }, "child");
    log.info(
      { text: `Bearer ${JWT}`, seedling: SEED, key: PEM, jwk: `{"d":"${canary}${canary}"}` },
      `${SEED} ${JWT} ${API_KEY} ${WEBHOOK_SECRET} ${PEM}`,
    );
    log.info({ bytes: Buffer.from(canary) }, `Authorization: Basic ${Buffer.from(canary).toString("base64")}`);
    const written = lines.join("");
    for (const secret of [
      canary,
      Buffer.from(canary).toString("base64"),
      SEED,
      JWT,
      API_KEY,
      "MC4CAQAwBQYDK2VwBCIE",
      "c4n4ry",
    ]) {
      expect(written).not.toContain(secret);
    }
    expect(lines).toHaveLength(6);
  });

  test("survives cycles, bigints and huge values", () => {
    const { log, last, lines } = capture();
    const cycle: Record<string, unknown> = { n: 1n };
    cycle["self"] = cycle;
    log.info({ cycle, long: "x".repeat(100_000), many: Array.from({ length: 10_000 }, () => 1) }, "odd");
    expect(last()).toMatchObject({ cycle: { n: "1" } });
    expect(lines[0]!.length).toBeLessThan(10_000);
  });
});
