// 50 nodes, each against all others: every subject, wildcard, inbox, reply subject and API subject that is not its own is refused
// and gains nothing, while traffic of every kind flows; who is revoked stays out, also after a restart of the server.

import { setTimeout as sleep } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, credsAuthenticator, jwtAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { type NodeCredentials, SUBJECTS } from "@outcry/protocol";
import { callAs } from "../api-calls.js";
import type { Violation } from "../faults/history.js";
import { sized } from "../faults/sizes.js";
import { eventually, type Registered } from "../in-process.js";
import { credentialsOf, RawNode } from "../raw-node.js";
import {
  askWithForgedReplies,
  foreignPublishes,
  foreignSubscriptions,
  isMark,
  listenEverywhere,
  markOf,
  publishEverywhere,
  type Spy,
  TRY,
  type Victims,
} from "./attacks.js";
import { inTurns, registerMany } from "./bare-node.js";
import { type SoakMarket, startSoakMarket } from "./soak-market.js";

const NODES = sized(6, 50);
const TRAFFIC_EVERY_MS = 250;
const ANSWERED_MS = 100; // for what a service may still be about to answer
const DIALS_MAX = 20;
const DEADLINE_MS = 600_000;
const SOAK_MS = 60_000 + 6_000 * NODES;

jest.setTimeout(SOAK_MS);

interface Member {
  registered: Registered;
  granted: NodeCredentials;
  node: RawNode;
}

let market: SoakMarket;
let watch: NatsConnection;
let members: Member[] = [];
let intent: string;
let planted: RawNode;

const marked: { subject: string; mark: string }[] = [];
const heard = new Map<string, number>();
const spy: Spy = {
  marked,
  heardOn: (subject) => heard.get(subject) ?? 0,
  async caughtUp() {
    await sleep(ANSWERED_MS);
    await watch.flush();
  },
};

beforeAll(async () => {
  // A node's answer to itself is not what is tried here: refusals of its requests must not slow it down.
  market = await startSoakMarket({ env: { OUTCRY_ACK_TIMEOUT_MS: "30000" } });
  watch = await asService("watch");
  watch.subscribe(">", { callback: (_error, { subject, data }) => hearAll(subject, data) });
  const all = await registerMany(market.place, NODES);
  members = await inTurns(all, async (registered) => {
    const granted = await credentialsOf(market.place, registered);
    return { registered, granted, node: new RawNode(registered, await dialPatiently(registered, granted)) };
  });
  planted = new RawNode(all[0]!, await asService("planted", `_INBOX.${all[0]!.id}`));
  intent = await anIntent("isolation");
  await Promise.all(members.map(({ node }) => node.hears(intent)));
}, SOAK_MS);

afterAll(async () => {
  await Promise.all(members.map(({ node }) => node.nats.close()));
  await planted?.nats.close();
  await watch?.close();
  await market?.stop();
});

function hearAll(subject: string, data: Uint8Array): void {
  const text = Buffer.from(data.subarray(0, 64)).toString("utf8");
  if (text !== TRY) heard.set(subject, (heard.get(subject) ?? 0) + 1);
  if (isMark(text)) marked.push({ subject, mark: text });
}

/** As the services: may do everything on the account. */
function asService(name: string, inboxPrefix = `_INBOX_${name}`): Promise<NatsConnection> {
  const { nats, auth } = market.stack.brokers;
  const authenticator = credsAuthenticator(new TextEncoder().encode(auth.creds.service));
  const waiting = { waitOnFirstConnect: true, timeout: 5_000, maxReconnectAttempts: -1, reconnectTimeWait: 100 };
  return connect({ servers: nats.url, name, inboxPrefix, authenticator, ...waiting });
}

function dial({ natsUser }: Registered, { nats_user_jwt, inbox_prefix }: NodeCredentials): Promise<NatsConnection> {
  return connect({
    servers: market.stack.brokers.nats.url,
    authenticator: jwtAuthenticator(nats_user_jwt, new TextEncoder().encode(natsUser.seed)),
    inboxPrefix: inbox_prefix,
    timeout: 5_000,
    reconnect: false,
  });
}

/** A busy machine may need more than one try. */
async function dialPatiently(registered: Registered, granted: NodeCredentials): Promise<NatsConnection> {
  for (let tries = 1; ; tries++) {
    try {
      return await dial(registered, granted);
    } catch (error) {
      if (tries === DIALS_MAX) throw new Error(`${registered.id} cannot connect: ${String(error)}`, { cause: error });
      await sleep(200);
    }
  }
}

async function anIntent(key: string, targets = members): Promise<string> {
  const ids = targets.map(({ registered }) => registered.id);
  return (await market.broadcast(key, ids, Date.now() + DEADLINE_MS)).accepted!.id;
}

const victimsOf = (node: RawNode): Victims => {
  const ids = members.map(({ registered }) => registered.id);
  const at = ids.indexOf(node.id);
  return { intent, others: [...ids.slice(at + 1), ...ids.slice(0, at)] };
};

/** Each node in turn, a few at a time; what any of them gained. */
async function each(attack: (node: RawNode) => Promise<Violation[]>): Promise<Violation[]> {
  return (await inTurns(members, ({ node }) => attack(node))).flat();
}

async function heads(): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for await (const { config, state } of (await jetstreamManager(watch)).streams.list())
    found[config.name] = state.last_seq;
  return found;
}

const rulesOf = (violations: readonly Violation[]) => [...new Set(violations.map(({ rule }) => rule))];

