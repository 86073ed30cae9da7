// One intent through every stage: posted, recorded, signed, sent, acknowledged, quoted, ranked, pushed to two sockets, ended.
// The three services run as processes of their own on real servers.

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { connectBackbone, getLast, INBOX_PREFIXES } from "@outcry/backbone";
import { type ChannelName, type Client, createClient } from "@outcry/client";
import { decodeIntentRecord } from "@outcry/delivery";
import { createNode, type SellerNode } from "@outcry/node";
import {
  type Event,
  type EventData,
  type Intent,
  type QuotesView,
  receiptId,
  silentLog,
  STREAMS,
  SUBJECTS,
  systemClock,
} from "@outcry/protocol";
import { scoreQuote } from "@outcry/selection";
import { createLocalJWKSet, type FlattenedJWS, flattenedVerify, type JSONWebKeySet } from "jose";
import WebSocket from "ws";
import { type ProcessStack, startProcesses } from "./processes.js";

const BUYER = "buyer-42";
const REQUEST_ID = "req-from-the-marketplace";
const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";

let stack: ProcessStack;
let backend: Client;
let cheap: Seller;
let dear: Seller;
let unwilling: Seller;
let absentId: string;

interface Seller {
  node: SellerNode;
  nodeId: string;
  heard: { intent: Intent; requestId: string | undefined; traceparent: string | undefined }[];
  notices: unknown[];
}

async function join(admin: Client, name: string, priceMinor: number | undefined): Promise<Seller> {
  const { invite } = await admin.createInvite({ name });
  const seller: Pick<Seller, "heard" | "notices"> = { heard: [], notices: [] };
  const node = createNode({
    url: stack.url,
    stateDir: path.join(stack.dataDir, "nodes", name),
    invite,
    registration: { name, categories: ["apparel"], regions: ["DE"] },
  })
    .onIntent((intent, context) => {
      seller.heard.push({ intent, requestId: context.requestId, traceparent: context.traceparent });
      return priceMinor === undefined ? context.decline("no_inventory") : context.quote({ amountMinor: priceMinor });
    })
    .on("notice", (notice) => seller.notices.push(notice));
  const { nodeId } = await node.start();
  return { node, nodeId, ...seller };
}

beforeAll(async () => {
  stack = await startProcesses({ services: { gateway: 1 } });
  const admin = createClient({ url: stack.url, apiKey: stack.adminKey });
  const { secret } = await admin.createApiKey({ role: "backend", name: "marketplace" });
  backend = createClient({ url: stack.url, apiKey: secret });
  [cheap, dear, unwilling] = await Promise.all([
    join(admin, "cheap", 6_000),
    join(admin, "dear", 8_500),
    join(admin, "unwilling", undefined),
  ]);
  const absent = await join(admin, "absent", 1);
  absentId = absent.nodeId;
  await absent.node.drain();
});

afterAll(async () => {
  await Promise.all([cheap, dear, unwilling].map((seller) => seller?.node.drain({ timeoutMs: 1_000 })));
  await stack?.stop();
});

/** A buyer's or backend's socket, kept until the end of the intent is heard. */
async function watch(token: () => Promise<string>, channel: ChannelName, from?: "start"): Promise<Event[]> {
  const watcher = createClient({
    url: stack.url,
    gatewayUrl: `${stack.service("gateway").url.replace("http", "ws")}/v1/ws`,
    getToken: token,
    WebSocket,
  });
  const events: Event[] = [];
  const messages = watcher.realtime.channel(channel, {
    ...(from ? { from } : {}),
    signal: AbortSignal.timeout(20_000),
  });
  for await (const message of messages) {
    if (message.kind !== "event") throw new Error(`unexpected ${JSON.stringify(message)}`);
    events.push(message.event);
    if (["INTENT_CLOSED", "INTENT_EXPIRED", "INTENT_CANCELLED"].includes(message.event.type)) break;
  }
  return events;
}

