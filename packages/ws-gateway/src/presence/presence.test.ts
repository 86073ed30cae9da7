// Presence over processes on one real NATS (docs/gateway-protocol.md §12).

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import type { Backbone } from "@outcry/backbone";
import { type PresMembers, startGateway, TestClient, type TestGateway } from "../engine.fixture.js";
import { MemorySource } from "../log/memory-source.fixture.js";
import type { GatewayLimits } from "../limits.js";
import { eventually, startTestNats, type TestNats } from "../nats-server.fixture.js";
import { natsBus, type ProcessBus } from "./process-bus.js";

const LIMITS = {
  presenceFlushMs: 10,
  presenceBeatMs: 50,
  presenceDeadMs: 60_000,
  presenceLingerMs: 60_000,
  presenceCountMs: 50,
  sweepMs: 20,
};

let nats: TestNats;
let backbone: Backbone;
const gateways: TestGateway[] = [];
const clients: TestClient[] = [];

beforeAll(async () => {
  nats = await startTestNats();
  backbone = await nats.connect();
}, 30_000);

afterEach(async () => {
  for (const client of clients.splice(0)) client.ws.terminate();
  for (const gateway of gateways.splice(0)) await gateway.stop();
});

afterAll(() => nats.remove());

async function gatewayWith(limits: Partial<GatewayLimits> = {}, bus: ProcessBus = natsBus(backbone)) {
  const gateway = await startGateway(new MemorySource(), { bus, limits: { ...LIMITS, ...limits } });
  gateways.push(gateway);
  return gateway;
}

async function open({ url }: TestGateway, name: string): Promise<TestClient> {
  const client = await TestClient.open(url, name);
  clients.push(client);
  return client;
}

const CH = "group:g";

/** Present, with what it says of itself. */
async function present(gateway: TestGateway, name: string, info: object = {}): Promise<TestClient> {
  const client = await open(gateway, name);
  expect((await client.subscribe(CH, { track: info })).err).toBeUndefined();
  return client;
}

/** Sees who is there, as a user interface would keep it. */
async function watcher(gateway: TestGateway, name = "watcher") {
  const client = await open(gateway, name);
  expect((await client.subscribe(CH, { presence: true })).err).toBeUndefined();
  const said = () => client.heard.flatMap(({ pres }) => (pres === undefined ? [] : [pres]));
  const members = (): Map<string, Map<string, object>> => {
    const all = new Map<string, Map<string, object>>();
    for (const { state, joins, leaves } of said()) {
      if (state !== undefined) all.clear();
      eachMeta({ ...(state ?? joins) }, (member, ref, info) =>
        all.set(member, (all.get(member) ?? new Map<string, object>()).set(ref, info)),
      );
      eachMeta({ ...leaves }, (member, ref) => {
        all.get(member)?.delete(ref);
        if (all.get(member)?.size === 0) all.delete(member);
      });
    }
    return all;
  };
  const names = () => [...members().keys()].toSorted().join(" ");
  return { client, said, members, names };
}

function eachMeta(members: PresMembers, what: (member: string, ref: string, info: object) => void): void {
  for (const [member, metas] of Object.entries(members)) for (const { ref, info } of metas) what(member, ref, info);
}

describe.each(["one process", "two processes"])("presence in %s", (where) => {
  let here: TestGateway;
  let there: TestGateway;
  beforeEach(async () => {
    here = await gatewayWith();
    there = where === "one process" ? here : await gatewayWith();
  });

  test("12.1: a watcher sees everyone first, then who comes and goes", async () => {
    await present(there, "alice", { name: "Alice" });
    const { names, members, said } = await watcher(here);
    await eventually(() => names() === "alice");
    expect([...members().get("alice")!.values()]).toEqual([{ name: "Alice" }]);
    const bob = await present(there, "bob");
    await eventually(() => names() === "alice bob");
    await bob.command({ op: "untrack", ch: CH });
    await eventually(() => names() === "alice");
    expect(said()[0]).toHaveProperty("state");
  });

  test("12.2: metadata that changes is one change, in which the member is never away", async () => {
    const alice = await present(there, "alice", { typing: false });
    const { said, members, names } = await watcher(here);
    await eventually(() => names() === "alice");
    await alice.command({ op: "track", ch: CH, info: { typing: true } });
    await eventually(() =>
      [...(members().get("alice")?.values() ?? [])].some((info) => "typing" in info && info.typing),
    );
    const [change] = said().filter(({ joins }) => joins !== undefined);
    expect(Object.keys(change!.joins!)).toEqual(["alice"]);
    expect(Object.keys(change!.leaves!)).toEqual(["alice"]);
  });

  test("12.3: a connection that breaks and comes back is no leave", async () => {
    const alice = await present(there, "alice");
    const { said, members, names } = await watcher(here);
    await eventually(() => names() === "alice");
    const [before] = members().get("alice")!.keys();
    await alice.close();
    await present(there, "alice");
    await eventually(() => !members().get("alice")!.has(before!));
    expect(names()).toBe("alice");
    for (const { joins, leaves } of said()) if (leaves && "alice" in leaves) expect(joins).toHaveProperty("alice");
  });

  test("12.3: leaving the channel is a leave at once, for all of the member's connections alone", async () => {
    const [one, other] = [await present(there, "alice"), await present(there, "alice")];
    const { members, names } = await watcher(here);
    await eventually(() => members().get("alice")?.size === 2);
    await one.command({ op: "unsub", ch: CH });
    await eventually(() => members().get("alice")?.size === 1);
    await other.command({ op: "unsub", ch: CH });
    await eventually(() => names() === "");
  });
});

