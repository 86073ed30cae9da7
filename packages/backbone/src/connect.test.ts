import { OutcryError, isOutcryError } from "@outcry/protocol";
import { afterEach, describe, expect, test } from "@jest/globals";
import { encodeHeaders, foreignHeaders } from "./headers.js";
import { bytes, eventually, makeStream, sleep, startNats, text } from "./nats-server.fixture.js";
import type { TestServer } from "./nats-server.fixture.js";

let server: TestServer;
afterEach(() => server.remove());

async function rejection(work: Promise<unknown>): Promise<OutcryError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof OutcryError)) throw new Error(`expected an OutcryError, got ${String(error)}`);
  return error;
}

describe("a connection", () => {
  test("goes on after a handler that throws and one that rejects", async () => {
    server = await startNats();
    const backbone = await server.connect();
    const seen: string[] = [];
    backbone.subscribe("work", (message) => {
      const job = text(message.data);
      seen.push(job);
      if (job === "throw") throw new Error("broken");
      return job === "reject" ? Promise.reject(new Error("broken later")) : undefined;
    });
    for (const job of ["throw", "reject", "fine"]) backbone.publish("work", bytes(job));
    await eventually(() => seen.length === 3);
    expect(backbone.counters.handlerFailures).toBe(2);
    await backbone.flush();
  });

  test("is refused at once with credentials that are none, and does not say them", async () => {
    server = await startNats();
    const secret = "SU-not-a-seed";
    for (const credentials of [{ creds: secret }, { jwt: "h.b.s", seed: secret }]) {
      const begunAt = Date.now();
      const { code, detail } = await rejection(server.connect({ credentials }));
      expect(code).toBe("config_invalid");
      expect(detail).toMatch(/^nats: not /);
      expect(detail).not.toContain(secret);
      expect(Date.now() - begunAt).toBeLessThan(1_000);
    }
  });

  test("fails pending requests at once when the server dies, publishes nothing silently, and comes back by itself", async () => {
    server = await startNats();
    const backbone = await server.connect();
    backbone.subscribe("silent", () => undefined);
    const changes: boolean[] = [];
    backbone.health.onChange((up) => changes.push(up));
    const pending = rejection(backbone.request("silent", bytes("?"), { timeoutMs: 30_000 }));
    await backbone.flush();

    const killed = Date.now();
    await server.kill9();
    expect((await pending).code).toBe("dependency_unavailable");
    expect(Date.now() - killed).toBeLessThan(3_000); // of the 30 s asked for
    expect(() => backbone.publish("silent", bytes("lost"))).toThrow(OutcryError);
    expect((await rejection(backbone.request("silent", bytes("?")))).temporary).toBe(true);

    await server.restart();
    await backbone.health.whenUp();
    backbone.subscribe("echo", (message) => backbone.publish(message.reply!, message.data));
    expect(text((await backbone.request("echo", bytes("again"))).data)).toBe("again");
    expect(changes).toEqual([false, true]);
    expect(backbone.health.lastDownAt).toBeGreaterThan(0);
  });

  test("notices a paused server within four seconds, also with unsent data, and uses it again when it goes on", async () => {
    server = await startNats();
    const backbone = await server.connect();
    server.pause();
    const load = new Uint8Array(64 * 1024);
    for (let count = 0; count < 400; count++) backbone.publish("anywhere", load); // more than the socket's buffers take
    const paused = Date.now();
    await eventually(() => !backbone.health.up);
    expect(Date.now() - paused).toBeLessThan(4_000);
    expect(backbone.counters.forcedReconnects).toBe(1);
    server.resume();
    await backbone.health.whenUp();
    await backbone.flush();
  });

  test("says that nobody answers instead of waiting", async () => {
    server = await startNats();
    const backbone = await server.connect();
    const error = await rejection(backbone.request("nobody.there", bytes("?"), { timeoutMs: 30_000 }));
    expect(error.detail).toContain("nobody answers on nobody.there");
  });

  test("a wait for health ends with its signal and with the connection", async () => {
    server = await startNats();
    const backbone = await server.connect();
    await server.kill9();
    await eventually(() => !backbone.health.up);
    const abort = new AbortController();
    const aborted = rejection(backbone.health.whenUp(abort.signal));
    abort.abort();
    expect((await aborted).code).toBe("shutting_down");
    const closed = rejection(backbone.health.whenUp());
    await backbone.close();
    expect((await closed).code).toBe("shutting_down");
  });

  test("a server that is not there is named", async () => {
    server = await startNats();
    await server.kill9();
    const error = await rejection(server.connect({ firstConnectMs: 300 }));
    expect(isOutcryError(error, "dependency_unavailable")).toBe(true);
    expect(error.detail).toContain(server.url);
    await sleep(0);
  });
});

describe("headers", () => {
  test("a publisher's own Nats-Sequence does not hide the server's", async () => {
    server = await startNats();
    const backbone = await server.connect();
    await makeStream(backbone, "T", ["t.>"], { republish: { src: "t.>", dest: "live.t.>" } });
    const lines: (string | undefined)[] = [];
    const foreign: object[] = [];
    backbone.subscribe("live.>", (message) => {
      lines.push(message.headers.last("Nats-Sequence"));
      foreign.push(foreignHeaders(message.headers));
    });
    await backbone.request("t.a", bytes("x"), {
      headers: { "Nats-Sequence": "999", "nats-stream": "EVIL", "X-Request-Id": "r1" },
    });
    await eventually(() => lines.length === 1);
    expect(lines).toEqual(["1"]);
    expect(foreign).toEqual([{ "X-Request-Id": "r1" }]);
  });

  test("are encoded once for many publishes, and cannot be split by a value", async () => {
    server = await startNats();
    const backbone = await server.connect();
    const headers = encodeHeaders({ "Outcry-Attempt": "1", traceparent: "00-ü-01" });
    const seen: object[] = [];
    backbone.subscribe("n.*", (message) => void seen.push(message.headers.fields()));
    for (const node of ["a", "b"]) backbone.publish(`n.${node}`, bytes("x"), { headers });
    await eventually(() => seen.length === 2);
    expect(seen[1]).toEqual({ "Outcry-Attempt": "1", traceparent: "00-ü-01" });
    expect(() => encodeHeaders({ a: "b\r\nNats-Msg-Id: 1" })).toThrow("malformed");
  });
});
