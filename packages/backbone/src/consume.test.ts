import { OutcryError, silentLog } from "@outcry/protocol";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { createAppender } from "./append.js";
import type { Backbone } from "./connect.js";
import { runConsumer } from "./consume.js";
import type { ConsumeOptions, RunningConsumer } from "./consume.js";
import { askJetStream } from "./jetstream.js";
import { PullInbox, ensureConsumer } from "./pull.js";
import { RetryLater } from "./retry-later.js";
import { bytes, eventually, makeStream, sleep, startNats, text } from "./nats-server.fixture.js";
import type { TestServer } from "./nats-server.fixture.js";

let server: TestServer;
let backbone: Backbone;
const running: RunningConsumer[] = [];
beforeEach(async () => {
  server = await startNats();
  backbone = await server.connect();
  await makeStream(backbone, "T", ["t.>"]);
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((consumer) => consumer.stop(100)));
  await server.remove();
});

async function fill(count: number, from = 0): Promise<void> {
  const appender = createAppender(backbone, { stream: "T" });
  await Promise.all(
    Array.from({ length: count }, (_, index) =>
      appender.append({ subject: `t.${from + index}`, data: bytes(String(from + index)) }),
    ),
  );
}

function consume(options: Partial<ConsumeOptions>, on: Backbone = backbone): RunningConsumer {
  const consumer = runConsumer(on, {
    stream: "T",
    durable: "worker",
    filters: ["t.>"],
    deliveryLimit: 3,
    ackWaitMs: 300,
    handler: () => Promise.resolve(),
    onExhausted: () => Promise.resolve(),
    log: silentLog,
    ...options,
  });
  running.push(consumer);
  return consumer;
}

async function unsettled(): Promise<number> {
  const info = await askJetStream<{ num_ack_pending: number; num_pending: number }>(backbone, "CONSUMER.INFO.T.worker");
  return info.kind === "ok" ? info.value.num_ack_pending + info.value.num_pending : -1;
}

const away = () => new OutcryError("dependency_unavailable", "redis: away");

