// Every way in which mallory can get a quote wrong, each with the code it is refused with.

import { type Quote, quoteId, toBase64Url } from "@outcry/protocol";
import { generateKey, signEnvelope } from "@outcry/signing";
import { inMs } from "./in-process.js";
import type { HeardIntent, RawNode, SignedBytes } from "./raw-node.js";

const UNKNOWN_INTENT = "int_01h455vb4pex5vsknk084sn02q";

export interface Cast {
  mallory: RawNode;
  honest: RawNode;
  /** An intent that went to the honest node alone, with the quote it got. */
  elsewhere: { id: string; heard: HeardIntent; quote: SignedBytes };
}

export type Forged = { bytes: Uint8Array; signature?: string; intentId?: string };
export type Forge = (cast: Cast, heard: HeardIntent) => Forged;

/** A quote of mallory's own, changed before it is signed. */
const changed =
  (change: (quote: Quote, cast: Cast) => unknown, ordinal = 0): Forge =>
  (cast, heard) =>
    cast.mallory.quote(heard, { amountMinor: 4_200 }, (quote) => change(quote, cast), ordinal);
const withPayload = (change: (payload: Quote["payload"], cast: Cast) => object, ordinal = 0): Forge =>
  changed((quote, cast) => ({ ...quote, payload: { ...quote.payload, ...change(quote.payload, cast) } }), ordinal);
/** Bytes that no canonical writer makes, signed all the same. */
const raw =
  (bytesOf: (heard: HeardIntent, good: string) => string | Uint8Array): Forge =>
  (cast, heard) => {
    const made = bytesOf(heard, new TextDecoder().decode(cast.mallory.quote(heard).bytes));
    const bytes = typeof made === "string" ? new TextEncoder().encode(made) : made;
    return { bytes, signature: signEnvelope(bytes, "quote", cast.mallory.key).jws };
  };
const withSignature =
  (signatureOf: (good: SignedBytes) => string | undefined): Forge =>
  (cast, heard) => {
    const good = cast.mallory.quote(heard);
    const signature = signatureOf(good);
    return { bytes: good.bytes, ...(signature === undefined ? {} : { signature }) };
  };
const withHeader = (header: object): Forge =>
  withSignature(
    (good) => `${toBase64Url(new TextEncoder().encode(JSON.stringify(header)))}..${good.signature.split(".")[2]!}`,
  );

