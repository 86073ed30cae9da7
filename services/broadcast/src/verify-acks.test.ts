import { describe, expect, test } from "@jest/globals";
import { buildAck, canonicalize, LIMITS } from "@outcry/protocol";
import { type BareVerdict, generateKey, keySource, signEnvelope, verificationKey } from "@outcry/signing";
import { AckVerifier } from "./verify-acks.js";

const node = "nod_01h455vb4pex5vsknk084sn02r";
const key = generateKey();
const bytes = canonicalize(buildAck(`sha256:${"A".repeat(43)}`, 1, "accepted"));
const { jws } = signEnvelope(bytes, "ack", key);
const keys = keySource([verificationKey(key, node)]);

function verifierWith(keysOf = () => keys) {
  const failures: unknown[] = [];
  const verifier = new AckVerifier({ mode: "accept", keysOf, onFailed: (error) => failures.push(error) });
  return { verifier, failures };
}

describe("the verifier of acks", () => {
  test("takes a full line and no more, lets the event loop run meanwhile, and settles when all have their verdict", async () => {
    const { verifier } = verifierWith();
    const verdicts: BareVerdict[] = [];
    const take = () => verifier.take({ nodeId: node, bytes, jws }, (verdict) => verdicts.push(verdict));
    for (let taken = 0; taken < LIMITS.ackVerifiesWaitingMax; taken++) expect(take()).toBe(true);
    expect(take()).toBe(false);

    let turns = 0;
    const count = () => void (turns++, verdicts.length < LIMITS.ackVerifiesWaitingMax && setImmediate(count));
    setImmediate(count);
    await verifier.settled();
    expect(verdicts.filter(({ kind }) => kind === "verified")).toHaveLength(LIMITS.ackVerifiesWaitingMax);
    expect(turns).toBeGreaterThan(LIMITS.ackVerifiesWaitingMax / LIMITS.ackVerifiesAtOnce / 4);
    expect(take()).toBe(true);
    await verifier.settled();
  });

  test("hears an ack that comes while its last lane is ending", async () => {
    const { verifier } = verifierWith();
    for (let round = 0; round < 20; round++) {
      const heard = await new Promise<BareVerdict>((resolve) => verifier.take({ nodeId: node, bytes, jws }, resolve));
      expect(heard.kind).toBe("verified");
    }
  });

  test("goes on behind a failure, which settles too", async () => {
    let broken = true;
    const { verifier, failures } = verifierWith(() => {
      if (broken) throw new Error("no keys today");
      return keys;
    });
    const verdicts: BareVerdict[] = [];
    verifier.take({ nodeId: node, bytes, jws }, (verdict) => verdicts.push(verdict));
    await verifier.settled();
    broken = false;
    verifier.take({ nodeId: node, bytes, jws }, (verdict) => verdicts.push(verdict));
    await verifier.settled();
    expect(failures).toHaveLength(1);
    expect(verdicts.map(({ kind }) => kind)).toEqual(["verified"]);
  });

  test("takes no signature of another's key", async () => {
    const { verifier } = verifierWith(() => keySource([verificationKey(key, "nod_other")]));
    const verdicts: BareVerdict[] = [];
    verifier.take({ nodeId: node, bytes, jws }, (verdict) => verdicts.push(verdict));
    await verifier.settled();
    expect(verdicts).toEqual([expect.objectContaining({ kind: "refused", code: "key_not_of_sender" })]);
  });
});
