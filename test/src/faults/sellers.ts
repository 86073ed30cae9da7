// The nodes of a fault test. Each has one manner; what it was told about its quotes is kept for the checker.

import { mkdirSync } from "node:fs";
import path from "node:path";
import { createUser } from "@nats-io/nkeys";
import { connect, type Msg, type NatsConnection } from "@nats-io/transport-node";
import { createNode, type HandlerResult, type IntentHandler, type SellerNode } from "@outcry/node";
import { buildAck, canonicalize, digestOf, type NodeCredentials, SUBJECTS } from "@outcry/protocol";
import { natsAuthenticator } from "@outcry/signing";
import { seeded } from "./sizes.js";

/**
 * `ackOnly` never quotes; `tardy` takes a moment for its ack, longer than the ack timeout; `late` answers from the second
 * attempt on; `back` accepts when its delivery has just been called dead; `silent` never answers at all.
 */
export type Manner = "quote" | "twoQuotes" | "decline" | "slow" | "ackOnly" | "tardy" | "late" | "back" | "silent";
const BARE = new Set<Manner>(["tardy", "late", "back", "silent"]);
const UNHEALTHY = new Set<Manner>(["late", "back", "silent"]);
const BACK_FROM = 3; // the last attempt
const TARDY_MS = 1_300;
const CONCURRENCY = 1_000; // slow is the single answer: a queue in front of it would time out under a burst, and rightly

export interface StoredReport {
  intentId: string;
  nodeId: string;
  quoteId: string;
  digest: string;
}

export interface Seller {
  readonly nodeId: string;
  readonly manner: Manner;
  /** Its delivery must never be called dead. */
  readonly healthy: boolean;
  /** Quotes that it was told are stored. */
  readonly stored: StoredReport[];
  stop(): Promise<void>;
}

export interface SellerDeps {
  url: string;
  invite: () => Promise<string>;
  dataDir: string;
  seed: number;
}

export async function startSeller(deps: SellerDeps, name: string, manner: Manner): Promise<Seller> {
  const stateDir = path.join(deps.dataDir, "sellers", name);
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const natsSeed = new TextDecoder().decode(createUser().getSeed());
  let credentials: NodeCredentials | undefined;
  const node = createNode({
    url: deps.url,
    stateDir,
    natsSeed,
    invite: await deps.invite(),
    registration: { name, categories: ["*"], regions: ["*"] },
    concurrency: CONCURRENCY,
    // Its own credentials are what a bare connection of the same node needs.
    fetch: async (input, init) => {
      const response = await fetch(input, init);
      const body = response.ok ? ((await response.clone().json()) as Partial<NodeCredentials>) : {};
      if (body.nats_user_jwt !== undefined) credentials = body as NodeCredentials;
      return response;
    },
  });
  const stored: StoredReport[] = [];
  node.onIntent(handlerOf(manner, seeded(deps.seed)));
  const { nodeId } = await node.start();
  node.on("quote", ({ intentId, quoteId, outcome }) => {
    if (outcome.kind === "stored") stored.push({ intentId, nodeId, quoteId, digest: outcome.digest });
  });
  const stop = BARE.has(manner) ? await replaceByBare(node, manner, credentials!, natsSeed) : () => drain(node);
  return { nodeId, manner, healthy: !UNHEALTHY.has(manner), stored, stop };
}

async function drain(node: SellerNode): Promise<void> {
  await node.drain({ timeoutMs: 500 });
}

function handlerOf(manner: Manner, random: () => number): IntentHandler {
  const price = () => ({ amountMinor: 1_000 + Math.floor(random() * 9_000) });
  return async (_intent, context): Promise<HandlerResult> => {
    if (manner === "quote") return context.quote(price());
    if (manner === "twoQuotes") return [context.quote(price()), context.quote(price())];
    if (manner === "slow") {
      await sleepUnlessAborted(300 + random() * 1_500, context.signal);
      return context.quote(price());
    }
    if (manner === "ackOnly") await sleepUnlessAborted(context.remainingMs() + 5_000, context.signal);
    return context.decline("no_inventory");
  };
}

function sleepUnlessAborted(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}

/** A bare connection in the node's name: it answers as the SDK never would. */
async function replaceByBare(node: SellerNode, manner: Manner, credentials: NodeCredentials, seed: string) {
  await drain(node);
  if (manner === "silent") return async () => undefined;
  const { node_id: nodeId, nats_urls: servers, nats_user_jwt: jwt, inbox_prefix: inboxPrefix } = credentials;
  const connection = await connect({
    servers,
    inboxPrefix,
    authenticator: natsAuthenticator(() => jwt, seed),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 200,
    ignoreAuthErrorAbort: true,
  });
  connection.subscribe(SUBJECTS.nodeIntent(nodeId), {
    callback: (_error, message) => {
      const attempt = Number(message.headers?.get("Outcry-Attempt"));
      const say = (status: "accepted" | "declined") => answer(connection, nodeId, message, attempt, status);
      if (manner === "tardy") setTimeout(say, TARDY_MS, "declined").unref();
      else if (manner === "back" && attempt >= BACK_FROM) setTimeout(say, TARDY_MS, "accepted").unref();
      else if (manner === "late" && attempt >= 2) say("declined");
    },
  });
  await connection.flush();
  return () => connection.close();
}

function answer(
  connection: NatsConnection,
  nodeId: string,
  message: Msg,
  attempt: number,
  status: "accepted" | "declined",
): void {
  if (connection.isClosed()) return;
  const { id } = message.json<{ id: string }>();
  const ack = buildAck(digestOf(message.data), attempt, status, status === "declined" ? "capacity" : undefined);
  connection.publish(SUBJECTS.ack(nodeId, id), canonicalize(ack)); // dropped while the connection is down
}
