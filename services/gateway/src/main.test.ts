// The service as a process of its own, as production runs it.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { newId } from "@outcry/protocol";
import { pickPort } from "@outcry/servers";
import { createKey, eventually, Socket, startWorld, type World } from "./service.fixture.js";

let world: World;
let child: ChildProcess;
let url: string;

beforeAll(async () => {
  world = await startWorld();
  const port = await pickPort(0);
  url = `http://127.0.0.1:${port}`;
  const env = {
    PATH: process.env["PATH"],
    OUTCRY_PORT: String(port),
    OUTCRY_NATS_URL: world.natsUrl,
    OUTCRY_NATS_AUTH_DIR: world.authDir,
    OUTCRY_DATA_DIR: world.dir,
  };
  child = spawn(process.execPath, [fileURLToPath(new URL("main.js", import.meta.url))], { env, stdio: "ignore" });
  await eventually(async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200);
}, 30_000);
afterAll(async () => {
  if (child.exitCode === null) child.kill("SIGKILL");
  await world.remove();
});

describe("the gateway process", () => {
  test("serves health, metrics and sockets, and stops in order on SIGTERM", async () => {
    const key = await createKey(world, "backend");
    const socket = await Socket.open(url, key.secret);
    const intent = newId("int");
    expect(await socket.sub(`intent:${intent}`, { from: "start" })).toBe("ok");
    await world.tell(key.backendId, undefined, intent, 3);
    await eventually(() => socket.numbers(`intent:${intent}`).length === 1);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toContain('outcry_ws_connections{role="backend"} 1');
    expect(metrics).toContain('outcry_ws_resume_total{result="full"} 1');

    child.kill("SIGTERM");
    const [code] = (await once(child, "exit")) as [number];
    expect(code).toBe(0);
    await eventually(() => socket.closed !== undefined);
    expect(socket.closed).toBe(1012);
  }, 30_000);
});
