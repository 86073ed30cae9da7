import { describe, expect, test } from "@jest/globals";
import { FlattenedSign, flattenedVerify, importJWK } from "jose";
import { buildIntent, canonicalize, toBase64Url } from "@outcry/protocol";
import { checkFreshness } from "./freshness.js";
import { jwkOf, keySource } from "./public-key.js";
import { signEnvelope, signIntent } from "./sign.js";
import { publicJwk } from "./signing-key.js";
import { bytesOf, encoder, envelopeOf, jwsWith, p256Party, party, seededKey } from "./test-messages.js";
import { type BareBytes, type Verdict, verifyBareAsync, verifyEnvelope, verifyEnvelopeAsync } from "./verify.js";

const service = party("outcry", 1);
const seller = party("nod_a", 2);
const rival = party("nod_b", 3);
const ecSeller = p256Party("nod_ec");
const keys = keySource([service.verification, seller.verification, rival.verification, ecSeller.verification]);
const verdictOf = (verdict: Verdict) => (verdict.kind === "verified" ? "verified" : verdict.code);
const bytes = bytesOf("quote", "nod_a");
const signature = signEnvelope(bytes, "quote", seller.key);
const header = { alg: "EdDSA", kid: seller.key.kid, typ: "ucp-quote+jws" };
const signedBySeller = (input: Uint8Array) => seller.key.privateKey.sign(input);

