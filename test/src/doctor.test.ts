// outcry doctor against a healthy deployment, and against servers that break a promise: each finding names the line that mends it.

import { chmodSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { throwawayNats, throwawayRedis } from "@outcry/servers";
import { CliWorld } from "./outcry-commands.js";

let world: CliWorld;
const cleanUps: (() => Promise<void>)[] = [];

beforeAll(async () => {
  world = await CliWorld.start();
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});
afterAll(() => world?.stop());

interface Finding {
  check: string;
  status: string;
  found: string;
  wanted?: string;
  fix?: string;
}

async function doctor(...more: string[]) {
  const ran = await world.outcry(["doctor", "--json", ...more]);
  return { code: ran.code, findings: ran.lines() as unknown as Finding[] };
}
const whole = () => [
  "--data-dir",
  world.dataDir,
  "--nats-url",
  world.stack.servers.natsUrl,
  "--redis-url",
  world.stack.servers.redisUrl,
];
const failed = ({ findings }: { findings: Finding[] }) => findings.filter(({ status }) => status === "fail");

describe("outcry doctor", () => {
  test("finds nothing to mend in what npm start runs, and looks at everything", async () => {
    const ran = await doctor(...whole());
    expect(failed(ran)).toEqual([]);
    expect(ran.code).toBe(0);
    const checks = ran.findings.map(({ check, status }) => `${status} ${check}`);
    expect(checks).toEqual(
      expect.arrayContaining([
        "ok node.version",
        "ok api.reachable",
        "ok api.clock",
        "ok api.key",
        "ok keys.published",
        "ok gateway.reachable",
        "ok nats.connect.service",
        "ok nats.server",
        "ok nats.stream.INTENTS",
        "ok nats.stream.KV_nodes",
        "ok redis.connect",
        "ok redis.promises",
        "ok files.modes",
        "ok keys.signing",
      ]),
    );
    expect(checks.filter((line) => line.startsWith("skip"))).toEqual([]);
  });

  test("says what it did not look at, and how to let it", async () => {
    const ran = await doctor();
    expect(ran.code).toBe(0);
    expect(ran.findings.filter(({ status }) => status === "skip").map(({ check }) => check)).toEqual(["nats", "redis"]);
    const text = await world.outcry(["doctor"]);
    expect(text.out).toMatch(/\n\d+ ok, 0 to watch, 0 to mend, 2 not looked at\n$/);
  });

  test("names each setting of Redis that breaks a promise, and the line for its configuration", async () => {
    const redis = await throwawayRedis({ extraConfig: "appendfsync everysec\nmaxmemory-policy allkeys-lru" });
    cleanUps.push(redis.remove);
    const ran = await doctor("--redis-url", redis.url);
    expect(ran.code).toBe(6);
    expect(failed(ran)).toEqual([
      expect.objectContaining({ check: "redis.appendfsync", wanted: "always", fix: "appendfsync always" }),
      expect.objectContaining({ check: "redis.maxmemory-policy", fix: "maxmemory-policy noeviction" }),
    ]);
  });

  test("says which subjects no stream covers, and that sync_interval is not always", async () => {
    const nats = await throwawayNats({ extraConfig: "jetstream { sync_interval: 2m }" });
    cleanUps.push(nats.remove);
    const ran = await doctor("--nats-url", nats.url, "--nats-monitor-url", nats.monitorUrl);
    expect(ran.code).toBe(6);
    expect(failed(ran)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ check: "nats.sync_interval", fix: "jetstream { sync_interval: always }" }),
        expect.objectContaining({ check: "nats.stream.INTENTS", found: "no stream covers ucp.v1.intent.>" }),
      ]),
    );
  });

  test("tells an address where nobody listens from credentials that are refused", async () => {
    const nobody = failed(await doctor("--nats-url", "nats://127.0.0.1:9", "--redis-url", "redis://127.0.0.1:9"));
    expect(nobody.map(({ check }) => check)).toEqual(["nats.connect.service", "redis.connect"]);
    expect(nobody.find(({ check }) => check === "nats.connect.service")!.fix).toContain("nothing listens there");
    expect(nobody.find(({ check }) => check === "redis.connect")!.fix).toContain("start redis-server");
    const stranger = failed(await doctor("--nats-url", world.stack.servers.natsUrl));
    expect(stranger.find(({ check }) => check === "nats.connect.service")!.fix).toContain("--nats-auth-dir");
  });

  test("finds a secret that others may read, and says the chmod", async () => {
    const file = path.join(world.dataDir, "nats-auth", "service.creds");
    chmodSync(file, 0o644);
    const ran = await doctor("--data-dir", world.dataDir);
    chmodSync(file, 0o600);
    expect(failed(ran)).toEqual([expect.objectContaining({ check: "files.modes", fix: `chmod 600 ${file}` })]);
  });
});