describe("presence", () => {
  test("12.3: a connection that does not come back has left when the linger is over", async () => {
    const gateway = await gatewayWith({ presenceLingerMs: 100 });
    const alice = await present(gateway, "alice");
    const { names } = await watcher(gateway);
    await eventually(() => names() === "alice");
    await alice.close();
    await eventually(() => names() === "");
  });

  test("12.3: who comes back to another process is at no time away", async () => {
    const [one, other] = [await gatewayWith(), await gatewayWith()];
    const alice = await present(one, "alice");
    const { said, members, names } = await watcher(other);
    await eventually(() => names() === "alice");
    const [before] = members().get("alice")!.keys();
    await alice.close();
    await present(other, "alice");
    await eventually(() => members().get("alice")?.size === 1 && !members().get("alice")!.has(before!));
    let count = 0;
    // The other process may not have heard of her when its watcher came.
    const isHere = said().findIndex(({ state, joins }) => "alice" in { ...state, ...joins });
    for (const { state, joins, leaves } of said().slice(isHere)) {
      count += [state, joins].reduce((sum, all) => sum + (all?.["alice"]?.length ?? 0), 0);
      count -= leaves?.["alice"]?.length ?? 0;
      expect(count).toBeGreaterThan(0);
    }
  });

  test("12.3: a connection that is known to be gone only after its member is back lingers no more", async () => {
    const [one, other] = [await gatewayWith({ pingMs: 100, pongMs: 200 }), await gatewayWith()];
    const alice = await present(one, "alice");
    const { members, names } = await watcher(other);
    await eventually(() => names() === "alice");
    const [before] = members().get("alice")!.keys();
    alice.answering = false; // as behind a cable that was pulled
    await present(other, "alice");
    await eventually(() => members().get("alice")?.size === 2);
    await eventually(() => members().get("alice")?.size === 1 && !members().get("alice")!.has(before!));
  });

  test("12.4: a process that dies takes its members with it; one that stops in order leaves them lingering", async () => {
    const bus = natsBus(backbone);
    const cut = {
      ...bus,
      up: true,
      publish: (subject: string, data: Uint8Array) => isCut || bus.publish(subject, data),
    };
    let isCut = false;
    const dying = await gatewayWith({}, cut);
    const stopping = await gatewayWith();
    const staying = await gatewayWith({ presenceDeadMs: 200, presenceLingerMs: 300 });
    await present(dying, "alice");
    await present(stopping, "bob");
    const { names, said } = await watcher(staying);
    await eventually(() => names() === "alice bob");
    isCut = true;
    await stopping.stop();
    gateways.splice(gateways.indexOf(stopping), 1);
    await eventually(() => names() === "bob" || names() === "");
    await eventually(() => names() === "");
    expect(said().some(({ leaves }) => leaves !== undefined && "alice" in leaves)).toBe(true);
  });

  test("12.4: a lost message is found out, and everything said again", async () => {
    const bus = natsBus(backbone);
    let lost = 0;
    const lossy: ProcessBus = {
      ...bus,
      up: true,
      publish(subject, data) {
        if (Buffer.from(data).includes('"change"') && lost++ === 0) return;
        bus.publish(subject, data);
      },
    };
    const [one, other] = [await gatewayWith({}, lossy), await gatewayWith()];
    const { names } = await watcher(other);
    await present(one, "alice");
    await eventually(() => names() === "alice");
    expect(lost).toBeGreaterThan(0);
    await present(one, "bob");
    await eventually(() => names() === "alice bob");
  });

  test("12.4: a process that was cut off from NATS catches up on both sides", async () => {
    const [one, other] = [await gatewayWith(), await gatewayWith()];
    const { names } = await watcher(other);
    await present(one, "alice");
    await eventually(() => names() === "alice");
    await nats.kill9();
    await present(one, "bob");
    await nats.restart();
    await eventually(() => names() === "alice bob", 20_000);
  });

  test("12.5: above the limit only how many there are is told, below it everyone again", async () => {
    const gateway = await gatewayWith({ presenceMembersMax: 3, presenceLingerMs: 0 });
    const { said, names } = await watcher(gateway);
    const all = await Promise.all(["a", "b", "c", "d", "e"].map((name) => present(gateway, name)));
    await eventually(() => said().at(-1)?.count === 5);
    const late = await watcher(gateway, "late");
    await eventually(() => late.said().length > 0);
    expect(late.said()[0]).toEqual({ count: 5 });
    expect((await late.client.command({ op: "presence", ch: CH })).ok).toEqual({ count: 5 });
    for (const client of all.slice(2)) await client.close();
    await eventually(() => names() === "a b");
    const [counted, named] = [said().findLastIndex((each) => each.count), said().findLastIndex((each) => each.state)];
    expect(named).toBeGreaterThan(counted);
  });

  test("12.6: is asked for once with `presence`, and shown to nobody who may not see it", async () => {
    const gateway = await gatewayWith();
    const alice = await present(gateway, "alice", { n: 1 });
    expect((await alice.command({ op: "presence", ch: CH })).ok).toEqual({
      state: { alice: [{ ref: expect.any(String), info: { n: 1 } }] },
    });
    for (const more of [{ presence: true }, { track: {} }])
      expect((await alice.subscribe("one:shy", more)).err?.code).toBe("permission_denied");
    expect((await alice.subscribe("one:shy")).err).toBeUndefined();
    for (const command of [{ op: "presence" }, { op: "track", info: {} }, { op: "hint", kind: "typing" }])
      expect((await alice.command({ ...command, ch: "one:shy" })).err?.code).toBe("permission_denied");
    for (const command of [{ op: "presence" }, { op: "track", info: {} }, { op: "untrack" }])
      expect((await alice.command({ ...command, ch: "one:other" })).err?.code).toBe("frame_invalid");
  });

  test.each([
    ["no object", [1]],
    ["more than a kilobyte", { text: "x".repeat(1_100) }],
    ["a member of Phoenix's own", { phx_ref: "x" }],
  ])("12.6: metadata that is %s is refused", async (_what, info) => {
    const gateway = await gatewayWith();
    const alice = await open(gateway, "alice");
    await alice.subscribe(CH);
    expect((await alice.command({ op: "track", ch: CH, info })).err?.code).toBe("frame_invalid");
    expect((await alice.subscribe(CH, { track: info })).err?.code).toBe("frame_invalid");
  });

  test("12.6: a member may be called __proto__ or constructor", async () => {
    const gateway = await gatewayWith();
    const { said } = await watcher(gateway);
    await present(gateway, "__proto__", { n: 1 });
    await present(gateway, "constructor", { n: 2 });
    const told = () => said().flatMap(({ joins }) => Object.keys(joins ?? {}));
    await eventually(() => told().length === 2);
    expect(told().toSorted()).toEqual(["__proto__", "constructor"]);
    expect(({} as { n?: number }).n).toBeUndefined();
  });

  test("12.6: a watcher that reads slowly is told everything anew when there is room", async () => {
    const gateway = await gatewayWith({ queueBytesMax: 20_000, stallMs: 60_000, commandsBurst: 20_000 });
    const { client, names } = await watcher(gateway);
    const text = "x".repeat(900);
    const others = await Promise.all(Array.from({ length: 40 }, (_, n) => present(gateway, `m${n}`, { text })));
    await eventually(() => names().split(" ").length === 40);
    client.ws.pause();
    for (let n = 0; gateway.engine.queueBytes < 15_000; n++) {
      await Promise.all(others.map((each) => each.command({ op: "track", ch: CH, info: { n, text } })));
    }
    await Promise.all(others.map((each) => each.command({ op: "untrack", ch: CH })));
    const bob = await present(gateway, "bob");
    await bob.command({ op: "untrack", ch: CH });
    await present(gateway, "carol");
    client.ws.resume();
    await eventually(() => names() === "carol");
  }, 60_000);
});