describe("a consumer", () => {
  test("handles every message once, many at a time and never more than its concurrency", async () => {
    await fill(1_000);
    const seen: string[] = [];
    let now = 0;
    let most = 0;
    consume({
      concurrency: 32,
      handler: async ({ stored, deliveryCount }) => {
        most = Math.max(most, ++now);
        await sleep(1);
        now--;
        seen.push(`${text(stored.data)}:${deliveryCount}`);
      },
    });
    await eventually(() => seen.length === 1_000);
    await eventually(async () => (await unsettled()) === 0);
    expect(new Set(seen).size).toBe(1_000);
    expect(most).toBeGreaterThan(4);
    expect(most).toBeLessThanOrEqual(32);
  });

  test("keeps a message in hand for longer than the ack wait while its handler runs", async () => {
    await fill(1);
    const counts: number[] = [];
    consume({ handler: async ({ deliveryCount }) => (counts.push(deliveryCount), sleep(1_500)) });
    const other = consume({ handler: async ({ deliveryCount }) => void counts.push(deliveryCount) });
    await eventually(async () => (await unsettled()) === 0);
    expect(counts).toEqual([1]);
    expect(other.counters.failed).toBe(0);
  });

  test("gives a poison message its deliveries, sets it aside with the cause, and goes on with the rest", async () => {
    await fill(20);
    const done: string[] = [];
    const dead: unknown[] = [];
    const tries: number[] = [];
    let writes = 0;
    const consumer = consume({
      handler: async ({ stored, deliveryCount, isRedelivery }) => {
        if (text(stored.data) !== "7") return void done.push(text(stored.data));
        expect(isRedelivery).toBe(deliveryCount > 1);
        tries.push(deliveryCount);
        throw new Error("cannot digest 7");
      },
      onExhausted: async (stored, deliveries, cause) => {
        if (++writes < 3) throw away(); // the dead letter must be written, however long that takes
        dead.push([text(stored.data), stored.seq, deliveries, String(cause)]);
      },
    });
    await eventually(() => dead.length === 1);
    await eventually(async () => (await unsettled()) === 0);
    expect(tries).toEqual([1, 2, 3]);
    expect(dead[0]).toMatchObject(["7", expect.any(Number), 3, "Error: cannot digest 7"]);
    expect(done).toHaveLength(19);
    expect(consumer.counters).toMatchObject({ handled: 19, failed: 3, exhausted: 1 });
  });

  test("ends a message whose handler takes its process along every time, and says so", async () => {
    await fill(1);
    const dead: string[] = [];
    for (let life = 0; life < 3; life++) {
      const process = await server.connect();
      let met = false;
      const dying = consume({ handler: () => ((met = true), new Promise(() => undefined)) }, process);
      await eventually(() => met);
      await process.close(); // no ack, no nak, no more in-progress: what a kill leaves behind
      await dying.stop(0);
    }
    consume({
      handler: () => Promise.reject(new Error("must not be called")),
      onExhausted: async (_, n, cause) => void dead.push(`${n} ${String(cause)}`),
    });
    await eventually(() => dead.length === 1);
    expect(dead[0]).toContain("3 OutcryError: poison_message: 3 deliveries ended without an answer");
  });

  test("spends no delivery on an outage of a dependency: it holds the message, waits for the gate, tries again", async () => {
    await fill(5);
    let open = true;
    const waiting: (() => void)[] = [];
    const gate = () => (open ? Promise.resolve() : new Promise<void>((resolve) => void waiting.push(resolve)));
    const counts: number[] = [];
    let failing = true;
    const consumer = consume({
      gate,
      handler: async ({ deliveryCount }) => {
        if (failing) {
          open = false;
          throw away();
        }
        counts.push(deliveryCount);
      },
    });
    await eventually(() => consumer.inHand === 5);
    await sleep(1_200); // four ack waits
    expect(consumer.inHand).toBe(5);
    failing = false;
    open = true;
    for (const resume of waiting) resume();
    await eventually(() => counts.length === 5);
    expect(counts).toEqual([1, 1, 1, 1, 1]);
    await eventually(async () => (await unsettled()) === 0);
  });

  test("pulls nothing before the gate opens", async () => {
    await fill(3);
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    let handled = 0;
    consume({ gate: () => gate, handler: async () => void handled++ });
    await sleep(300);
    expect(handled).toBe(0);
    open();
    await eventually(() => handled === 3);
  });

  test("goes on after kill -9 of the server in mid-consume, without handling at the same time twice", async () => {
    await fill(600);
    const seen = new Map<number, number>();
    const now = new Set<number>();
    let twice = 0;
    let handled = 0;
    consume({
      deliveryLimit: 10,
      handler: async ({ stored }) => {
        if (now.has(stored.seq)) twice++;
        now.add(stored.seq);
        await sleep(20);
        now.delete(stored.seq);
        seen.set(stored.seq, (seen.get(stored.seq) ?? 0) + 1);
        handled++;
      },
    });
    await eventually(() => handled > 150);
    await server.kill9();
    const handledAtKill = handled;
    await sleep(700);
    await server.restart();
    await eventually(() => seen.size === 600);
    await eventually(async () => (await unsettled()) === 0);
    expect(twice).toBe(0);
    // The server writes a consumer's acks down about every 100 ms: what it forgot comes again.
    expect(handled - 600).toBeLessThanOrEqual(handledAtKill + 64);
  });

  test("is made again when it is deleted, and when its stream is replaced", async () => {
    await fill(2);
    const seen: string[] = [];
    const consumer = consume({ handler: async ({ stored }) => void seen.push(text(stored.data)) });
    await eventually(() => seen.length === 2);
    await backbone.request("$JS.API.CONSUMER.DELETE.T.worker", new Uint8Array(0));
    await eventually(() => seen.length === 4); // from the start again: at least once
    await backbone.request("$JS.API.STREAM.DELETE.T", new Uint8Array(0));
    await makeStream(backbone, "T", ["t.>"]);
    await fill(2, 100);
    await eventually(() => seen.includes("100") && seen.includes("101"), 15_000);
    expect(consumer.counters.rebuilt).toBeGreaterThanOrEqual(2);
  });

  test("finishes on stop what is in hand, and gives back what takes too long", async () => {
    await fill(2);
    let finished = 0;
    const consumer = consume({
      ackWaitMs: 5_000,
      handler: ({ stored }) =>
        text(stored.data) === "0" ? sleep(200).then(() => void finished++) : new Promise(() => undefined),
    });
    await eventually(() => consumer.inHand === 2);
    const began = Date.now();
    await consumer.stop(600);
    expect(finished).toBe(1);
    const again: string[] = [];
    consume({ ackWaitMs: 5_000, handler: async ({ stored }) => void again.push(text(stored.data)) });
    await eventually(() => again.length === 1);
    expect(again).toEqual(["1"]);
    expect(Date.now() - began).toBeLessThan(3_000); // by the nak, not by the ack wait
  });

  const inOrder = (seqs: readonly number[]) => expect(seqs).toEqual(seqs.toSorted((one, other) => one - other));

  test("begins what was given back in the order of the stream, also behind one that asked for more than there was", async () => {
    await fill(24);
    let stopped = () => undefined as void;
    const stopping = new Promise<void>((resolve) => (stopped = resolve));
    const consumer = consume({
      concurrency: 64, // its pull stays open
      ackWaitMs: 5_000,
      handler: async ({ stored }) => {
        await stopping;
        await sleep(40 * (stored.seq % 3)); // some at once, some a moment later
        throw away();
      },
    });
    await eventually(() => consumer.inHand === 24);
    const ended = consumer.stop(1_000);
    stopped();
    await ended;
    const order: number[] = [];
    consume({ ackWaitMs: 5_000, inOrder: true, handler: async ({ stored }) => void order.push(stored.seq) });
    await fill(6, 24);
    await eventually(() => order.length === 30);
    inOrder(order);
  });

  test("begins what a killed process had in hand in the order of the stream, before anything new", async () => {
    const dying = await server.connect();
    const shape = { stream: "T", durable: "worker", filters: ["t.>"], ackWaitMs: 300 };
    await ensureConsumer(dying, shape);
    await fill(24);
    const replies: string[] = [];
    const inbox = new PullInbox(dying, shape, ({ reply }) => void replies.push(reply!));
    await inbox.pull(24, new AbortController().signal);
    // Their acks run out one after another, the last one first.
    for (const reply of replies.toReversed()) {
      dying.publish(reply, bytes("+WPI"));
      await sleep(5);
    }
    await dying.close();
    await fill(6, 24);
    const handled: number[] = [];
    consume({ inOrder: true, handler: async ({ stored }) => void handled.push(stored.seq) });
    await eventually(() => handled.length === 30);
    inOrder(handled);
  });

  test("does not wait for ever for what was left behind and waits for a retry", async () => {
    await fill(1);
    let tried = false;
    const consumer = consume({
      handler: () => {
        tried = true;
        throw new RetryLater(60_000);
      },
    });
    await eventually(() => tried && consumer.inHand === 0);
    await consumer.stop();
    await fill(3, 1);
    const handled: number[] = [];
    consume({ inOrder: true, handler: async ({ stored }) => void handled.push(stored.seq) });
    await eventually(() => handled.length === 3);
    expect(handled).toEqual([2, 3, 4]);
  });

  test("stops at once when it has hardly begun", async () => {
    for (const ms of [0, 1, 5, 20]) {
      const consumer = consume({ durable: `early-${ms}` });
      if (ms > 0) await sleep(ms);
      const startedAt = performance.now();
      await consumer.stop();
      expect(performance.now() - startedAt).toBeLessThan(2_000);
    }
  });

  test("two processes share the work", async () => {
    const other = await server.connect();
    const seen: string[] = [];
    const handler =
      (name: string) =>
      async ({ stored }: { stored: { data: Uint8Array } }) => (
        await sleep(5),
        void seen.push(`${name}${text(stored.data)}`)
      );
    consume({ concurrency: 8, handler: handler("a") });
    consume({ concurrency: 8, handler: handler("b") }, other);
    await sleep(200);
    await fill(200);
    await eventually(() => seen.length === 200);
    expect(new Set(seen.map((name) => name.slice(1))).size).toBe(200);
    expect(new Set(seen.map((name) => name[0])).size).toBe(2);
  });
});
