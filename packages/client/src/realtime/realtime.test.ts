import { describe, expect, test } from "@jest/globals";
import { setTimeout as sleep } from "node:timers/promises";
import type { ChannelMessage } from "./channel-types.js";
import { Bench, eventually, namesOf, Reader, take } from "./realtime.fixture.js";

const bench = Bench.forEachTest();

describe("a channel", () => {
  test("is authenticated for, subscribed, and read in order", async () => {
    bench.gateway.append("OLD");
    const channel = bench.follow();
    await channel.ready();
    bench.gateway.append("INTENT_CREATED", "INTENT_BROADCASTED");
    const event = (n: number, type: string) => ({
      kind: "event",
      channel: "intent:a",
      cursor: `c${n}`,
      event: { id: `evt_${n}`, type, data: {} },
    });
    expect(await take(channel, 2)).toEqual([event(2, "INTENT_CREATED"), event(3, "INTENT_BROADCASTED")]);
    expect(bench.gateway.protocols).toEqual(["outcry.v1"]);
    expect(bench.gateway.commands).toEqual([
      { id: 0, op: "auth", token: "key" },
      { id: 1, op: "sub", ch: "intent:a" },
    ]);
  });

  test("resumes behind a cursor that was kept, and says how much came; or begins at the start", async () => {
    bench.gateway.append("A", "B", "C");
    expect(namesOf(await take(bench.follow({ from: "start" }), 3))).toEqual(["A", "B", "C"]);
    const [c, recovered] = await take(bench.follow({ cursor: "c2" }), 2);
    expect(namesOf([c!])).toEqual(["C"]);
    expect(recovered).toEqual({ kind: "recovered", channel: "intent:a", cursor: "c3", events: 1 });
    expect(await take(bench.follow({ cursor: "c3", from: "start" }), 1)).toMatchObject([
      { kind: "recovered", events: 0 },
    ]);
  });

  test("shares its connection with others, each with a place of its own", async () => {
    bench.gateway.append("A", "B");
    const realtime = bench.connect();
    const [a, b] = [
      realtime.channel("intent:a", { from: "start" }),
      realtime.channel("buyer:b", { cursor: "c1" }),
    ] as const;
    expect(namesOf(await take(a, 2))).toEqual(["A", "B"]);
    expect(namesOf(await take(b, 2))).toEqual(["B", "recovered"]);
    const later = realtime.channel("backend:c");
    await later.ready();
    bench.gateway.append("C");
    expect(namesOf(await take(later, 1))).toEqual(["C"]);
    expect(bench.gateway.connections).toBe(1);
    expect(() => realtime.channel("backend:c")).toThrow("channel_in_use");
  });

  test("loses and doubles nothing over connections that are cut, however they end", async () => {
    const channel = bench.follow({ from: "start" });
    await channel.ready();
    const ends = [
      () => bench.gateway.cutAll(),
      () => bench.gateway.closeAll(4008),
      () => bench.gateway.closeAll(1001),
      () => bench.gateway.closeAll(4012),
    ];
    const names: string[] = [];
    const reading = take(channel, 44);
    for (let round = 0; round < 4; round++) {
      await bench.opened(round + 1);
      for (let index = 0; index < 10; index++) {
        names.push(`E${round}_${index}`);
        bench.gateway.append(names.at(-1)!);
        if (index === 5) ends[round]!();
        await sleep(2);
      }
    }
    const messages = await reading;
    expect(namesOf(messages).filter((name) => name !== "recovered")).toEqual(names);
    const recovered = messages.filter((message) => message.kind === "recovered");
    expect(recovered).toHaveLength(4);
    expect(bench.gateway.connections).toBe(5);
  });

  test("that goes quiet is answered pings, and its cursor moves with the positions", async () => {
    const channel = bench.follow();
    const reader = new Reader(channel);
    await channel.ready();
    bench.gateway.broadcast({});
    bench.gateway.broadcast({ ch: "intent:a", pos: "c9" });
    bench.gateway.append("A");
    await reader.take(1);
    await eventually(() => bench.gateway.commands.some(({ op }) => op === "pong"));
    bench.gateway.broadcast({ ch: "intent:a", pos: "c12" });
    const next = reader.take(1);
    await eventually(() => channel.cursor === "c12");
    bench.gateway.append("B");
    await next;
  });

  test("says a gap out loud: on a reset, on a resume that is not proven whole, on a cursor that is not its own", async () => {
    bench.gateway.append("A");
    const channel = bench.follow({ cursor: "c0" });
    const reader = new Reader(channel);
    expect(namesOf(await reader.take(2))).toEqual(["A", "recovered"]);
    const gap = (cursor: string, reason: string) => [{ kind: "gap", channel: "intent:a", cursor, reason }];
    bench.gateway.broadcast({ ch: "intent:a", reset: { reason: "epoch", c: "c1" } });
    expect(await reader.take(1)).toEqual(gap("c1", "epoch"));

    const once = (said: Record<string, unknown>) => {
      bench.gateway.sub = () => {
        bench.gateway.sub = () => undefined;
        return said;
      };
      bench.gateway.cutAll();
    };
    once({ ok: { ch: "intent:a", c: "c5", recovered: false, reason: "trimmed" } });
    expect(await reader.take(1)).toEqual(gap("c5", "trimmed"));
    once({ err: { code: "cursor_invalid", n: 6003, retry: "never", msg: "" } });
    expect(await reader.take(1)).toEqual(gap("c1", "cursor_invalid"));
    expect(bench.gateway.commands.slice(-2)).toEqual([
      { id: 1, op: "sub", ch: "intent:a", cur: "c5" },
      { id: 2, op: "sub", ch: "intent:a" },
    ]);
  });

  test("gives an event once also where a gateway repeats it, and says that one cannot be shown", async () => {
    const channel = bench.follow();
    const reader = new Reader(channel);
    await channel.ready();
    bench.gateway.append("A");
    bench.gateway.broadcast({ ch: "intent:a", c: "c1", e: "A", d: { id: "evt_1", type: "A" } });
    bench.gateway.broadcast({ ch: "intent:a", c: "c7", e: "UNREADABLE", d: null });
    expect(namesOf(await reader.take(2))).toEqual(["A", "unreadable"]);
  });

  test("whose right was taken back ends; another goes on", async () => {
    const realtime = bench.connect();
    const [a, b] = [realtime.channel("intent:a"), realtime.channel("intent:b")];
    await Promise.all([a.ready(), b.ready()]);
    bench.gateway.broadcast({ ch: "intent:a", end: { code: "channel_forbidden" } });
    const messages: ChannelMessage[] = [];
    for await (const message of a) messages.push(message);
    expect(messages).toEqual([{ kind: "end", channel: "intent:a", code: "channel_forbidden" }]);
    bench.gateway.append("A");
    expect(namesOf(await take(b, 1))).toEqual(["A"]);
    expect(bench.gateway.connections).toBe(1);
  });

  test("ignores what it does not know: lines that are no JSON, kinds of a later version", async () => {
    const channel = bench.follow();
    await channel.ready();
    bench.gateway.broadcast(
      'nonsense\n{"ch":"intent:a","later":1}\n{"new":{}}\n[]\n7\nnull\n{"id":77,"ok":{}}\n{"id":null,"err":{}}',
    );
    bench.gateway.append("A");
    expect(namesOf(await take(channel, 1))).toEqual(["A"]);
  });
});