describe("verifyEnvelope", () => {
  test("says who signed", () => {
    const verdict = verifyEnvelope(bytes, signature.jws, keys);
    expect(verdict).toEqual({
      kind: "verified",
      envelope: envelopeOf("quote", "nod_a"),
      kid: seller.key.kid,
      sender: "nod_a",
      alg: "EdDSA",
    });
  });

  test("verifies ES256 by the key's own algorithm, also when stock jose signed", async () => {
    const mine = bytesOf("quote", "nod_ec");
    const ecHeader = { alg: "ES256", kid: ecSeller.verification.kid, typ: "ucp-quote+jws" };
    expect(verdictOf(verifyEnvelope(mine, jwsWith(ecHeader, mine, ecSeller.sign), keys))).toBe("verified");
    const { protected: head, signature: sig } = await new FlattenedSign(mine)
      .setProtectedHeader(ecHeader)
      .sign(ecSeller.privateKey);
    expect(verdictOf(verifyEnvelope(mine, `${head}..${sig}`, keys))).toBe("verified");
    const bent = Uint8Array.from(mine);
    bent[bent.length - 3]! ^= 1;
    expect(verdictOf(await verifyEnvelopeAsync(bent, `${head}..${sig}`, keys))).toBe("signature_invalid");
  });

  test("the pool's verdict is the same", async () => {
    expect(await verifyEnvelopeAsync(bytes, signature.jws, keys)).toEqual(verifyEnvelope(bytes, signature.jws, keys));
    expect(await verifyEnvelopeAsync(bytes, undefined, keys)).toEqual(verifyEnvelope(bytes, undefined, keys));
  });

  const types = ["intent", "quote", "cancel", "credentials"];
  test("of every signer × kid × signed type × sent type × sender only the honest combination passes", () => {
    const parties = [service, seller, rival];
    const verdicts: Record<string, number> = {};
    for (const signer of parties) {
      for (const named of parties) {
        for (const signedType of types) {
          for (const sentType of types) {
            for (const sender of parties) {
              const sent = bytesOf(sentType, sender.owner);
              const head = { alg: "EdDSA", kid: named.key.kid, typ: `ucp-${signedType}+jws` };
              const jws = jwsWith(head, sent, (input) => signer.key.privateKey.sign(input));
              const verdict = verdictOf(verifyEnvelope(sent, jws, keys));
              verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
              const honest = signer === named && named === sender && signedType === sentType;
              expect(verdict === "verified").toBe(honest);
            }
          }
        }
      }
    }
    expect(verdicts).toEqual({
      verified: 12,
      signature_type_mismatch: 324,
      key_not_of_sender: 72,
      signature_invalid: 24,
    });
  });

  const valid = toBase64Url(signedBySeller(encoder.encode("anything")));
  const head = signature.protected;
  // The last of the 86 characters carries 4 unused bits: these two name the same 64 bytes to a lenient decoder.
  const alias =
    signature.jws.slice(0, -1) + String.fromCharCode(signature.jws.charCodeAt(signature.jws.length - 1) + 1);
  test.each<[string, string | undefined, string]>([
    ["no signature", undefined, "signature_missing"],
    ["an empty signature", "", "signature_missing"],
    ["an attached payload", `${head}.${toBase64Url(bytes)}.${signature.signature}`, "signature_malformed"],
    ["two parts", `${head}.${signature.signature}`, "signature_malformed"],
    ["four parts", `${head}...${signature.signature}`, "signature_malformed"],
    ["padding", `${signature.jws}==`, "signature_malformed"],
    ["set trailing bits", alias, "signature_malformed"],
    ["a line feed", `${signature.jws}\n`, "signature_malformed"],
    ["standard base64", `${head}..${"+".repeat(86)}`, "signature_malformed"],
    ["63 bytes", `${head}..${signature.signature.slice(0, 84)}`, "signature_malformed"],
    ["a long header", `${"e".repeat(2_000)}..${signature.signature}`, "signature_malformed"],
    ["a header that is no object", jwsWith("null", bytes, signedBySeller), "signature_malformed"],
    ["no kid", jwsWith({ alg: "EdDSA", typ: header.typ }, bytes, signedBySeller), "signature_malformed"],
    ["no typ", jwsWith({ alg: "EdDSA", kid: header.kid }, bytes, signedBySeller), "signature_malformed"],
    ["crit", jwsWith({ ...header, crit: ["b64"] }, bytes, signedBySeller), "signature_malformed"],
    ["b64", jwsWith({ ...header, b64: false }, bytes, signedBySeller), "signature_malformed"],
    [
      "a key in the header",
      jwsWith({ ...header, jwk: publicJwk(rival.key) }, bytes, signedBySeller),
      "signature_malformed",
    ],
    [
      "alg twice",
      jwsWith('{"alg":"none","alg":"EdDSA","kid":"k","typ":"t"}', bytes, signedBySeller),
      "signature_malformed",
    ],
    ["alg none", jwsWith({ ...header, alg: "none" }, bytes, signedBySeller), "algorithm_unsupported"],
    [
      "HS256 under the public key",
      jwsWith({ ...header, alg: "HS256" }, bytes, signedBySeller),
      "algorithm_unsupported",
    ],
    [
      "the other supported algorithm",
      jwsWith({ ...header, alg: "ES256" }, bytes, signedBySeller),
      "algorithm_unsupported",
    ],
    ["an unknown kid", jwsWith({ ...header, kid: "nobody" }, bytes, signedBySeller), "key_unknown"],
    ["another type", jwsWith({ ...header, typ: "ucp-intent+jws" }, bytes, signedBySeller), "signature_type_mismatch"],
    ["a generic typ", jwsWith({ ...header, typ: "JWT" }, bytes, signedBySeller), "signature_type_mismatch"],
    ["a signature of something else", `${head}..${valid}`, "signature_invalid"],
  ])("refuses %s", (_name, jws, code) => {
    expect(verdictOf(verifyEnvelope(bytes, jws, keys))).toBe(code);
  });

  test("takes a header in any key order: other libraries write it so", () => {
    const jws = jwsWith(`{"typ":"ucp-quote+jws", "kid":"${header.kid}", "alg":"EdDSA"}`, bytes, signedBySeller);
    expect(verdictOf(verifyEnvelope(bytes, jws, keys))).toBe("verified");
  });

  test.each([
    ["not canonical", '{"type": "quote"}', "json_not_canonical"],
    ["a repeated key", '{"sender":1,"sender":2}', "json_duplicate_key"],
    ["no object", "null", "signature_type_mismatch"],
    ["no type", '{"sender":{"id":"nod_a"}}', "signature_type_mismatch"],
    ["no sender", '{"type":"quote"}', "key_not_of_sender"],
    ["a sender that is a string", '{"sender":"nod_a","type":"quote"}', "key_not_of_sender"],
  ])("refuses properly signed bytes that are %s", (_name, text, code) => {
    const odd = encoder.encode(text);
    expect(verdictOf(verifyEnvelope(odd, signEnvelope(odd, "quote", seller.key).jws, keys))).toBe(code);
  });

  test("refuses too many bytes before looking at the signature's curve", () => {
    expect(verdictOf(verifyEnvelope(bytes, signature.jws, keys, { bytesMax: 100 }))).toBe("json_too_large");
  });

  test("any changed byte of message, header or signature is refused", () => {
    const accepted: string[] = [];
    for (let at = 0; at < bytes.length; at += 3) {
      for (const change of [1, 0x20, 0x80]) {
        const bent = Uint8Array.from(bytes);
        bent[at]! ^= change;
        if (verifyEnvelope(bent, signature.jws, keys).kind === "verified") accepted.push(`message ${at} ${change}`);
      }
    }
    for (let at = 0; at < signature.jws.length; at++) {
      for (const other of ["A", "_", ".", "="]) {
        if (signature.jws[at] === other) continue;
        const bent = signature.jws.slice(0, at) + other + signature.jws.slice(at + 1);
        if (verifyEnvelope(bytes, bent, keys).kind === "verified") accepted.push(`jws ${at} ${other}`);
      }
    }
    expect(accepted).toEqual([]);
  });
});