export const refusedAtOnce: [what: string, code: string, forge: Forge][] = [
  ["no signature", "signature_missing", withSignature(() => undefined)],
  ["a word for a signature", "signature_malformed", withSignature(() => "signature")],
  ["an attached signature", "signature_malformed", withSignature((good) => good.signature.replace("..", ".e30."))],
  ["a signature of 10 kB", "signature_malformed", withSignature(() => `${"a".repeat(5_000)}..${"b".repeat(5_000)}`)],
  ["nothing", "json_syntax", raw(() => "")],
  ["no JSON", "json_syntax", raw((_, good) => good.slice(0, -1))],
  ["a byte order mark", "json_syntax", raw((_, good) => `\ufeff${good}`)],
  [
    "invalid UTF-8",
    "json_invalid_utf8",
    raw((_, good) => Buffer.concat([Buffer.from(good.slice(0, -1)), Buffer.from([0xc3, 0x28, 0x7d])])),
  ],
  [
    "an unpaired surrogate",
    "json_lone_surrogate",
    raw((_, good) => good.replace('{"audience"', '{"a":"\\ud800","audience"')),
  ],
  ["a key twice", "json_duplicate_key", raw((_, good) => good.replace('{"audience"', '{"audience":"x","audience"'))],
  [
    "__proto__",
    "json_forbidden_key",
    raw((_, good) => good.replace('{"audience"', '{"__proto__":{"type":"quote"},"audience"')),
  ],
  ["an integer beyond 2^53", "json_unsafe_integer", raw((_, good) => good.replace(":4200,", ":9007199254740993,"))],
  ["an infinite number", "json_non_finite", raw((_, good) => good.replace(":4200,", ":1e999,"))],
  ["depth 3,000", "json_too_deep", raw(() => "[".repeat(3_000) + "]".repeat(3_000))],
  ["33 kB", "json_too_large", raw((_, good) => good.replace('{"audience"', `{"a":"${"x".repeat(33_000)}","audience"`))],
  ["white space", "json_not_canonical", raw((_, good) => good.replace("{", "{ "))],
  [
    "keys in another order",
    "json_not_canonical",
    raw((_, good) => JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(good) as object).toReversed()))),
  ],
  ["another spelling of a number", "json_not_canonical", raw((_, good) => good.replace(":4200,", ":4.2e3,"))],
  ["null", "version_unknown", raw(() => "null")],
  ["a list", "version_unknown", raw(() => "[]")],
  ["a number", "version_unknown", raw(() => "7")],
  ["an object that cannot be printed", "version_unknown", raw(() => '{"protocol":{"toString":1,"valueOf":1}}')],
  ["an older version", "version_unknown", changed((quote) => ({ ...quote, version: "2025-01-01" }))],
  ["another protocol", "version_unknown", changed((quote) => ({ ...quote, protocol: "acme.rfq" }))],
  [
    "an intent",
    "message_type_wrong",
    (cast, heard) => ({ bytes: heard.bytes, signature: cast.mallory.sign({}, "intent").signature }),
  ],
  ["a type of its own", "message_type_wrong", changed((quote) => ({ ...quote, type: "bribe" }))],
  ["no payload", "validation_failed", changed((quote) => ({ ...quote, payload: null }))],
  [
    "a negative amount",
    "validation_failed",
    withPayload((payload) => ({ total: { ...payload.total, amount_minor: -1 } })),
  ],
  ["half a cent", "validation_failed", withPayload((payload) => ({ total: { ...payload.total, amount_minor: 0.5 } }))],
  [
    "an amount as text",
    "validation_failed",
    withPayload((payload) => ({ total: { ...payload.total, amount_minor: "4200" } })),
  ],
  [
    "a currency of no form",
    "validation_failed",
    withPayload((payload) => ({ total: { ...payload.total, currency: "eur" } })),
  ],
  ["an id with wildcards", "validation_failed", changed((quote) => ({ ...quote, id: "quo_*.>" }))],
  ["a day that does not exist", "validation_failed", withPayload(() => ({ valid_until: "2031-02-30T00:00:00.000Z" }))],
  ["a short nonce", "validation_failed", changed((quote) => ({ ...quote, nonce: "abc" }))],
  ["ordinal 16", "validation_failed", withPayload(() => ({ ordinal: 16 }))],
  [
    "another sender",
    "quote_subject_mismatch",
    changed((quote, cast) => ({ ...quote, sender: { id: cast.honest.id } })),
  ],
  [
    "another in_reply_to",
    "quote_subject_mismatch",
    changed((quote, cast) => ({ ...quote, in_reply_to: cast.elsewhere.id })),
  ],
  ["another payload.intent_id", "quote_subject_mismatch", withPayload((_, cast) => ({ intent_id: cast.elsewhere.id }))],
  [
    "a quote of another node, replayed",
    "quote_subject_mismatch",
    (cast) => ({ ...cast.elsewhere.quote, intentId: cast.elsewhere.id }),
  ],
  [
    "an id of its own making",
    "quote_id_underived",
    changed((quote) => ({ ...quote, id: "quo_01h455vb4pex5vsknk084sn02q" })),
  ],
  [
    "another ordinal's id",
    "quote_id_underived",
    changed((quote, cast) => ({ ...quote, id: quoteId(quote.in_reply_to, cast.mallory.id, 1) })),
  ],
  [
    "the id of the honest node's quote",
    "quote_id_underived",
    changed((quote, cast) => ({ ...quote, id: quoteId(quote.in_reply_to, cast.honest.id, 0) })),
  ],
  [
    "an intent that it was not sent",
    "quote_not_target",
    (cast) => ({ ...cast.mallory.quote(cast.elsewhere.heard), intentId: cast.elsewhere.id }),
  ],
  ["an intent that nobody posted", "quote_intent_unknown", (cast, heard) => unknownIntent(cast, heard)],
  ["a fifth quote of four", "quote_ordinal_exceeded", changed((quote) => quote, 4)],
];

function unknownIntent(cast: Cast, heard: HeardIntent): Forged {
  const invented = { ...heard, intent: { ...heard.intent, id: UNKNOWN_INTENT } };
  return { ...cast.mallory.quote(invented), intentId: UNKNOWN_INTENT };
}

