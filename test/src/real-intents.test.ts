import { describe, expect, test } from "@jest/globals";
import {
  buildIntent,
  canonicalize,
  check,
  digestOf,
  Intent,
  IntentRequest,
  LIMITS,
  parseCanonical,
  parseStrict,
} from "@outcry/protocol";
import { keySource, signIntent, signingKeyOf, verificationKey, verifyEnvelope } from "@outcry/signing";
import { intentsSource, realIntents } from "./real-intents.js";

const requests = realIntents();
const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

describe(`the 300 ${intentsSource} intents`, () => {
  test("all fit the schema that the API checks, as they are posted", () => {
    expect(requests).toHaveLength(300);
    for (const request of requests) {
      expect(parseStrict(bytesOf(request))).toEqual({ kind: "ok", value: request });
      expect(check(IntentRequest, request)).toEqual({ kind: "ok", value: request });
    }
  });

  test("all become canonical, signed intents that a node takes", () => {
    const key = signingKeyOf(new Uint8Array(32).fill(7));
    const keys = keySource([verificationKey(key, "outcry")]);
    const digests = requests.map((request) => {
      const intent = buildIntent(request);
      const bytes = canonicalize(intent);
      expect(parseCanonical(bytes)).toEqual({ kind: "ok", value: intent });
      expect(check(Intent, intent).kind).toBe("ok");
      expect(verifyEnvelope(bytes, signIntent(intent, key).jws, keys).kind).toBe("verified");
      return digestOf(bytes);
    });
    expect(new Set(digests).size).toBe(300);
  });

  test("are fixed points once they are normalised", () => {
    const clock = { now: () => Date.UTC(2026, 10, 20) };
    for (const request of requests) {
      const { payload } = buildIntent(request, { clock });
      expect(buildIntent(payload, { clock }).payload).toEqual(payload);
    }
  });

  test("are small: all but one in a hundred under 1 KiB, as the size limits say", () => {
    const sizes = requests.map((request) => bytesOf(request).length).toSorted((a, b) => a - b);
    expect(sizes[Math.floor(sizes.length * 0.99)]).toBeLessThan(1_024);
    expect(sizes.at(-1)).toBeLessThan(LIMITS.bodyBytesMax);
  });

  test("keep what the rows say: budgets beyond 32 bits, and EUR where no currency is named", () => {
    expect(Math.max(...requests.map(({ budget }) => budget?.max_minor ?? 0))).toBeGreaterThan(2 ** 32);
    const unpriced = requests.filter(({ budget }) => budget === undefined);
    expect(unpriced).toHaveLength(21);
    expect(unpriced.every(({ context }) => context.currency === "EUR")).toBe(true);
  });
});