describe("signIntent", () => {
  const intent = buildIntent({ line_items: [{ query: "blue jeans" }], context: { currency: "eur" } });

  test("returns header, signature and digest of the canonical bytes", () => {
    const detached = signIntent(intent, service.key);
    expect(detached).toMatchObject({ kid: service.key.kid, alg: "EdDSA", typ: "ucp-intent+jws" });
    expect(detached.jws).toBe(`${detached.protected}..${detached.signature}`);
    expect(detached.digest).toMatch(/^sha256:[\w-]{43}$/);
    expect(verifyEnvelope(canonicalize(intent), detached.jws, keys)).toMatchObject({
      kind: "verified",
      sender: "outcry",
    });
  });

  test("stock jose verifies it as flattened JWS with the detached payload put back", async () => {
    const detached = signIntent(intent, service.key);
    const key = await importJWK({ ...publicJwk(service.key) }, "EdDSA");
    const jws = {
      protected: detached.protected,
      signature: detached.signature,
      payload: toBase64Url(canonicalize(intent)),
    };
    const result = await flattenedVerify(jws, key, { algorithms: ["EdDSA"] });
    expect(result.protectedHeader).toEqual({ alg: "EdDSA", kid: service.key.kid, typ: "ucp-intent+jws" });
    expect(Buffer.from(result.payload).equals(canonicalize(intent))).toBe(true);
  });

  test("what stock jose signs verifies here", async () => {
    const mine = canonicalize(intent);
    const jwk = { ...publicJwk(service.key), d: toBase64Url(service.key.privateKey.reveal()) };
    const signed = await new FlattenedSign(mine)
      .setProtectedHeader({ alg: "EdDSA", kid: service.key.kid, typ: "ucp-intent+jws" })
      .sign(await importJWK(jwk, "EdDSA"));
    expect(verdictOf(verifyEnvelope(mine, `${signed.protected}..${signed.signature}`, keys))).toBe("verified");
  });
});

