// Signed acks (ADR-11) on real servers: what is recorded verifies later, and no signature of anything else passes for one.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  type Ack,
  type AcksView,
  buildAck,
  canonicalize,
  type EventData,
  type NodeRecord,
  STREAMS,
  SUBJECTS,
} from "@outcry/protocol";
import { generateKey, signEnvelope, type SigningKey } from "@outcry/signing";
import { flattenedVerify, importJWK } from "jose";
import type { Backend } from "./api-calls.js";
import { eventually, type Market, startMarket } from "./in-process.js";
import { connectRaw, type HeardIntent, type RawNode } from "./raw-node.js";

const encoder = new TextEncoder();

/** A market with two nodes on bare connections. */
async function openMarket(signedAcks: "off" | "accept" | "require") {
  const market = await startMarket({ signedAcks });
  const backend = await market.backend();
  const [node, other] = [await connectRaw(market), await connectRaw(market)];
  return { market, backend, node, other };
}

interface World {
  market: Market;
  backend: Backend;
  node: RawNode;
  other: RawNode;
}

async function heardBy({ backend, node, other }: World): Promise<HeardIntent> {
  const id = await backend.broadcast({ routing: { targets: [node.id, other.id] } });
  return node.hears(id);
}

const refusals = ({ market }: World, code: string) => market.counts[`ackRefused ${code}`] ?? 0;

async function stateAt({ backend, node }: World, { intent }: HeardIntent): Promise<string> {
  const { body } = await backend.call<AcksView>("GET", `/v1/intents/${intent.id}/acks`);
  return body.acks.find(({ node_id }) => node_id === node.id)!.status;
}

type Responses = EventData<"NODE_RESPONDED">["responses"];

async function responsesOf({ market, node }: World, { intent }: HeardIntent): Promise<Responses> {
  const events = await market.eventsOf(intent.id);
  return events
    .flatMap(({ type, data }) => (type === "NODE_RESPONDED" ? (data as EventData<"NODE_RESPONDED">).responses : []))
    .filter(({ node_id }) => node_id === node.id);
}

interface Sent {
  bytes: Uint8Array;
  signature?: string | undefined;
}

function send({ node }: World, { intent }: HeardIntent, { bytes, signature }: Sent): void {
  const headers = signature === undefined ? {} : { headers: { "Outcry-Signature": signature } };
  node.publish(SUBJECTS.ack(node.id, intent.id), bytes, headers);
}

/** As an honest node makes it, but for what a test changes. */
function signedAck(heard: HeardIntent, key: SigningKey, type = "ack", ack: Partial<Ack> = {}) {
  const bytes = canonicalize({ ...buildAck(heard.digest, 1, "accepted"), ...ack });
  return { bytes, signature: signEnvelope(bytes, type, key).jws };
}

