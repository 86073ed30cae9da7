// What the services say to a configuration or a server that could not keep their promises, and that they speak TLS when told to.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { createRequire } from "node:module";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Brokers, startBrokers } from "@outcry/dev";
import { createNode } from "@outcry/node";
import { systemClock } from "@outcry/protocol";
import { pickPort } from "@outcry/servers";
import { Redis } from "ioredis";
import { newDataDir, startTestBrokers } from "./processes.js";

const TLS = path.resolve(import.meta.dirname, "../fixtures/tls");
const resolve = createRequire(import.meta.url).resolve;
const mainOf = (service: string): string => path.join(path.dirname(resolve(`@outcry/${service}`)), "main.js");

let dataDir: string;
let brokers: Brokers;

beforeAll(async () => {
  dataDir = newDataDir();
  brokers = await startTestBrokers(dataDir);
});

afterAll(async () => {
  await brokers.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

const baseEnv = () => ({
  PATH: process.env["PATH"] ?? "",
  OUTCRY_DATA_DIR: dataDir,
  OUTCRY_NATS_URL: brokers.nats.url,
  OUTCRY_REDIS_URL: brokers.redis.url,
  OUTCRY_NATS_AUTH_DIR: brokers.authDir,
  OUTCRY_PORT: "0",
});

interface Ended {
  code: number | null;
  output: string;
}

/** Runs a service until it ends by itself, or until it prints `until`; then it is stopped in order. */
async function run(service: string, env: Record<string, string>, until = "\u0000"): Promise<Ended> {
  const child = spawn(process.execPath, [mainOf(service)], {
    env: { ...baseEnv(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      const before = output.includes(until);
      output += text;
      if (!before && output.includes(until)) child.kill("SIGTERM"); // a second signal would force the stop
    });
  }
  const deadline = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const [code] = (await once(child, "exit")) as [number | null];
  clearTimeout(deadline);
  return { code, output };
}

describe("a service refuses to start", () => {
  test("when Redis would forget what it answered, and names the line to change", async () => {
    const redis = new Redis(brokers.redis.url);
    try {
      await redis.config("SET", "appendfsync", "everysec");
      const { code, output } = await run("broadcast", {});
      expect(code).toBe(1);
      expect(output).toContain("appendfsync is everysec, must be always");
      expect(output).toContain("→ appendfsync always");
    } finally {
      await redis.config("SET", "appendfsync", "always");
      redis.disconnect();
    }
  });

  test("when nats-server does not sync each write; a development flag allows it, loudly", async () => {
    const folder = newDataDir();
    const port = await pickPort(0);
    const config = readFileSync(brokers.nats.configFile, "utf8")
      .replaceAll(String(brokers.nats.port), String(port))
      .replace(/^\s*http:.*$/m, "")
      .replace(/sync_interval: always,?/, "")
      .replaceAll(path.join(dataDir, "nats", "jetstream"), path.join(folder, "jetstream"));
    const file = path.join(folder, "nats.conf");
    writeFileSync(file, config);
    const server = spawn(process.env["OUTCRY_NATS_SERVER"] ?? "nats-server", ["-c", file], { stdio: "ignore" });
    try {
      const env = { OUTCRY_NATS_URL: `nats://127.0.0.1:${port}` };
      const refused = await run("intake", env);
      expect(refused.code).toBe(1);
      expect(refused.output).toContain("jetstream.sync_interval is not always, must be always");
      expect(refused.output).toContain("jetstream { sync_interval: always }");

      const allowed = await run("intake", { ...env, OUTCRY_ALLOW_UNKEPT_PROMISES: "true" }, '"msg":"started"');
      expect(allowed.code).toBe(0);
      expect(allowed.output).toContain("DEVELOPMENT ONLY: a promise cannot be kept");
    } finally {
      server.kill("SIGKILL");
      await once(server, "exit");
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("on an address that others reach without TLS, unless a flag says that a proxy has it", async () => {
    const refused = await run("broadcast", { OUTCRY_HOST: "0.0.0.0" });
    expect(refused.code).toBe(1);
    expect(refused.output).toContain("OUTCRY_TLS_CERT_FILE");
    const allowed = await run(
      "broadcast",
      { OUTCRY_HOST: "0.0.0.0", OUTCRY_ALLOW_PLAINTEXT: "true" },
      '"msg":"started"',
    );
    expect(allowed.code).toBe(0);
  });

  test("and lists every mistake of the configuration at once", async () => {
    const { code, output } = await run("broadcast", {
      OUTCRY_ATTEMPTS_MAX: "0",
      OUTCRY_PROT: "7070",
      OUTCRY_LOG_LEVEL: "inof",
    });
    expect(code).toBe(1);
    expect(output).toContain("OUTCRY_ATTEMPTS_MAX");
    expect(output).toContain("did you mean OUTCRY_PORT?");
    expect(output).toContain("did you mean info?");
  });

  test("when a key file can be read by others", async () => {
    const file = path.join(brokers.authDir, "service.creds");
    const { chmodSync } = await import("node:fs");
    chmodSync(file, 0o644);
    try {
      const { code, output } = await run("broadcast", {});
      expect(code).toBe(1);
      expect(output).toContain(`chmod 600 ${file}`);
    } finally {
      chmodSync(file, 0o600);
    }
  });
});

describe("TLS by configuration", () => {
  test("HTTP and NATS both speak it, and a node joins and is heard through it", async () => {
    const folder = newDataDir();
    const natsTls = { certFile: path.join(TLS, "server.pem"), keyFile: path.join(TLS, "server.key") };
    const secure = await startBrokers({
      dataDir: folder,
      natsPort: 0,
      redisPort: 0,
      servers: {
        natsServer: { path: process.env["OUTCRY_NATS_SERVER"] ?? "nats-server", version: "", source: "" },
        redisServer: { path: process.env["OUTCRY_REDIS_SERVER"] ?? "redis-server", version: "", source: "" },
      },
      progress: () => undefined,
      clock: systemClock,
      onUnexpectedExit: () => undefined,
      natsTls,
    });
    const port = await pickPort(0);
    const child = spawn(process.execPath, [mainOf("broadcast")], {
      env: {
        ...baseEnv(),
        OUTCRY_DATA_DIR: folder,
        OUTCRY_NATS_URL: secure.nats.url,
        OUTCRY_NATS_TLS_CA_FILE: path.join(TLS, "ca.pem"),
        OUTCRY_REDIS_URL: secure.redis.url,
        OUTCRY_NATS_AUTH_DIR: secure.authDir,
        OUTCRY_PORT: String(port),
        OUTCRY_TLS_CERT_FILE: natsTls.certFile,
        OUTCRY_TLS_KEY_FILE: natsTls.keyFile,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    try {
      const until = Date.now() + 20_000;
      while (!output.includes('"msg":"listening"') && Date.now() < until)
        await new Promise((later) => setTimeout(later, 50));
      expect(secure.nats.url).toMatch(/^tls:/);
      const adminKey = /Admin key [^:]*: (\S+)/.exec(output)?.[1] ?? "";
      const url = `https://localhost:${port}`;
      const secureFetch = fetchWithCa(readFileSync(path.join(TLS, "ca.pem"), "utf8"));
      const invite = (await (
        await secureFetch(`${url}/v1/invites`, {
          method: "POST",
          headers: { authorization: `Bearer ${adminKey}`, "content-type": "application/json" },
          body: "{}",
        })
      ).json()) as { invite: string };
      const node = createNode({
        url,
        fetch: secureFetch,
        stateDir: path.join(folder, "node"),
        invite: invite.invite,
        registration: { name: "secure", categories: ["*"], regions: ["*"] },
        tls: { caFile: path.join(TLS, "ca.pem") },
      }).onIntent((_intent, context) => context.decline("pass"));
      const { nodeId } = await node.start();
      expect(nodeId).toMatch(/^nod_/);
      expect(node.health().connected).toBe(true);
      await node.drain();
    } finally {
      child.kill("SIGTERM");
      await once(child, "exit");
      await secure.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** Node's fetch takes no CA of its own: the same over node:https. */
function fetchWithCa(ca: string): typeof fetch {
  return ((url: string, init: RequestInit = {}) =>
    new Promise<Response>((settle, fail) => {
      const sent = request(
        url,
        { method: init.method ?? "GET", ca, headers: Object.fromEntries(new Headers(init.headers)) },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on("data", (chunk: Buffer) => chunks.push(chunk));
          answer.on("end", () => {
            const headers = Object.entries(answer.headers).map(([name, value]): [string, string] => [
              name,
              String(value),
            ]);
            settle(new Response(Buffer.concat(chunks), { status: answer.statusCode ?? 0, headers }));
          });
        },
      );
      sent.on("error", fail);
      sent.end(typeof init.body === "string" ? init.body : undefined);
    })) as typeof fetch;
}