describe("keys that share an id", () => {
  test("are refused as a source: one id must not have two owners", () => {
    expect(() => keySource([seller.verification, { ...rival.verification, kid: seller.key.kid }])).toThrow(TypeError);
  });

  test("come back as the JWK they came from", () => {
    expect(jwkOf(ecSeller.verification)).toEqual({ ...ecSeller.jwk, kid: ecSeller.verification.kid });
    expect(jwkOf(seller.verification)).toEqual(publicJwk(seededKey(2)));
  });
});

describe("checkFreshness", () => {
  const envelope = envelopeOf("quote", "nod_a");
  const created = Date.parse("2026-11-20T10:00:00.000Z");
  test.each([
    ["within its time", created + 1, "ok"],
    ["at the last millisecond", created + 29_999, "ok"],
    ["at `expires` itself", created + 30_000, "expired"],
    ["as far ahead as clocks may differ", created - 60_000, "ok"],
    ["further ahead", created - 60_001, "future_dated"],
  ])("%s", (_name, nowMs, kind) => {
    expect(checkFreshness(envelope, nowMs)).toEqual({ kind });
  });

  test("takes another tolerance, and no date that is not one", () => {
    expect(checkFreshness(envelope, created - 1, { skewMs: 0 })).toEqual({ kind: "future_dated" });
    expect(checkFreshness({ ...envelope, created: "2026-11-20" }, created)).toEqual({ kind: "future_dated" });
    expect(checkFreshness({ ...envelope, expires: "9999-02-31T00:00:00.000Z" }, created)).toEqual({ kind: "expired" });
    expect(checkFreshness({}, created)).toEqual({ kind: "expired" });
  });
});

describe("verifyBareAsync, for bytes without an envelope", () => {
  const ack = encoder.encode('{"attempt":1,"status":"accepted"}');
  const claim = { bytes: ack, type: "ack", owner: "nod_a" };
  const codeOf = async (change: Partial<BareBytes>, jws: string | undefined) => {
    const verdict = await verifyBareAsync({ ...claim, ...change }, jws, keys);
    return verdict.kind === "verified" ? "verified" : verdict.code;
  };
  const honest = signEnvelope(ack, "ack", seller.key).jws;

  test("says that the owner's key signed them as what the caller says they are", async () => {
    expect(await verifyBareAsync(claim, honest, keys)).toEqual({
      kind: "verified",
      kid: seller.key.kid,
      alg: "EdDSA",
    });
  });

  test("of every signer × signed type × owner × type only the honest combination passes", async () => {
    const verdicts: Record<string, number> = {};
    for (const signer of [seller, rival]) {
      for (const signedType of ["ack", "quote"]) {
        const { jws } = signEnvelope(ack, signedType, signer.key);
        for (const owner of ["nod_a", "nod_b"]) {
          for (const type of ["ack", "quote"]) {
            const code = await codeOf({ owner, type }, jws);
            verdicts[code] = (verdicts[code] ?? 0) + 1;
            expect(code === "verified").toBe(signer.owner === owner && signedType === type);
          }
        }
      }
    }
    expect(verdicts).toEqual({ verified: 4, signature_type_mismatch: 8, key_not_of_sender: 4 });
  });

  test("refuses other bytes, and what is no signature or of no known key", async () => {
    const bent = Uint8Array.from(ack);
    bent[2]! ^= 1;
    expect(await codeOf({ bytes: bent }, honest)).toBe("signature_invalid");
    expect(await codeOf({}, undefined)).toBe("signature_missing");
    expect(await codeOf({}, "x")).toBe("signature_malformed");
    expect(await codeOf({}, signEnvelope(ack, "ack", party("nod_c", 9).key).jws)).toBe("key_unknown");
  });

  test("takes no envelope's signature for them, and no envelope takes theirs", async () => {
    expect(await codeOf({ bytes }, signature.jws)).toBe("signature_type_mismatch");
    expect(verdictOf(verifyEnvelope(bytes, signEnvelope(bytes, "ack", seller.key).jws, keys))).toBe(
      "signature_type_mismatch",
    );
  });
});
