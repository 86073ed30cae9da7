// Hostile input at every door: each operation of /openapi.json × bodies, paths, queries, headers and methods, and each subject that
// a node may publish × the same bodies and mutated messages. Every answer has its code; nothing is stuck, grows or falls over.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, credsAuthenticator, headers, jwtAuthenticator } from "@nats-io/transport-node";
import { QUOTE_SIGNATURE_HEADER } from "@outcry/delivery";
import {
  Ack,
  type ApiKeyCreated,
  buildAck,
  canonicalize,
  check,
  ERRORS,
  LIMITS,
  newId,
  parseStrict,
  type QuoteAnswer,
} from "@outcry/protocol";
import { callAs } from "../api-calls.js";
import type { Violation } from "../faults/history.js";
import { SEED, seeded, sized } from "../faults/sizes.js";
import { allBodies, type Body } from "../hostile-bodies.js";
import { eventually } from "../in-process.js";
import { credentialsOf, type HeardIntent, RawNode } from "../raw-node.js";
import { inTurns } from "./bare-node.js";
import { countsOf, fitsPayload, honestMessages, judgeQuoteAnswer, mutated, publishableBy } from "./hostile-messages.js";
import {
  type ApiDocument,
  bodyCases,
  type Case,
  headerCases,
  hostileTexts,
  type Keys,
  methodCases,
  type Operation,
  operationsOf,
  pathCases,
  queryCases,
  shapeBodies,
} from "./hostile-requests.js";
import { judgeAnswer, type RawAnswer } from "./judge-answer.js";
import { type RawHttp, rawHttp } from "./raw-http.js";
import { type SoakMarket, startSoakMarket } from "./soak-market.js";

const EVERY = Math.round(25 / sized(1, 25)); // `npm test` takes every 25th case, with another start for each operation
const MUTANTS = sized(100, 10_000); // of each subject
const AT_ONCE = 16;
const GROWTH_MAX = 300 * 1024 * 1024; // bytes of a process's memory over the whole matrix: garbage, no leak
const SOAK_MS = 600_000;

jest.setTimeout(SOAK_MS);

let market: SoakMarket;
let http: RawHttp;
let keys: Keys;
let operations: Operation[];
let node: RawNode;
let jwt: string;
let heard: HeardIntent;
let memoryBefore: number[];

const STATUSES = new Set(["accepted", "declined", "rejected"]);
const random = seeded(SEED);

beforeAll(async () => {
  market = await startSoakMarket({
    env: {
      OUTCRY_LIMIT_REQUESTS: "0",
      OUTCRY_LIMIT_ADDRESS_REQUESTS: "0",
      OUTCRY_LIMIT_ACKS: "0",
      OUTCRY_LIMIT_QUOTES: "0",
      OUTCRY_ACK_TIMEOUT_MS: "30000",
    },
  });
  http = rawHttp(market.stack.url);
  const admin = callAs(market.stack.url, market.stack.adminKey);
  const keyOf = async (role: keyof Keys) =>
    (await admin<ApiKeyCreated>("POST", "/v1/api-keys", { role, name: role })).body.secret;
  keys = { backend: await keyOf("backend"), operator: await keyOf("operator"), admin: await keyOf("admin") };
  operations = operationsOf((await (await fetch(`${market.stack.url}/openapi.json`)).json()) as ApiDocument);
  const registered = await market.place.register();
  const granted = await credentialsOf(market.place, registered);
  jwt = granted.nats_user_jwt;
  const nats = await connect({
    servers: market.stack.brokers.nats.url,
    authenticator: jwtAuthenticator(jwt, new TextEncoder().encode(registered.natsUser.seed)),
    inboxPrefix: granted.inbox_prefix,
  });
  node = new RawNode(registered, nats);
  heard = await node.hears((await market.broadcast("bad-input", [node.id], Date.now() + SOAK_MS)).accepted!.id);
  node.ack(heard);
  memoryBefore = memory();
}, SOAK_MS);

afterAll(async () => {
  http?.close();
  await node?.nats.close();
  await market?.stop();
});