describe("where signed acks are required", () => {
  let world: World;
  beforeAll(async () => {
    world = await openMarket("require");
  });
  afterAll(() => world.market.stop());

  test("a signed one is taken, and NODE_RESPONDED alone proves it to stock jose", async () => {
    const { market, node } = world;
    const heard = await heardBy(world);
    send(world, heard, signedAck(heard, node.key));
    await eventually(async () => (await stateAt(world, heard)) === "acked");
    send(world, heard, signedAck(heard, node.key, "ack", { status: "declined", reason: "capacity", attempt: 2 }));
    await eventually(async () => (await stateAt(world, heard)) === "declined");

    const { body } = await market.admin<NodeRecord>("GET", `/v1/nodes/${node.id}`);
    const responses = await responsesOf(world, heard);
    expect(responses.map(({ status }) => status)).toEqual(["accepted", "declined"]);
    for (const { attempt, status, reason, signature } of responses) {
      const ack = buildAck(heard.digest, attempt!, status as Ack["status"], reason as Ack["reason"]);
      const [header, , value] = signature!.split(".");
      const { protectedHeader } = await flattenedVerify(
        { protected: header!, payload: Buffer.from(canonicalize(ack)).toString("base64url"), signature: value! },
        await importJWK(body.public_keys[0]!, "EdDSA"),
      );
      expect(protectedHeader).toEqual({ alg: "EdDSA", kid: node.key.kid, typ: "ucp-ack+jws" });
    }
  });

  const foreign = generateKey();
  const wrong: [what: string, code: string, (heard: HeardIntent, earlier: HeardIntent) => Sent][] = [
    [
      "without a signature",
      "signature_missing",
      (heard) => ({ ...signedAck(heard, world.node.key), signature: undefined }),
    ],
    [
      "with a signature of no form",
      "signature_malformed",
      (heard) => ({ ...signedAck(heard, foreign), signature: "x" }),
    ],
    [
      "with a signature that would not fit the event",
      "signature_malformed",
      (heard) => ({ ...signedAck(heard, world.node.key), signature: "x".repeat(513) }),
    ],
    [
      "with a forged signature",
      "signature_invalid",
      (heard) => {
        const { bytes, signature } = signedAck(heard, world.node.key);
        const [header] = signature.split(".");
        return { bytes, signature: `${header!}..${Buffer.alloc(64, 7).toString("base64url")}` };
      },
    ],
    ["signed with a key that nobody registered", "key_unknown", (heard) => signedAck(heard, foreign)],
    [
      "signed with a foreign key under the node's key id",
      "signature_invalid",
      (heard) => signedAck(heard, { ...foreign, kid: world.node.key.kid }),
    ],
    ["with another node's signature", "key_unknown", (heard) => signedAck(heard, world.other.key)],
    ["signed as a quote", "signature_type_mismatch", (heard) => signedAck(heard, world.node.key, "quote")],
    ["of another intent, signature and all", "ack_digest_mismatch", (_, earlier) => signedAck(earlier, world.node.key)],
    [
      "with the signature of another intent's ack",
      "signature_invalid",
      (heard, earlier) => ({
        bytes: signedAck(heard, world.node.key).bytes,
        signature: signedAck(earlier, world.node.key).signature,
      }),
    ],
    [
      "with the signature of another attempt",
      "signature_invalid",
      (heard) => ({
        bytes: signedAck(heard, world.node.key).bytes,
        signature: signedAck(heard, world.node.key, "ack", { attempt: 2 }).signature,
      }),
    ],
    [
      "with the signature of another answer",
      "signature_invalid",
      (heard) => ({
        bytes: signedAck(heard, world.node.key, "ack", { status: "declined" }).bytes,
        signature: signedAck(heard, world.node.key).signature,
      }),
    ],
    [
      "whose signed bytes hold more than an ack",
      "json_not_canonical",
      (heard) => signedAck(heard, world.node.key, "ack", { note: "and more" } as Partial<Ack>),
    ],
    [
      "whose signed bytes are not canonical",
      "json_not_canonical",
      (heard) => {
        const bytes = encoder.encode(JSON.stringify(buildAck(heard.digest, 1, "accepted")));
        return { bytes, signature: signEnvelope(bytes, "ack", world.node.key).jws };
      },
    ],
  ];

  test.each(wrong)("one %s is refused: %s", async (_what, code, make) => {
    const [earlier, heard] = [await heardBy(world), await heardBy(world)];
    const before = refusals(world, code);
    send(world, heard, make(heard, earlier));
    await eventually(() => refusals(world, code) === before + 1);
    expect(await stateAt(world, heard)).toBe("pending");
    send(world, heard, signedAck(heard, world.node.key));
    await eventually(async () => (await stateAt(world, heard)) === "acked");
  });

  test("a seller that signs its acks is heard, one that does not is not", async () => {
    const { market, backend } = world;
    const signing = await market.seller((_, context) => context.decline("pass"), {}, { signAcks: true });
    const plain = await market.seller((_, context) => context.decline("pass"));
    const before = refusals(world, "signature_missing");
    const id = await backend.broadcast({ routing: { targets: [signing.id, plain.id] } });
    const statusOf = async (nodeId: string) => {
      const { body } = await backend.call<AcksView>("GET", `/v1/intents/${id}/acks`);
      return body.acks.find(({ node_id }) => node_id === nodeId)!.status;
    };
    await eventually(async () => (await statusOf(signing.id)) === "declined");
    // Accepted, then declined; and both again if it was asked again.
    await eventually(() => refusals(world, "signature_missing") >= before + 2);
    expect(await statusOf(plain.id)).toBe("pending");
  });

  test("nothing of all this is stuck, set aside or logged as an error", async () => {
    const { market } = world;
    await eventually(async () => Object.keys(await market.backlog()).length === 0);
    expect(await market.stored(STREAMS.deadLetters)).toEqual([]);
    expect(market.logs.filter(({ level }) => level === "error")).toEqual([]);
  });
});

describe("where signed acks are accepted", () => {
  let world: World;
  beforeAll(async () => {
    world = await openMarket("accept");
  });
  afterAll(() => world.market.stop());

  test("a plain one counts, a signed one is recorded with its signature", async () => {
    const [plain, signed] = [await heardBy(world), await heardBy(world)];
    const ack = signedAck(signed, world.node.key);
    send(world, plain, { bytes: canonicalize(buildAck(plain.digest, 1, "accepted")) });
    send(world, signed, ack);
    for (const heard of [plain, signed]) await eventually(async () => (await stateAt(world, heard)) === "acked");
    expect((await responsesOf(world, plain)).map(({ signature }) => signature)).toEqual([undefined]);
    expect((await responsesOf(world, signed)).map(({ signature }) => signature)).toEqual([ack.signature]);
  });

  test("one with a wrong signature is refused: it is not taken for a plain one", async () => {
    const heard = await heardBy(world);
    send(world, heard, signedAck(heard, world.node.key, "quote"));
    await eventually(() => refusals(world, "signature_type_mismatch") === 1);
    expect(await stateAt(world, heard)).toBe("pending");
  });
});

describe("by default", () => {
  let world: World;
  beforeAll(async () => {
    world = await openMarket("off");
  });
  afterAll(() => world.market.stop());

  test("a signature of an ack is ignored, whatever it is", async () => {
    const heard = await heardBy(world);
    send(world, heard, { ...signedAck(heard, generateKey()), signature: "anything" });
    await eventually(async () => (await stateAt(world, heard)) === "acked");
    expect((await responsesOf(world, heard)).map(({ signature }) => signature)).toEqual([undefined]);
  });
});