describe("every node against all others", () => {
  test("publishes nothing outside its own subjects: each try is refused, and no stream and nobody gets it", async () => {
    const [before, told] = [await heads(), members.map(({ node }) => node.heard.length)];
    const violations = await each((node) => publishEverywhere(node, foreignPublishes(node.id, victimsOf(node)), spy));
    const { length } = foreignPublishes(members[0]!.node.id, victimsOf(members[0]!.node));
    console.log(`${NODES} nodes × ${length} subjects to publish on`);
    expect(violations.slice(0, 20)).toEqual([]);
    expect(await heads()).toEqual(before);
    expect(members.map(({ node }) => node.heard.length)).toEqual(told);
  });

  test("hears nothing but its own, while intents, acks, quotes and events flow", async () => {
    const traffic = startTraffic();
    const violations = await each((node) => listenEverywhere(node, foreignSubscriptions(node.id, victimsOf(node))));
    const rounds = await traffic.stop();
    const { length } = foreignSubscriptions(members[0]!.node.id, victimsOf(members[0]!.node));
    console.log(`${NODES} nodes × ${length} subjects to listen to, twice; ${rounds} intents meanwhile`);
    expect(violations.slice(0, 20)).toEqual([]);
    expect(rounds).toBeGreaterThan(0);
  });

  test("gets no answer sent where it has no business", async () => {
    const before = await heads();
    expect((await each((node) => askWithForgedReplies(node, victimsOf(node), spy))).slice(0, 20)).toEqual([]);
    expect(await heads()).toEqual(before);
  });

  test("may use its own subjects, and is heard there alone", async () => {
    for (const { node } of members) {
      const own = [SUBJECTS.ack(node.id, intent), SUBJECTS.nodeQuote(node.id, intent)];
      own.push(SUBJECTS.heartbeat(node.id), SUBJECTS.catchup(node.id));
      for (const subject of own) node.publish(subject, markOf(node.id));
      await eventually(() => marked.filter(({ mark }) => mark === markOf(node.id)).length >= own.length);
      const arrived = marked.filter(({ mark }) => mark === markOf(node.id)).map(({ subject }) => subject);
      expect(arrived.toSorted()).toEqual(own.toSorted());
    }
  });
});

describe("a node with the service's credentials, as a plant,", () => {
  test("is found out by each of the checks", async () => {
    const victims = victimsOf(members[0]!.node);
    const subjects = [SUBJECTS.heartbeat(victims.others[0]!), SUBJECTS.nodeNotice(victims.others[0]!)];
    expect(rulesOf(await publishEverywhere(planted, subjects, spy))).toEqual([
      "publish_not_refused",
      "publish_arrived",
    ]);
    const listening = listenEverywhere(planted, ["ucp.>"]);
    await anIntent("isolation-plant");
    expect(rulesOf(await listening)).toEqual(["subscription_not_refused", "leak"]);
    const answered = async () => {
      planted.publish(`_INBOX.${victims.others[0]!}.x`, "an answer that a service was tricked into");
      return askWithForgedReplies(planted, victims, spy);
    };
    expect(rulesOf(await answered())).toEqual(["forged_answer"]);
  });
});

/** An intent to all nodes every moment; each acks it, one quotes. Returns how many there were. */
function startTraffic() {
  const stopping = new AbortController();
  let rounds = 0;
  const ended = (async () => {
    for (; !stopping.signal.aborted; rounds++) {
      const id = await anIntent(`isolation-traffic-${rounds}`);
      const said = await Promise.all(members.map(async ({ node }) => ({ node, intent: await node.hears(id) })));
      for (const one of said) one.node.ack(one.intent);
      const [{ node, intent: latest }] = said as [(typeof said)[number]];
      await node.ask(id, node.quote(latest));
      await sleep(TRAFFIC_EVERY_MS);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await ended;
      return rounds;
    },
  };
}

describe("a node that is revoked", () => {
  /** Whether the server's word on its old credentials is no; a server that is just starting has no word yet. */
  const isOut = ({ registered, granted }: Member): Promise<"out" | "in"> =>
    eventually(async () => {
      try {
        const nats = await dial(registered, granted);
        await nats.close();
        return "in";
      } catch (error) {
        return /authorization/i.test(String(error)) && "out";
      }
    });

  test("is cut off and stays out, also after a restart of the server; the others are served as before", async () => {
    const admin = callAs(market.stack.url, market.stack.adminKey);
    const [out, kept] = [members.filter((_, at) => at % 2 === 0), members.filter((_, at) => at % 2 === 1)];
    for (const [at, { registered, node }] of out.entries()) {
      const suspend = at % 2 === 0;
      const { status } = suspend
        ? await admin("POST", `/v1/nodes/${registered.id}/suspend`, { reason: "a soak" })
        : await admin("DELETE", `/v1/nodes/${registered.id}`);
      expect(status).toBe(suspend ? 200 : 204);
      await eventually(() => node.nats.isClosed(), 2_000);
    }
    expect(await inTurns(out, isOut)).toEqual(out.map(() => "out"));

    const { nats } = market.stack.brokers;
    await nats.kill9();
    await nats.restart();
    expect(await inTurns(out, isOut)).toEqual(out.map(() => "out"));
    for (const member of kept)
      member.node = new RawNode(member.registered, await dialPatiently(member.registered, member.granted));
    const id = await anIntent("isolation-after", kept);
    await Promise.all(kept.map(({ node }) => node.hears(id)));
    expect(await inTurns(out, isOut)).toEqual(out.map(() => "out"));
  });
});