/** Resident bytes of both services. */
const memory = (): number[] =>
  (["broadcast", "intake"] as const).map((name) => {
    const status = readFileSync(`/proc/${market.stack.service(name).pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
  });

const some = <T>(list: readonly T[], nth: number): T[] => list.filter((_, at) => at % EVERY === nth % EVERY);

/** Sends them all; what was wrong with which answer, and how many there were of each code. */
async function askAll(cases: readonly Case[]): Promise<Violation[]> {
  const counts: Record<string, number> = {};
  const violations = await inTurns(
    cases,
    async ({ name, request, expected }) => {
      const answer = await http.ask(request);
      const code = answer.status < 400 ? String(answer.status) : (codeOf(answer) ?? "no code");
      counts[code] = (counts[code] ?? 0) + 1;
      return judgeAnswer(answer, expected).map(({ rule, detail }) => ({ rule, detail: `${name}: ${detail}` }));
    },
    AT_ONCE,
  );
  console.log(`${expect.getState().currentTestName}: ${cases.length} requests, ${JSON.stringify(counts)}`);
  return violations.flat();
}

const codeOf = ({ text }: RawAnswer): string | undefined => /"code":"(\w+)"/.exec(text)?.[1];

describe(`every operation of the HTTP API (seed ${SEED})`, () => {
  test("answers bodies that no client should send with the code of what is wrong", async () => {
    const bodies = allBodies();
    const cases = operations.flatMap((operation, nth) => [
      ...bodyCases(operation, keys, some(bodies, nth)),
      ...bodyCases(operation, keys, some(shapeBodies(operation), nth)),
    ]);
    expect((await askAll(cases)).slice(0, 20)).toEqual([]);
  });

  test("answers paths and queries that no client should send", async () => {
    const texts = hostileTexts();
    const cases = operations.flatMap((operation, nth) => [
      ...some(pathCases(operation, keys, texts), nth),
      ...some(queryCases(operation, keys, texts), nth),
    ]);
    expect((await askAll(cases)).slice(0, 20)).toEqual([]);
  });

  test("answers who may not call it, foreign content types, and methods that it does not take", async () => {
    const cases = operations.flatMap((operation, nth) => some(headerCases(operation, keys), nth));
    cases.push(...some(methodCases(operations), 0));
    expect((await askAll(cases)).slice(0, 20)).toEqual([]);
  });
});

describe("every subject that a node may publish on", () => {
  const texts = allBodies().filter(fitsPayload);
  let signature: string;

  test("is known here: a new one needs an honest message to be mutated", () => {
    expect(publishableBy(jwt)).toEqual(Object.keys(honest()).toSorted());
  });

  const honest = () => {
    const quote = node.quote(heard);
    ({ signature } = quote);
    return honestMessages(node, quote.bytes, canonicalize(buildAck(heard.digest, 1, "accepted")));
  };

  test("takes any payload, counts each refusal under its code, and answers each quote", async () => {
    // A fresh one: the silence of a node during the requests has ended the other.
    heard = await node.hears((await market.broadcast("bad-input-nats", [node.id], Date.now() + SOAK_MS)).accepted!.id);
    node.ack(heard);
    const messages = honest();
    const before = await acksCounted();
    let acks = 0;
    const told: Record<string, number> = {};
    for (const pattern of publishableBy(jwt)) {
      const bodies = [...some(texts, 0), ...mutants(messages[pattern]!)];
      const violations = await inTurns(
        bodies,
        async ({ name, bytes }, nth) => {
          const subject = pattern.replace("*", nth % 3 === 0 ? newId("int") : heard.intent.id);
          if (pattern.includes(".ack.") && isRefused(bytes, subject)) acks++;
          if (!pattern.includes(".quote.")) {
            node.publish(subject, bytes);
            return [];
          }
          const answer = await ask(subject, bytes);
          const result = answer?.kind === "refused" ? answer.code : String(answer?.kind);
          told[result] = (told[result] ?? 0) + 1;
          return judgeQuoteAnswer(answer, name);
        },
        AT_ONCE,
      );
      expect(violations.flat().slice(0, 20)).toEqual([]);
    }
    await node.nats.flush();
    const after = await eventually(async () => {
      const counted = await acksCounted();
      return refused(counted) - refused(before) >= acks && counted;
    }, 30_000);
    console.log(`quotes ${JSON.stringify(told)}; ${acks} acks ${JSON.stringify(after)}`);
    expect(refused(after) - refused(before)).toBe(acks);
    const known = new Set([...STATUSES, "overloaded", ...Object.keys(ERRORS)]);
    expect(Object.keys(after).filter((code) => !known.has(code))).toEqual([]);
  });

  const mutants = (bytes: Uint8Array): Body[] =>
    Array.from({ length: MUTANTS }, (_, nth) => ({ name: `mutant ${nth}`, bytes: mutated(bytes, random) }));
  /** An ack to the letter may be told again and again, and is counted once. */
  const isRefused = (bytes: Uint8Array, subject: string) => {
    if (!subject.endsWith(heard.intent.id)) return true;
    const parsed = parseStrict(bytes, { bytesMax: LIMITS.ackBytesMax });
    const ack = parsed.kind === "ok" ? check(Ack, parsed.value) : undefined;
    return ack?.kind !== "ok" || ack.value.request_digest !== heard.digest;
  };
  const refused = (counts: Record<string, number>) =>
    Object.entries(counts).reduce((sum, [code, count]) => (STATUSES.has(code) ? sum : sum + count), 0);
  const acksCounted = async () =>
    countsOf(await (await fetch(`${market.stack.url}/metrics`)).text(), "outcry_acks_total");

  /** Under the signature of the honest quote. */
  async function ask(subject: string, bytes: Uint8Array): Promise<QuoteAnswer | undefined> {
    const signed = headers();
    signed.set(QUOTE_SIGNATURE_HEADER, signature);
    try {
      return (await node.nats.request(subject, bytes, { timeout: 10_000, headers: signed })).json<QuoteAnswer>();
    } catch {
      return undefined;
    }
  }
});

describe("behind all of it", () => {
  test("nothing is stuck, set aside or logged as an error, and memory is where it was", async () => {
    const { nats, auth } = market.stack.brokers;
    const watch = await connect({
      servers: nats.url,
      authenticator: credsAuthenticator(new TextEncoder().encode(auth.creds.service)),
    });
    const manager = await jetstreamManager(watch);
    await eventually(async () => {
      for (const stream of ["INTENTS", "QUOTES"])
        for await (const { num_pending, num_ack_pending } of manager.consumers.list(stream))
          if (num_pending + num_ack_pending > 0) return false;
      return true;
    }, 30_000);
    expect((await market.record.read()).deadLetters).toEqual([]);
    await watch.close();
    const lines = (["broadcast", "intake"] as const).flatMap((name) => market.stack.service(name).output);
    expect(lines.filter((line) => /"level":(?:"error"|"fatal"|50|60)/.test(line)).slice(0, 5)).toEqual([]);
    const grown = memory().map((bytes, at) => bytes - memoryBefore[at]!);
    console.log(`memory: ${grown.map((bytes) => `${Math.round(bytes / 1024 / 1024)} MiB more`).join(", ")}`);
    expect(Math.max(...grown)).toBeLessThan(GROWTH_MAX);
  });

  test("an intent goes through as ever", async () => {
    const id = (await market.broadcast("bad-input-after", [node.id], Date.now() + SOAK_MS)).accepted!.id;
    expect(await node.ask(id, node.quote(await node.hears(id)))).toMatchObject({ kind: "stored" });
    await eventually(async () => {
      const { body } = await market.ask<{ status: string }>(0, "GET", `/v1/intents/${id}`);
      return (body as { status: string }).status === "closed";
    });
  });
});

describe("the judge of answers", () => {
  const problem = (change: object = {}) =>
    JSON.stringify({ code: "validation_failed", status: 400, request_id: "req_1", detail: "no", ...change });
  const good: RawAnswer = {
    status: 400,
    contentType: "application/problem+json",
    requestId: "req_1",
    text: problem(),
    tookMs: 1,
  };

  test("passes a problem as it should be", () => {
    expect(judgeAnswer(good, "validation_failed")).toEqual([]);
  });

  const plants: [rule: string, change: Partial<RawAnswer>][] = [
    ["no_answer", { status: 0 }],
    ["server_error", { status: 500, text: problem({ code: "internal", status: 500 }) }],
    ["slow", { tookMs: 60_000 }],
    ["accepted", { status: 200 }],
    ["not_a_problem", { contentType: "text/html" }],
    ["unknown_code", { text: problem({ code: "oops" }) }],
    ["wrong_status", { status: 404, text: problem({ status: 404 }) }],
    ["no_request_id", { requestId: "" }],
    ["inside_shown", { text: problem({ detail: "at parse (/srv/app/dist/index.js:1:2)" }) }],
    ["another_code", { text: problem({ code: "request_invalid" }) }],
  ];

  test.each(plants)("finds a planted %s", (rule, change) => {
    expect(judgeAnswer({ ...good, ...change }, "validation_failed").map((found) => found.rule)).toContain(rule);
  });
});
