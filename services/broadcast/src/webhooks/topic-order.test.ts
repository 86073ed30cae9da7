import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { createTopicOrder } from "./topic-order.js";

test("one topic in the order asked for, others beside it, never more at a time than allowed", async () => {
  const order = createTopicOrder(4);
  const begun: Record<string, number[]> = {};
  let [now, most, together] = [0, 0, 0];
  const inTopic = new Map<string, number>();
  await Promise.all(
    Array.from({ length: 200 }, (_, nth) => {
      const topic = `t${nth % 7}`;
      return order.run(topic, async () => {
        (begun[topic] ??= []).push(nth);
        inTopic.set(topic, (inTopic.get(topic) ?? 0) + 1);
        together = Math.max(together, inTopic.get(topic)!);
        most = Math.max(most, ++now);
        await sleep(nth % 3);
        now--;
        inTopic.set(topic, inTopic.get(topic)! - 1);
      });
    }),
  );
  expect([most, together]).toEqual([4, 1]);
  for (const each of Object.values(begun)) expect(each).toEqual(each.toSorted((one, other) => one - other));
  expect(Object.values(begun).flat()).toHaveLength(200);
});

test("a failed one lets the next of its topic begin, and passes its error on", async () => {
  const order = createTopicOrder(2);
  const failed = order.run("t", () => Promise.reject(new Error("refused")));
  const next = order.run("t", () => Promise.resolve("went on"));
  await expect(failed).rejects.toThrow("refused");
  expect(await next).toBe("went on");
});

test("once closed, what has begun ends and what waits is given back", async () => {
  const order = createTopicOrder(1);
  let end: () => void = () => undefined;
  const begun = order.run("a", () => new Promise<string>((resolve) => (end = () => resolve("ended"))));
  await sleep(1);
  const behind = order.run("a", () => Promise.resolve("sent"));
  const other = order.run("b", () => Promise.resolve("sent"));
  order.close(new Error("stopping"));
  end();
  expect(await begun).toBe("ended");
  await expect(behind).rejects.toThrow("stopping");
  await expect(other).rejects.toThrow("stopping");
});