export const refusedWhenJudged: [what: string, code: string, forge: Forge][] = [
  [
    "the honest node's key",
    "key_not_of_sender",
    (cast, heard) => cast.mallory.sign(JSON.parse(text(cast.mallory.quote(heard).bytes)), "quote", cast.honest.key),
  ],
  [
    "a key that nobody registered",
    "key_unknown",
    (cast, heard) => cast.mallory.sign(JSON.parse(text(cast.mallory.quote(heard).bytes)), "quote", generateKey()),
  ],
  ["a byte changed behind the signature", "signature_invalid", (cast, heard) => cheaper(cast.mallory.quote(heard))],
  [
    "the signature of another quote",
    "signature_invalid",
    (cast, heard) => ({ ...cast.mallory.quote(heard), signature: cast.mallory.quote(heard).signature }),
  ],
  [
    "a signature for an intent",
    "signature_type_mismatch",
    (cast, heard) => cast.mallory.sign(JSON.parse(text(cast.mallory.quote(heard).bytes)), "intent"),
  ],
  [
    "alg none",
    "algorithm_unsupported",
    (cast, heard) => withHeader({ alg: "none", kid: cast.mallory.key.kid, typ: "ucp-quote+jws" })(cast, heard),
  ],
  [
    "alg HS256",
    "algorithm_unsupported",
    (cast, heard) => withHeader({ alg: "HS256", kid: cast.mallory.key.kid, typ: "ucp-quote+jws" })(cast, heard),
  ],
  [
    "a critical extension",
    "signature_malformed",
    (cast, heard) =>
      withHeader({ alg: "EdDSA", crit: ["b64"], kid: cast.mallory.key.kid, typ: "ucp-quote+jws" })(cast, heard),
  ],
  [
    "a key in the header",
    "signature_malformed",
    (cast, heard) =>
      withHeader({ alg: "EdDSA", jwk: {}, kid: cast.mallory.key.kid, typ: "ucp-quote+jws" })(cast, heard),
  ],
  [
    "the digest of another intent",
    "quote_digest_mismatch",
    changed((quote, cast) => ({ ...quote, request_digest: cast.elsewhere.heard.digest })),
  ],
  ["another service's address", "quote_audience_mismatch", changed((quote) => ({ ...quote, audience: "bazaar" }))],
  [
    "another currency",
    "quote_currency_mismatch",
    withPayload((payload) => ({ total: { ...payload.total, currency: "USD" } })),
  ],
  [
    "a total that is not the sum",
    "quote_total_mismatch",
    withPayload((payload) => ({ total: { ...payload.total, amount_minor: 4_199 } })),
  ],
  [
    "a line that is not quantity times price",
    "quote_total_mismatch",
    withPayload((payload) => ({ line_items: payload.line_items.map((line) => ({ ...line, quantity: 2 })) })),
  ],
  [
    "a line item that nobody asked for",
    "quote_line_item_unknown",
    withPayload((payload) => ({ line_items: payload.line_items.map((line) => ({ ...line, line_item_id: "gift" })) })),
  ],
  ["a validity that has ended", "quote_validity_ended", withPayload(() => ({ valid_until: inMs(-1_000) }))],
  ["an envelope that has expired", "message_expired", changed((quote) => ({ ...quote, expires: inMs(-1_000) }))],
  [
    "an envelope from tomorrow",
    "message_future_dated",
    changed((quote) => ({ ...quote, created: inMs(86_400_000), expires: inMs(90_000_000) })),
  ],
  [
    "a supersedes of nothing before it",
    "quote_supersedes_unknown",
    withPayload(({ intent_id }, cast) => ({ supersedes: quoteId(intent_id, cast.mallory.id, 0) })),
  ],
  [
    "a supersedes of a later one",
    "quote_supersedes_unknown",
    withPayload(({ intent_id }, cast) => ({ supersedes: quoteId(intent_id, cast.mallory.id, 2) }), 1),
  ],
  [
    "a supersedes of the honest node's",
    "quote_supersedes_unknown",
    withPayload(({ intent_id }, cast) => ({ supersedes: quoteId(intent_id, cast.honest.id, 0) }), 1),
  ],
];

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Still canonical and a valid quote: only the signature tells. */
const cheaper = ({ bytes, signature }: SignedBytes): SignedBytes => ({
  bytes: Buffer.from(text(bytes).replaceAll(":4200", ":4100")),
  signature,
});
