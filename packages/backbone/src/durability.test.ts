import { systemClock } from "@outcry/protocol";
import { afterEach, expect, test } from "@jest/globals";
import { INBOX_PREFIXES, createAuthTree, mintUser } from "./auth.js";
import { checkNatsPromises, readDurability, versionOnFloor } from "./durability.js";
import { startNats, SYNC_LATER } from "./nats-server.fixture.js";
import type { TestServer } from "./nats-server.fixture.js";

let server: TestServer;
afterEach(() => server?.remove());
const clock = systemClock;
const payloadBytesMin = 1024 * 1024;

test("a server that syncs always keeps the promises, read by the system account or by monitoring", async () => {
  const tree = createAuthTree({ clock });
  server = await startNats({ tree });
  const { creds } = mintUser(tree, { clock }, { kind: "system" });
  const systemBackbone = await server.connect({ credentials: { creds }, inboxPrefix: INBOX_PREFIXES.system });
  for (const sources of [{ systemBackbone }, { monitoringUrl: server.monitorUrl }]) {
    const servers = await readDurability(sources);
    expect(servers).toMatchObject([{ syncAlways: true, jetStream: true, version: systemBackbone.serverVersion }]);
    expect(checkNatsPromises(servers, { payloadBytesMin })).toEqual([]);
  }
});

test("a server with the default sync is named with the line to change", async () => {
  server = await startNats({ extraConfig: `${SYNC_LATER}\nmax_payload: 64KB` });
  const unkept = checkNatsPromises(await readDurability({ monitoringUrl: server.monitorUrl }), { payloadBytesMin });
  expect(unkept.map((entry) => entry.setting)).toEqual(["jetstream.sync_interval", "max_payload"]);
  expect(unkept[0]).toMatchObject({ found: "not always", fixLine: "jetstream { sync_interval: always }" });
});

test("what cannot be read counts as unkept", async () => {
  server = await startNats();
  const plain = await server.connect(); // no system account: nobody answers
  const unkept = checkNatsPromises(
    await readDurability({ systemBackbone: plain, monitoringUrl: "http://127.0.0.1:1" }),
    { payloadBytesMin },
  );
  expect(unkept.map((entry) => [entry.setting, entry.found])).toEqual([
    ["jetstream.sync_interval", "unreadable"],
    ["version", "unreadable"],
  ]);
});

test("the floor is 2.12.7 within 2.12, and 2.14", () => {
  expect(["2.12.7", "2.12.9", "2.14.0", "2.15.1-beta", "3.0.0"].filter((version) => !versionOnFloor(version))).toEqual(
    [],
  );
  expect(["2.9.10", "2.10.27", "2.12.6", "2.13.5", "unreadable"].filter(versionOnFloor)).toEqual([]);
});
