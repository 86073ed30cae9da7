import { describe, expect, test } from "@jest/globals";
import {
  buildIntent,
  canonicalize,
  canonicalText,
  DELIVERY_STATES,
  derivedId,
  digestOf,
  LIMITS,
  type PackedDelivery,
} from "@outcry/protocol";
import fc from "fast-check";
import {
  decodeEndRecord,
  decodeIntentRecord,
  encodeRecord,
  type EndRecord,
  type IntentRecord,
  packDeliveries,
  stateOfAnswer,
  unpackDeliveries,
} from "./intent-record.js";

const recordOf = (query: string, targets: string[] = [derivedId("nod", "a")]): IntentRecord => {
  const intent = buildIntent({ line_items: [{ query }], context: { currency: "EUR" } });
  return {
    record_version: 1,
    envelope: canonicalText(intent),
    signature: "header..signature",
    request_digest: digestOf(canonicalize(intent)),
    body_digest: `sha256:${"A".repeat(43)}`,
    backend_id: "bkd_1",
    buyer_id: "42",
    routing: { block: ["rival"] },
    targets,
    registry_revision: 7,
    request_id: "req_1",
    traceparent: "00-1-2-01",
  };
};

const utf8 = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

describe("the record of an intent", () => {
  test("gives back the signed bytes unchanged, whatever the text", () => {
    const query = fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(query, (text) => {
        fc.pre(text.trim() !== "" && !text.includes("\0"));
        const record = recordOf(text);
        const decoded = decodeIntentRecord(encodeRecord(record));
        expect(decoded.record).toEqual(record);
        expect(digestOf(decoded.bytes)).toBe(record.request_digest);
        expect(canonicalText(decoded.intent)).toBe(record.envelope);
      }),
    );
  });

  test("keeps what routes an intent out of the bytes that nodes get", () => {
    const { bytes } = decodeIntentRecord(encodeRecord(recordOf("shoes")));
    expect(new TextDecoder().decode(bytes)).not.toMatch(/rival|bkd_1|nod_|"42"/);
  });

  test("of the largest intent to the most nodes is one message of the record", () => {
    const targets = Array.from({ length: LIMITS.targetsMax }, (_, index) => derivedId("nod", String(index)));
    const record = recordOf("x".repeat(LIMITS.textCharsMax), targets);
    const routing = { allow: targets.slice(0, LIMITS.routingListMax), block: targets.slice(0, LIMITS.routingListMax) };
    const size = encodeRecord({ ...record, routing, targets }).length;
    expect(size + 2 * LIMITS.bodyBytesMax).toBeLessThan(LIMITS.recordBytesMax);
  });

  test.each<[string, Uint8Array]>([
    ["no JSON", new TextEncoder().encode("{")],
    ["nothing", new Uint8Array()],
    ["null", utf8(null)],
    ["another version", utf8({ ...recordOf("x"), record_version: 2 })],
    ["no list of targets", utf8({ ...recordOf("x"), targets: "all" })],
    ["an end", encodeRecord({ record_version: 1, outcome: "closed", quotes_through: 1, deliveries: "" })],
    ["an envelope that is no JSON", utf8({ ...recordOf("x"), envelope: "{" })],
    ["no envelope", utf8({ ...recordOf("x"), envelope: undefined })],
  ])("is not read from %s", (_, data) => {
    expect(() => decodeIntentRecord(data)).toThrow(
      expect.objectContaining({ name: expect.stringMatching(/^(Syntax|Type)Error$/) }),
    );
  });
});

describe("the record of an end", () => {
  const end: EndRecord = {
    record_version: 1,
    outcome: "cancelled",
    reason: "é",
    quotes_through: 12,
    deliveries: "ESI=",
  };

  test("comes back as it was written", () => {
    expect(decodeEndRecord(encodeRecord(end))).toEqual(end);
  });

  test.each<[string, Uint8Array]>([
    ["no JSON", new TextEncoder().encode("")],
    ["another version", utf8({ ...end, record_version: 0 })],
    ["no sequence", utf8({ ...end, quotes_through: "12" })],
    ["an intent", encodeRecord(recordOf("x"))],
  ])("is not read from %s", (_, data) => {
    expect(() => decodeEndRecord(data)).toThrow(
      expect.objectContaining({ name: expect.stringMatching(/^(Syntax|Type)Error$/) }),
    );
  });
});

describe("packed deliveries", () => {
  const delivery: fc.Arbitrary<PackedDelivery> = fc.record({
    state: fc.constantFrom(...DELIVERY_STATES),
    attempts: fc.integer({ min: 0, max: LIMITS.attemptsCeiling }),
  });

  test("come back in their order, one byte each", () => {
    fc.assert(
      fc.property(fc.array(delivery, { maxLength: 300 }), (deliveries) => {
        const packed = packDeliveries(deliveries);
        expect(unpackDeliveries(packed)).toEqual(deliveries);
        expect(Buffer.from(packed, "base64")).toHaveLength(deliveries.length);
      }),
    );
    expect(
      packDeliveries([
        { state: "acked", attempts: 1 },
        { state: "quoted", attempts: 2 },
      ]),
    ).toBe("ESI=");
  });

  test("are not written when an attempt does not fit, and not read when a state is unknown", () => {
    expect(() => packDeliveries([{ state: "acked", attempts: 16 }])).toThrow(RangeError);
    expect(() => unpackDeliveries(Buffer.from([0x1f]).toString("base64"))).toThrow(RangeError);
  });
});

test("each answer of a node leads to one state", () => {
  expect(stateOfAnswer).toEqual({ accepted: "acked", declined: "declined", rejected: "rejected", quoted: "quoted" });
});
