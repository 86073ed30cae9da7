// The fixed vectors of docs/protocol.md: built again from their inputs, verified by Node's own crypto, and quoted by the page as they are.

import { createHash, createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { Ack, buildAck } from "./ack.js";
import { amendedRequest } from "./amend.js";
import { buildCancel, Cancel } from "./cancel.js";
import { canonicalText } from "./canonical.js";
import { digestOf, intentId, quoteId, receiptId } from "./ids.js";
import { buildIntent, Intent } from "./intent.js";
import { parseCanonical, parseStrict } from "./parse-strict.js";
import { Notice } from "./notice.js";
import { buildQuote, Quote, QuoteAnswer } from "./quote.js";
import { nodeInboxPrefix, SUBJECTS } from "./subjects.js";
import { check } from "./validate.js";

interface Key {
  owner: string;
  kid: string;
  kty: string;
  crv: string;
  x: string;
  seed_hex: string;
}
interface Message {
  subject: string;
  headers?: Record<string, string>;
  data: string;
  digest?: string;
}
const names = [
  "intent",
  "ack",
  "ack_declined",
  "ack_signed",
  "quote",
  "quote_stored",
  "quote_refused",
  "notice_ranked",
  "notice_refused",
  "cancel",
  "intent_amended",
] as const;
interface Wire {
  backend_id: string;
  idempotency_key: string;
  intent_id: string;
  node_id: string;
  receipt_id: string;
  quote_ids: string[];
  /** Of the first ordinals on revision 1. */
  amended_quote_ids: string[];
  keys: { service: Key; node: Key };
  messages: Record<(typeof names)[number], Message>;
}

const wire = JSON.parse(readFileSync(new URL("../fixtures/wire/2026-11-20.json", import.meta.url), "utf8")) as Wire;
const page = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8");
const { messages, keys, node_id: node } = wire;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const createdMs = Date.UTC(2026, 10, 20, 12);
const at = (ms: number) => ({ now: () => createdMs + ms });

const intent = buildIntent(
  {
    description: " Chairs for the cafe\u0301 ",
    line_items: [
      {
        query: "stackable chair",
        category: "Furniture > Chairs",
        quantity: 12,
        constraints: [
          { name: "colour", operator: "in", value: ["blue", "black"] },
          { name: "seat_cm", operator: "ge", value: 44.5 },
        ],
      },
    ],
    context: { currency: "eur", region: "de", language: "en" },
    budget: { max_minor: 120_000 },
    fulfilment: { by: "2026-12-01T00:00:00.000Z" },
  },
  {
    id: wire.intent_id,
    sender: keys.service.owner,
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    nonce: "AAECAwQFBgcICQoLDA0ODw",
    clock: at(0),
  },
);
const digest = digestOf(utf8(messages.intent.data));
const amended = buildIntent(
  amendedRequest(intent.payload, { budget: null, quote_deadline: "2026-11-20T12:00:45.000Z" }),
  {
    id: wire.intent_id,
    sender: keys.service.owner,
    traceId: intent.trace_id,
    nonce: "MDEyMzQ1Njc4OTo7PD0-Pw",
    clock: at(3_000),
    amends: { revision: 1, supersedes: digest },
  },
);
const quote = buildQuote(
  intent,
  {
    lineItems: [{ lineItemId: "item-1", unitAmountMinor: 8_900, sku: "CH-12-B" }],
    charges: [{ kind: "shipping", amountMinor: 4_900 }],
    validForMs: 3_600_000,
    deliveryBy: "2026-11-27T00:00:00.000Z",
  },
  { nodeId: node, ordinal: 0, requestDigest: digest, nonce: "EBESExQVFhcYGRobHB0eHw", clock: at(250) },
);

describe("the fixed vectors", () => {
  test("ids derive from their parts", () => {
    expect(intentId(wire.backend_id, wire.idempotency_key)).toBe(wire.intent_id);
    expect(receiptId(wire.intent_id, node)).toBe(wire.receipt_id);
    expect(wire.quote_ids.map((_, ordinal) => quoteId(wire.intent_id, node, ordinal))).toEqual(wire.quote_ids);
    expect(wire.amended_quote_ids.map((_, ordinal) => quoteId(wire.intent_id, node, ordinal, 1))).toEqual(
      wire.amended_quote_ids,
    );
  });

  test("intent, quote and acks are what the builders make", () => {
    expect(canonicalText(intent)).toBe(messages.intent.data);
    expect(canonicalText(amended)).toBe(messages.intent_amended.data);
    expect(canonicalText(quote)).toBe(messages.quote.data);
    expect(canonicalText(buildAck(digest, 1, "accepted"))).toBe(messages.ack.data);
    expect(canonicalText(buildAck(digest, 1, "declined", "no_inventory"))).toBe(messages.ack_declined.data);
    expect(messages.ack_signed.data).toBe(messages.ack.data);
  });

  test("the cancel is what the builder makes, but for its random id and nonce", () => {
    const { id, nonce } = JSON.parse(messages.cancel.data) as Cancel;
    const cancel = { ...buildCancel(intent, digest, "the buyer changed their mind", at(5_000)), id, nonce };
    expect(canonicalText(cancel)).toBe(messages.cancel.data);
  });

  test("every message stands on its subject", () => {
    const inbox = `${nodeInboxPrefix(node)}.x`;
    expect(Object.fromEntries(names.map((name) => [name, messages[name].subject]))).toEqual({
      intent: SUBJECTS.nodeIntent(node),
      ack: SUBJECTS.ack(node, wire.intent_id),
      ack_declined: SUBJECTS.ack(node, wire.intent_id),
      ack_signed: SUBJECTS.ack(node, wire.intent_id),
      quote: SUBJECTS.nodeQuote(node, wire.intent_id),
      quote_stored: inbox,
      quote_refused: inbox,
      notice_ranked: SUBJECTS.nodeNotice(node),
      notice_refused: SUBJECTS.nodeNotice(node),
      cancel: SUBJECTS.nodeCancel(node),
      intent_amended: SUBJECTS.nodeIntent(node),
    });
  });

  test.each([
    ["intent", Intent],
    ["intent_amended", Intent],
    ["quote", Quote],
    ["cancel", Cancel],
    ["ack", Ack],
    ["ack_declined", Ack],
  ] as const)("%s is canonical and fits its schema", (name, schema) => {
    const parsed = parseCanonical(utf8(messages[name].data));
    expect(parsed.kind).toBe("ok");
    expect(parsed.kind === "ok" && check(schema, parsed.value)).toMatchObject({ kind: "ok" });
  });

  test.each([
    ["quote_stored", QuoteAnswer],
    ["quote_refused", QuoteAnswer],
    ["notice_ranked", Notice],
    ["notice_refused", Notice],
  ] as const)("%s is JSON and fits its schema", (name, schema) => {
    const parsed = parseStrict(utf8(messages[name].data));
    expect(parsed.kind === "ok" && check(schema, parsed.value)).toMatchObject({ kind: "ok" });
  });

  test.each(["intent", "intent_amended", "quote", "cancel"] as const)("the %s's digest is over its bytes", (name) => {
    const { data, digest: stated } = messages[name];
    expect(digestOf(utf8(data))).toBe(stated);
    expect(stated).toBe(`sha256:${createHash("sha256").update(data).digest("base64url")}`);
  });

  test.each([
    ["intent", "intent", "service"],
    ["intent_amended", "intent", "service"],
    ["quote", "quote", "node"],
    ["cancel", "cancel", "service"],
    ["ack_signed", "ack", "node"],
  ] as const)("the signature of %s is over its bytes", (name, type, party) => {
    const { data, headers } = messages[name];
    const key = keys[party];
    const [header, payload, signature] = headers!["Outcry-Signature"]!.split(".") as [string, string, string];
    expect(payload).toBe("");
    expect(JSON.parse(Buffer.from(header, "base64url").toString())).toEqual({
      alg: "EdDSA",
      kid: key.kid,
      typ: `ucp-${type}+jws`,
    });
    const input = Buffer.from(`${header}.${Buffer.from(data).toString("base64url")}`);
    expect(verify(null, input, publicKeyOf(key), Buffer.from(signature, "base64url"))).toBe(true);
    expect(sign(null, input, privateKeyOf(key)).toString("base64url")).toBe(signature);
  });

  test.each(["service", "node"] as const)("the %s's key belongs to its seed, and its kid to its key", (party) => {
    const { x, kid, kty, crv } = keys[party];
    expect(createPublicKey(privateKeyOf(keys[party])).export({ format: "jwk" })).toEqual({ kty, crv, x });
    expect(createHash("sha256").update(`{"crv":"${crv}","kty":"${kty}","x":"${x}"}`).digest("base64url")).toBe(kid);
  });
});

describe("docs/protocol.md", () => {
  test.each(names)("quotes %s to the byte", (name) => {
    const { subject, headers, data, digest: stated } = messages[name];
    expect(page).toContain(data);
    if (!subject.startsWith("_INBOX")) expect(page).toContain(subject);
    for (const [header, value] of Object.entries(headers ?? {})) expect(page).toContain(`${header}: ${value}`);
    if (stated !== undefined) expect(page).toContain(stated);
  });

  test("quotes the keys and the derived ids", () => {
    for (const { kid, x, seed_hex: seed } of Object.values(keys)) {
      for (const part of [kid, x, seed]) expect(page).toContain(part);
    }
    for (const id of [wire.intent_id, wire.receipt_id, ...wire.quote_ids.slice(0, 2), wire.amended_quote_ids[0]!])
      expect(page).toContain(id);
  });
});

// RFC 8410 §7: an Ed25519 seed in PKCS #8.
const privateKeyOf = ({ seed_hex: seed }: Key) =>
  createPrivateKey({
    key: Buffer.from(`302e020100300506032b657004220420${seed}`, "hex"),
    format: "der",
    type: "pkcs8",
  });

const publicKeyOf = ({ kty, crv, x }: Key) => createPublicKey({ key: { kty, crv, x }, format: "jwk" });
