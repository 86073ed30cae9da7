import { describe, expect, test } from "@jest/globals";
import { createAccount, createOperator, createUser, fromSeed } from "@nats-io/nkeys";
import { natsAuthenticator, nkeySigner } from "@outcry/signing";
import { credsText, readCreds } from "./jwt.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

describe("a seed", () => {
  test.each([createOperator, createAccount, createUser])("signs as the library of NATS does: %p", (create) => {
    const seed = create().getSeed();
    const signed = nkeySigner(decoder.decode(seed));
    for (const text of ["", "nonce", "x".repeat(1_000)]) {
      const data = encoder.encode(text);
      expect([...signed(data)]).toEqual([...fromSeed(seed).sign(data)]);
    }
  });

  test.each(["", "SUA", `SU${"0".repeat(56)}`, `SU${"A".repeat(57)}`, `U${"A".repeat(55)}`])(
    "that is none is refused without being said: %p",
    (text) => {
      const refused = () => nkeySigner(text);
      expect(refused).toThrow("not an NKey seed");
      if (text !== "") expect(refused).not.toThrow(text);
    },
  );
});

test("the server's nonce is signed, with the JWT of the moment", () => {
  const user = createUser();
  let jwt = "first";
  const answer = natsAuthenticator(() => jwt, decoder.decode(user.getSeed()));
  jwt = "second";
  const { jwt: presented, sig } = answer("server-nonce");
  expect(presented).toBe("second");
  expect(user.verify(encoder.encode("server-nonce"), Buffer.from(sig, "base64url"))).toBe(true);
});

describe("a credentials file", () => {
  const seed = decoder.decode(createUser().getSeed());

  test("is read as it is written, with any line ends", () => {
    const text = credsText("h.b.s", seed);
    expect(readCreds(text)).toEqual({ jwt: "h.b.s", seed });
    expect(readCreds(text.replaceAll("\n", "\r\n"))).toEqual({ jwt: "h.b.s", seed });
  });

  test("that lacks a part is refused without being repeated", () => {
    expect(() => readCreds("")).toThrow("not a NATS credentials file");
    const half = credsText("h.b.s", seed).replace("SEED", "");
    expect(() => readCreds(half)).toThrow("not a NATS credentials file");
    expect(() => readCreds(half)).not.toThrow(seed);
  });
});
