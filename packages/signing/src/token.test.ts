import { describe, expect, test } from "@jest/globals";
import { importJWK, jwtVerify, SignJWT } from "jose";
import { toBase64Url } from "@outcry/protocol";
import { keySource } from "./public-key.js";
import { signEnvelope } from "./sign.js";
import { publicJwk } from "./signing-key.js";
import { bytesOf, jwsWith, party, seededKey } from "./test-messages.js";
import { mintToken, SeenTokens, type TokenClaims, verifyToken } from "./token.js";
import { verifyEnvelope } from "./verify.js";

const service = party("outcry", 1);
const node = party("nod_a", 2);
const keys = keySource([service.verification, node.verification]);
const nowMs = Date.parse("2026-11-20T10:00:00.000Z");
const iat = nowMs / 1_000;
const expected = { audience: "outcry", issuer: "outcry" };
const claims: TokenClaims = {
  iss: "outcry",
  aud: "outcry",
  sub: "buyer:42",
  iat,
  exp: iat + 900,
  jti: "t1",
  role: "buyer",
  backend: "bkd_1",
  channels: ["intent:int_1", "buyer:42"],
};
const token = mintToken(claims, service.key);
const verdict = (text: string, atMs = nowMs) => {
  const result = verifyToken(text, keys, atMs, expected);
  return result.kind === "verified" ? "verified" : `${result.code}: ${result.detail}`;
};
/** A token with any claims and header, honestly signed. */
function forge(changes: object, header: object = {}, signer = service): string {
  const payload = new TextEncoder().encode(JSON.stringify({ ...claims, ...changes }));
  const head = { alg: "EdDSA", kid: signer.key.kid, typ: "at+jwt", ...header };
  return jwsWith(head, payload, (input) => signer.key.privateKey.sign(input)).replace(
    "..",
    `.${toBase64Url(payload)}.`,
  );
}

describe("tokens", () => {
  test("come back as the claims they were minted with", () => {
    expect(verifyToken(token, keys, nowMs, expected)).toEqual({ kind: "verified", claims, kid: service.key.kid });
  });

  test("are verified by stock jose, and jose's by us", async () => {
    const key = await importJWK({ ...publicJwk(service.key) }, "EdDSA");
    const { payload } = await jwtVerify(token, key, { ...expected, typ: "at+jwt", currentDate: new Date(nowMs) });
    expect(payload).toEqual(claims);
    const jwk = { ...publicJwk(service.key), d: toBase64Url(service.key.privateKey.reveal()) };
    const theirs = await new SignJWT({ ...claims })
      .setProtectedHeader({ alg: "EdDSA", kid: service.key.kid, typ: "at+jwt" })
      .sign(await importJWK(jwk, "EdDSA"));
    expect(verdict(theirs)).toBe("verified");
  });

  test("end at exp without tolerance", () => {
    expect(verdict(token, nowMs + 899_999)).toBe("verified");
    expect(verdict(token, nowMs + 900_000)).toBe("token_expired: the token has expired");
  });

  test.each([
    ["another audience", forge({ aud: "elsewhere" }), "a token for another audience"],
    ["another issuer", forge({ iss: "nod_a" }), "another issuer's token"],
    ["a node's key speaking for the service", forge({}, {}, node), "another issuer's token"],
    ["16 minutes for a buyer", forge({ exp: iat + 960 }), "the token lives longer than allowed"],
    ["a life that ends before it begins", forge({ exp: iat }), "the token lives longer than allowed"],
    ["a date in the future", forge({ iat: iat + 61, exp: iat + 300 }), "the token is dated in the future"],
    ["no channels", forge({ channels: "all" }), "the claims are incomplete"],
    ["no role", forge({ role: undefined }), "the claims are incomplete"],
    ["a fraction of a second", forge({ iat: iat + 0.5 }), "the claims are incomplete"],
    ["typ JWT", forge({}, { typ: "JWT" }), "typ or alg is not that of our tokens"],
    ["alg none", forge({}, { alg: "none" }), "typ or alg is not that of our tokens"],
    ["an unknown key", forge({}, { kid: "x" }), "the key is unknown"],
    ["crit", forge({}, { crit: ["exp"] }), "the header holds more than alg, kid and typ"],
    [
      "a message's signature",
      signEnvelope(bytesOf("intent", "outcry"), "intent", service.key).jws,
      "typ or alg is not that of our tokens",
    ],
    ["no token", "", "not a compact JWS"],
    ["9,000 dots", ".".repeat(9_000), "not a compact JWS"],
  ])("with %s are refused", (_name, text, detail) => {
    expect(verdict(text)).toBe(`credentials_invalid: ${detail}`);
  });

  test("with any changed character are refused", () => {
    for (let at = 0; at < token.length; at++) {
      const bent = token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
      expect(verdict(bent)).not.toBe("verified");
    }
  });

  test("never pass as a message's signature", () => {
    const [head, , signature] = token.split(".");
    const result = verifyEnvelope(bytesOf("intent", "outcry"), `${head}..${signature}`, keys);
    expect(result).toMatchObject({ kind: "refused", code: "signature_type_mismatch" });
  });

  test("of a longer life are not minted", () => {
    expect(() => mintToken({ ...claims, exp: iat + 901 }, seededKey(1))).toThrow(TypeError);
    expect(() => mintToken({ ...claims, role: "node", exp: iat + 3_600 }, seededKey(1))).not.toThrow();
  });
});

