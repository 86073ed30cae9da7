// The published vectors of the wire through our own signer and verifier: what docs/protocol.md promises to strangers holds for us, too.

import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "@jest/globals";
import {
  keySource,
  signEnvelope,
  signingKeyOf,
  verificationKey,
  verifyBareAsync,
  verifyEnvelope,
} from "@outcry/signing";
import { repository } from "./workspaces.js";

interface Key {
  owner: string;
  kid: string;
  seed_hex: string;
}
interface Message {
  headers: Record<string, string>;
  data: string;
  digest: string;
}
const file = path.join(repository, "packages/protocol/fixtures/wire/2026-11-20.json");
const wire = JSON.parse(readFileSync(file, "utf8")) as {
  keys: Record<"service" | "node", Key>;
  messages: Record<"intent" | "quote" | "cancel" | "ack_signed", Message>;
};

const signers = { service: signer("service"), node: signer("node") };
const keys = keySource(
  (["service", "node"] as const).map((party) => verificationKey(signers[party], wire.keys[party].owner)),
);

describe.each([
  ["intent", "service"],
  ["quote", "node"],
  ["cancel", "service"],
] as const)("the published %s", (type, party) => {
  const { data, headers, digest } = wire.messages[type];
  const bytes = new TextEncoder().encode(data);
  const jws = headers["Outcry-Signature"]!;

  test("is verified as its sender's", () => {
    expect(verifyEnvelope(bytes, jws, keys)).toMatchObject({
      kind: "verified",
      sender: wire.keys[party].owner,
      kid: wire.keys[party].kid,
    });
  });

  test("is signed alike by us", () => {
    expect(signEnvelope(bytes, type, signers[party])).toMatchObject({ jws, digest, kid: wire.keys[party].kid });
  });

  test("counts as no other type, and not for a single other byte", () => {
    const bent = new TextEncoder().encode(data.replace("2026-11-20T12:", "2026-11-20T13:"));
    expect(verifyEnvelope(bent, jws, keys)).toMatchObject({ kind: "refused", code: "signature_invalid" });
    const other = signEnvelope(bytes, "other", signers[party]).jws;
    expect(verifyEnvelope(bytes, other, keys)).toMatchObject({ kind: "refused", code: "signature_type_mismatch" });
  });
});

describe("the published signed ack", () => {
  const { data, headers } = wire.messages.ack_signed;
  const bytes = new TextEncoder().encode(data);
  const jws = headers["Outcry-Signature"]!;
  const { owner, kid } = wire.keys.node;

  test("is verified as its node's, and signed alike by us", async () => {
    expect(await verifyBareAsync({ bytes, type: "ack", owner }, jws, keys)).toMatchObject({ kind: "verified", kid });
    expect(signEnvelope(bytes, "ack", signers.node).jws).toBe(jws);
  });

  test("counts for no other node, as nothing else, and not for a single other byte", async () => {
    const codeOf = async (claim: Partial<Parameters<typeof verifyBareAsync>[0]>) =>
      verifyBareAsync({ bytes, type: "ack", owner, ...claim }, jws, keys);
    expect(await codeOf({ owner: "nod_other" })).toMatchObject({ code: "key_not_of_sender" });
    expect(await codeOf({ type: "quote" })).toMatchObject({ code: "signature_type_mismatch" });
    const bent = new TextEncoder().encode(data.replace('"attempt":1', '"attempt":2'));
    expect(await codeOf({ bytes: bent })).toMatchObject({ code: "signature_invalid" });
    expect(verifyEnvelope(bytes, jws, keys)).toMatchObject({ code: "signature_type_mismatch" });
  });
});

function signer(party: "service" | "node") {
  return signingKeyOf(Buffer.from(wire.keys[party].seed_hex, "hex"));
}