describe("a refusal", () => {
  const refusal = (code: string, retry: string) => ({ err: { code, n: 1, retry, msg: `told ${code}` } });

  test("of a channel is that channel's error, and not tried again; the others go on", async () => {
    bench.gateway.sub = ({ ch }) => (ch === "intent:no" ? refusal("channel_forbidden", "never") : undefined);
    const realtime = bench.connect();
    const [no, yes] = [realtime.channel("intent:no"), realtime.channel("intent:yes")];
    await expect(no.ready()).rejects.toMatchObject({
      name: "RealtimeError",
      code: "channel_forbidden",
      detail: "told channel_forbidden",
      temporary: false,
      channel: "intent:no",
    });
    await expect(take(no, 1)).rejects.toMatchObject({ code: "channel_forbidden" });
    await yes.ready();
    expect(bench.gateway.commands.filter(({ op }) => op === "sub")).toHaveLength(2);
    bench.gateway.sub = () => undefined;
    await realtime.channel("intent:no").ready(); // its name is free again
    expect(bench.gateway.connections).toBe(1);
  });

  test("that may pass is told, and tried again on the same connection", async () => {
    let refused = 0;
    bench.gateway.sub = () => (refused++ < 2 ? refusal("dependency_unavailable", "after") : undefined);
    bench.gateway.append("A");
    const channel = bench.follow({ from: "start" });
    expect(namesOf(await take(channel, 1))).toEqual(["A"]);
    expect(bench.errors).toMatchObject(
      [1, 2].map(() => ({ code: "dependency_unavailable", temporary: true, channel: "intent:a" })),
    );
    expect(bench.gateway.connections).toBe(1);
  });
});