describe("a token that was seen", () => {
  test("is right again only for the same token, and its claims are judged each time", () => {
    const seen = new SeenTokens();
    const kindOf = (text: string, atMs = nowMs, source = keys) => verifyToken(text, source, atMs, expected, seen).kind;
    expect(kindOf(token)).toBe("verified");
    expect(kindOf(token)).toBe("verified");
    expect(seen.find(token, keys)).toMatchObject({ claims });
    const again = verifyToken(token, keys, nowMs, expected, seen);
    expect(again.kind === "verified" && again.claims).toBe(seen.find(token, keys)!.claims);
    expect(verifyToken(token, keys, nowMs, { ...expected, audience: "other" }, seen).kind).toBe("refused");
    expect(kindOf(token, claims.exp * 1_000)).toBe("refused");
    const [header, , signature] = token.split(".") as [string, string, string];
    const other = toBase64Url(new TextEncoder().encode(JSON.stringify({ ...claims, role: "operator" })));
    expect(kindOf(`${header}.${other}.${signature}`)).toBe("refused");
    const last = signature.endsWith("A") ? "Q" : "A";
    expect(kindOf(`${token.slice(0, -1)}${last}`)).toBe("refused");
  });

  test("says nothing for a key that is gone or another one of its name", () => {
    const seen = new SeenTokens();
    expect(verifyToken(token, keys, nowMs, expected, seen).kind).toBe("verified");
    expect(verifyToken(token, keySource([node.verification]), nowMs, expected, seen).kind).toBe("refused");
    const impostor = { ...node.verification, kid: service.verification.kid, owner: "outcry" };
    expect(verifyToken(token, keySource([impostor]), nowMs, expected, seen).kind).toBe("refused");
  });

  test("of a wrong token is never kept", () => {
    const seen = new SeenTokens();
    const wrong = forge({}, { kid: service.key.kid }, { ...service, key: node.key });
    expect(verifyToken(wrong, keys, nowMs, expected, seen).kind).toBe("refused");
    expect(seen.size).toBe(0);
  });

  test("is forgotten when there are too many characters of them, the oldest first", () => {
    const seen = new SeenTokens({ charsMax: 3 * token.length });
    const tokens = Array.from({ length: 5 }, (_, nth) => mintToken({ ...claims, jti: `t${nth}` }, service.key));
    for (const each of [tokens[0]!, ...tokens]) verifyToken(each, keys, nowMs, expected, seen);
    expect(tokens.map((each) => seen.find(each, keys) !== undefined)).toEqual([false, false, true, true, true]);
  });
});
