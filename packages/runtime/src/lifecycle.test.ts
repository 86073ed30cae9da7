import { describe, expect, test } from "@jest/globals";
import { EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { silentLog, systemClock } from "@outcry/protocol";
import { createLifecycle } from "./lifecycle.js";
import { createMetrics } from "./metrics.js";
import { opsRoutes } from "./ops-routes.js";

const create = (graceMs = 5_000, log = silentLog) => createLifecycle({ log, clock: systemClock, graceMs });

describe("stopping", () => {
  test("runs the phases in order and each phase's steps last registered first, once", async () => {
    const lifecycle = create();
    const ran: string[] = [];
    for (const [phase, name] of [
      ["close", "redis"],
      ["close", "http"],
      ["unready", "readyz"],
      ["finish", "acks"],
      ["intake", "consumer"],
    ] as const) {
      lifecycle.onStop(phase, name, () => void ran.push(name));
    }
    expect(await Promise.all([lifecycle.stop("test"), lifecycle.stop("again")])).toEqual([true, true]);
    expect(ran).toEqual(["readyz", "consumer", "acks", "http", "redis"]);
  });

  test("goes on after a step that fails or hangs, and logs each with its time", async () => {
    const lines: Record<string, unknown>[] = [];
    const write = (fields: Record<string, unknown>): void => void lines.push(fields);
    const lifecycle = create(5_000, { debug: write, info: write, warn: write, error: write });
    let closed = false;
    lifecycle.onStop("intake", "hangs", () => new Promise(() => undefined), { timeoutMs: 100 });
    lifecycle.onStop("finish", "fails", () => Promise.reject(new Error("no")));
    lifecycle.onStop("close", "closes", () => void (closed = true));
    expect(await lifecycle.stop("test")).toBe(false);
    expect(closed).toBe(true);
    const steps = lines.filter((line) => "step" in line);
    expect(steps.map(({ step }) => step)).toEqual(["hangs", "fails", "closes"]);
    expect(steps.every(({ duration_ms }) => typeof duration_ms === "number")).toBe(true);
  });

  test("gives all steps together no more than the grace", async () => {
    const lifecycle = create(200);
    for (let index = 0; index < 3; index++)
      lifecycle.onStop("finish", `hangs ${index}`, () => new Promise(() => undefined));
    const startedAt = performance.now();
    await lifecycle.stop("test");
    expect(performance.now() - startedAt).toBeLessThan(3_000); // each alone would have 10 s
  });

  test("is started by a signal; a second signal ends the process at once", async () => {
    const exits: number[] = [];
    const target = Object.assign(new EventEmitter(), { exit: (code: number) => exits.push(code) });
    const lifecycle = create();
    const off = lifecycle.handleSignals(target);
    lifecycle.onStop("finish", "slow", () => sleep(100));
    target.emit("SIGTERM");
    target.emit("SIGINT");
    expect(exits).toEqual([1]);
    await lifecycle.stop("wait");
    await sleep(1);
    expect(exits).toEqual([1, 0]);
    off();
    expect(target.listenerCount("SIGTERM")).toBe(0);
  });
});

describe("the operations routes", () => {
  test("tell readiness check by check, and not ready while stopping", async () => {
    const lifecycle = create();
    const [livez, readyz] = opsRoutes({ lifecycle, metrics: createMetrics() });
    let up = false;
    lifecycle.addCheck("redis", () => ({ ok: up, detail: up ? "" : "redis is down" }));
    lifecycle.addCheck("nats", () => Promise.reject(new Error("no answer")));
    const red = await readyz!.handler();
    expect(red.status).toBe(503);
    expect(JSON.parse(red.body)).toEqual({
      status: "not_ready",
      checks: { redis: { ok: false, detail: "redis is down" }, nats: { ok: false, detail: "no answer" } },
    });
    up = true;
    lifecycle.addCheck("nats", () => ({ ok: true }));
    expect((await readyz!.handler()).status).toBe(200);
    await lifecycle.stop("test");
    expect((await readyz!.handler()).status).toBe(503);
    expect((await livez!.handler()).status).toBe(200);
  });

  test("show every metric of the table, filled at the time of the scrape", async () => {
    const metrics = createMetrics({ processMetrics: true });
    const text = opsRoutes({ lifecycle: create(), metrics }).find(({ path }) => path === "/metrics")!;
    metrics.count("outcry_intents_total", { status: "accepted" }, 2);
    metrics.observe("outcry_fanout_duration_seconds", {}, 0.003);
    metrics.onScrape(() => metrics.set("outcry_nodes", { state: "active" }, 7));
    metrics.onScrape(() => Promise.reject(new Error("nats is away")));
    const { status, contentType, body } = await text.handler();
    expect([status, contentType]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
    expect(body).toContain('outcry_intents_total{status="accepted"} 2');
    expect(body).toContain('outcry_fanout_duration_seconds_bucket{le="0.005"} 1');
    expect(body).toContain('outcry_nodes{state="active"} 7');
    expect(body).toContain("process_cpu_seconds_total");
  });
});