describe("one intent", () => {
  let intentId: string;
  let live: Event[];
  let quotes: QuotesView;

  test("is recorded, heard by every eligible node, and answered", async () => {
    const buyerToken = async () => (await backend.createToken({ buyer_id: BUYER, channels: [`buyer:${BUYER}`] })).token;
    const watching = watch(buyerToken, `buyer:${BUYER}`, "start");

    const result = await backend.broadcast(
      {
        line_items: [{ query: "  red running shoes  ", category: "Apparel/Shoes" }],
        context: { currency: "eur", region: "de" },
        budget: { max_minor: 9_000 },
        buyer_id: BUYER,
      },
      undefined,
      { requestId: REQUEST_ID, traceparent: `00-${TRACE_ID}-00f067aa0ba902b7-01` },
    );
    intentId = result.intentId;
    expect(result.targets).toBe(4);
    const nodes = [cheap.nodeId, dear.nodeId, unwilling.nodeId, absentId];
    expect(new Set(result.receiptIds)).toEqual(new Set(nodes.map((node) => receiptId(intentId, node))));

    const acks = await backend.collectAcks(intentId, 10_000);
    expect(acks.complete).toBe(true);
    live = await watching;
    quotes = await backend.quotes(intentId);
  });

  test("reaches nodes as the very bytes that were signed and recorded, without routing or identities", async () => {
    const service = await connectBackbone({
      servers: [stack.brokers.nats.url],
      credentials: { creds: stack.brokers.auth.creds.service },
      name: "test",
      inboxPrefix: `${INBOX_PREFIXES.service}_test`,
      log: silentLog,
      clock: systemClock,
    });
    try {
      const stored = await getLast(service, STREAMS.intents, SUBJECTS.intent(intentId));
      const { record, intent, bytes } = decodeIntentRecord(stored!.data);
      for (const { heard } of [cheap, dear, unwilling]) {
        expect(heard).toHaveLength(1);
        expect(heard[0]!.intent).toEqual(intent);
        expect(heard[0]!.requestId).toBe(REQUEST_ID);
        expect(heard[0]!.traceparent?.split("-")[1]).toBe(TRACE_ID);
      }
      expect(record.envelope).not.toContain(BUYER);
      expect(record.envelope).not.toContain(record.backend_id);
      expect(intent.payload.line_items[0]!.query).toBe("red running shoes");
      expect(intent.payload.context.currency).toBe("EUR");

      // Stock jose verifies it with the published keys.
      const keys = (await (await fetch(`${stack.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
      const [protectedHeader, , signature] = record.signature.split(".");
      const jws: FlattenedJWS = {
        protected: protectedHeader!,
        signature: signature!,
        payload: Buffer.from(bytes).toString("base64url"),
      };
      const verified = await flattenedVerify(jws, createLocalJWKSet(keys));
      expect(verified.protectedHeader?.["typ"]).toBe("ucp-intent+jws");
    } finally {
      await service.close();
    }
  });

  test("tells its story to the socket in the contract's order, and exactly once", () => {
    const types = live.map(({ type }) => type as string);
    expect(types[0]).toBe("INTENT_CREATED");
    expect(types.filter((type) => type === "INTENT_CREATED")).toHaveLength(1);
    expect(types.filter((type) => type === "INTENT_BROADCASTED")).toHaveLength(1);
    expect(types.filter((type) => type === "QUOTE_RECEIVED")).toHaveLength(2);
    expect(types.filter((type) => type === "DELIVERY_RETRYING")).toHaveLength(2);
    expect(types.filter((type) => type === "DELIVERY_DEAD_LETTERED")).toHaveLength(1);
    expect(types.at(-1)).toBe("INTENT_CLOSED");
    expect(types.indexOf("NODE_RESPONDED")).toBeLessThan(types.indexOf("QUOTE_RECEIVED"));
    expect(types.indexOf("DELIVERY_RETRYING")).toBeLessThan(types.indexOf("DELIVERY_DEAD_LETTERED"));
    expect(new Set(live.map(({ id }) => id)).size).toBe(live.length);
    expect(new Set(live.map(({ trace_id }) => trace_id))).toEqual(new Set([TRACE_ID]));
  });

  test("shows the same history to one who subscribes afterwards", async () => {
    const token = async () => (await backend.createToken({ buyer_id: BUYER, channels: [`intent:${intentId}`] })).token;
    const replayed = await watch(token, `intent:${intentId}`, "start");
    expect(replayed.map(({ id }) => id)).toEqual(live.map(({ id }) => id));
  });

  test("accounts for every delivery", async () => {
    const receipts = await backend.receipts(intentId);
    const standing = Object.fromEntries(
      receipts.map(({ node_id, status, attempts, final }) => [node_id, { status, attempts, final }]),
    );
    expect(standing).toEqual({
      [cheap.nodeId]: { status: "quoted", attempts: 1, final: true },
      [dear.nodeId]: { status: "quoted", attempts: 1, final: true },
      [unwilling.nodeId]: { status: "declined", attempts: 1, final: true },
      [absentId]: { status: "dead", attempts: 3, final: true },
    });
    const dead = live.find(({ type }) => type === "DELIVERY_DEAD_LETTERED")!
      .data as EventData<"DELIVERY_DEAD_LETTERED">;
    expect(dead).toMatchObject({ cause: "ack_timeout", attempts: 3, node_ids: [absentId] });
    expect(receipts.find(({ node_id }) => node_id === unwilling.nodeId)?.reason).toBe("no_inventory");
  });

  test("ends with quotes ranked by a score that anyone can recompute, and nodes that know it", async () => {
    expect(quotes.quotes.map(({ rank, node_id }) => [rank, node_id])).toEqual([
      [1, cheap.nodeId],
      [2, dear.nodeId],
    ]);
    for (const { quote, explanation } of quotes.quotes) {
      const { total, quote_type } = quote.payload;
      const again = scoreQuote({ totalMinor: total.amount_minor, quoteType: quote_type }, { budgetMinor: 9_000 });
      expect(explanation).toEqual(again.explanation);
    }
    expect((await backend.intent(intentId)).status).toBe("closed");
    for (const { notices } of [cheap, dear]) {
      expect(notices).toEqual([expect.objectContaining({ type: "quote_ranked", intent_id: intentId })]);
    }
  });
});
