import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, describe, expect, test } from "@jest/globals";
import { toBase64Url } from "@outcry/protocol";
import { decodeBase64Url, signingInput } from "./base64url.js";
import { loadKeyFile, saveKeyFile } from "./key-file.js";
import { checkPublicJwk, checkPublicKey, thumbprint } from "./public-key.js";
import { generateKey, jwks, keyFromText, privateJwk, publicJwk } from "./signing-key.js";
import { p256Party, seededKey } from "./test-messages.js";
import { curve } from "./curve-node.js";

const rfc8037 = JSON.parse(readFileSync(new URL("../vectors/rfc8037.json", import.meta.url), "utf8")) as {
  jwk: { kty: "OKP"; crv: "Ed25519"; d: string; x: string };
  thumbprint: string;
  protected: string;
  payload: string;
  signature: string;
};
const folder = mkdtempSync(join(tmpdir(), "outcry-keys-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("RFC 8037 appendix A", () => {
  const key = keyFromText(JSON.stringify(rfc8037.jwk));

  test("the key's public half and thumbprint", () => {
    expect(publicJwk(key)).toEqual({ kty: "OKP", crv: "Ed25519", x: rfc8037.jwk.x, kid: rfc8037.thumbprint });
    expect(thumbprint(rfc8037.jwk)).toBe(rfc8037.thumbprint);
  });

  test("the signature over header and payload", async () => {
    const input = signingInput(rfc8037.protected, new TextEncoder().encode(rfc8037.payload));
    expect(toBase64Url(key.privateKey.sign(input))).toBe(rfc8037.signature);
    expect(toBase64Url(await key.privateKey.signAsync(input))).toBe(rfc8037.signature);
    expect(curve.verify.EdDSA!(key.publicKey, input, decodeBase64Url(rfc8037.signature)!)).toBe(true);
  });
});

describe("private material", () => {
  const key = seededKey(9);
  const secrets = [privateJwk(key).d, Buffer.from(key.privateKey.reveal()).toString("hex"), "9, 9, 9, 9"];

  test("is in no text form of a key", () => {
    const holder = { key, nested: [{ privateKey: key.privateKey }] };
    const shown = [
      String(key.privateKey),
      JSON.stringify(holder),
      inspect(holder, { depth: 9, showHidden: true, getters: true }),
      inspect(key.privateKey, { customInspect: false, showHidden: true }),
      JSON.stringify(Object.entries(key.privateKey)),
      JSON.stringify(jwks([key])),
      JSON.stringify(Object.assign({}, key, key.privateKey)),
    ].join("\n");
    for (const secret of secrets) expect(shown).not.toContain(secret);
  });

  test("is not quoted by errors about a key's text", () => {
    const text = JSON.stringify({ ...privateJwk(key), x: publicJwk(seededKey(8)).x });
    for (const broken of [text, text.slice(0, -1), JSON.stringify({ d: privateJwk(key).d })]) {
      expect(() => keyFromText(broken)).toThrow(TypeError);
      expect(() => keyFromText(broken)).not.toThrow(privateJwk(key).d);
    }
  });
});

describe("key files", () => {
  test("are written 0600 and read back as the same key", () => {
    const path = join(folder, "service.jwk");
    const key = generateKey();
    saveKeyFile(path, key);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(privateJwk(loadKeyFile(path))).toEqual(privateJwk(key));
    expect(keyFromText(readFileSync(path, "utf8")).kid).toBe(key.kid);
  });

  test("are never overwritten", () => {
    const path = join(folder, "once.jwk");
    saveKeyFile(path, seededKey(1));
    expect(() => saveKeyFile(path, seededKey(2))).toThrow("EEXIST");
    expect(loadKeyFile(path).kid).toBe(seededKey(1).kid);
  });

  test.each([0o640, 0o604, 0o660, 0o620])("with mode %i are refused with the command that mends it", (mode) => {
    const path = join(folder, `open-${mode}.jwk`);
    writeFileSync(path, JSON.stringify(privateJwk(seededKey(3))));
    chmodSync(path, mode);
    expect(() => loadKeyFile(path)).toThrow(`Run: chmod 600 ${path}`);
  });
});

describe("public keys are taken in one form only", () => {
  const { x } = publicJwk(seededKey(4));

  test("the exact one", () => {
    expect(checkPublicKey(x)).toMatchObject({ kind: "ok", alg: "EdDSA", thumbprint: seededKey(4).kid });
  });

  test.each([
    ["padded", `${x}=`],
    ["with a line feed", `${x}\n`],
    ["in standard base64", x.replaceAll("-", "+").replaceAll("_", "/") + "/"],
    ["with set trailing bits", x.slice(0, -1) + String.fromCharCode(x.charCodeAt(x.length - 1) + 1)],
    ["of 33 bytes", `${x}A`],
    ["empty", ""],
    [
      "of small order",
      toBase64Url(Buffer.from("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85", "hex")),
    ],
    ["the identity", toBase64Url(Uint8Array.of(1, ...new Uint8Array(31)))],
    ["with y ≥ p", toBase64Url(Uint8Array.of(0xf0, ...new Uint8Array(30).fill(0xff), 0x7f))],
    ["off the curve", toBase64Url(Uint8Array.of(2, ...new Uint8Array(31)))],
  ])("not one %s", (_name, text) => {
    expect(checkPublicKey(text)).toMatchObject({ kind: "refused", code: "key_unacceptable" });
  });

  test("P-256 keys on their curve, nothing off it and no other curve", () => {
    const { jwk, verification } = p256Party("nod_ec");
    expect(checkPublicJwk(jwk)).toMatchObject({ kind: "ok", alg: "ES256", thumbprint: verification.kid });
    expect(checkPublicJwk({ ...jwk, y: jwk.x }).kind).toBe("refused");
    expect(checkPublicJwk({ kty: "EC", crv: "P-256", x: jwk.x }).kind).toBe("refused");
    expect(checkPublicJwk({ ...jwk, crv: "Ed25519" }).kind).toBe("refused");
    expect(checkPublicJwk({ kty: "OKP", crv: "Ed25519", x }).kind).toBe("ok");
  });
});

test("base64url decodes exactly what it encodes, for every length", () => {
  for (let length = 0; length < 70; length++) {
    const bytes = Uint8Array.from({ length }, (_, index) => (index * 37 + length) & 0xff);
    const text = toBase64Url(bytes);
    expect(decodeBase64Url(text)).toEqual(bytes);
    expect(text).toBe(Buffer.from(bytes).toString("base64url"));
    expect(Buffer.from(signingInput("h", bytes)).toString()).toBe(`h.${text}`);
  }
});
