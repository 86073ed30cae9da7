import { afterEach, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createAuthTree, mintNodeUser, newKeyPair } from "@outcry/backbone";
import { newId } from "@outcry/protocol";
import { generateKey, saveKeyFile } from "@outcry/signing";
import { checkApi } from "./check-api.js";
import { checkCreds, checkFolder, checkSigningKey } from "./check-files.js";
import { checkRuntime } from "./check-runtime.js";

const folder = mkdtempSync(path.join(tmpdir(), "outcry-doctor-"));
let server: Server | undefined;

afterEach(async () => {
  server?.closeAllConnections();
  if (server !== undefined) await once(server.close(), "close");
  server = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** A service whose clock is off by so much; null sends no Date header. */
async function clockFinding(offsetMs: number | null) {
  server = createServer((_request, response) => {
    response.sendDate = false;
    if (offsetMs !== null) response.setHeader("date", new Date(Date.now() + offsetMs).toUTCString());
    response.end("{}");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const findings = await checkApi({
    url,
    gatewayUrl: url.replace("http", "ws"),
    apiKey: undefined,
    signal: new AbortController().signal,
  });
  return findings.find(({ check }) => check === "api.clock")!;
}

describe("the clock against the service's Date header", () => {
  test.each([
    [0, "ok", "within the second"],
    [10_000, "warn", "behind the service"],
    [-120_000, "fail", "ahead of the service"],
    [null, "skip", "no Date header"],
  ] as const)("off by %p ms is %s", async (offsetMs, status, found) => {
    expect(await clockFinding(offsetMs)).toMatchObject({ status, found: expect.stringContaining(found) });
  });
});

test("Node's floor is 20.19", () => {
  const statusOf = (version: string) => checkRuntime(version)[0]!.status;
  expect(["18.20.0", "20.18.3", "20.19.0", "22.1.0"].map(statusOf)).toEqual(["fail", "fail", "ok", "ok"]);
});

describe("files", () => {
  const inFolder = (name: string) => path.join(mkdtempSync(path.join(tmpdir(), "outcry-doctor-")), name);

  test("a node's creds that have ended, end soon, or hold no JWT are told", () => {
    const issued = Date.now();
    const { jwt } = mintNodeUser(
      createAuthTree({ clock: { now: () => issued } }),
      { clock: { now: () => issued } },
      { nodeId: newId("nod"), publicKey: newKeyPair("user").publicKey, ttlMs: 3_600_000 },
    );
    const file = inFolder("node.creds");
    writeFileSync(file, `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n`);
    expect(checkCreds(file, issued)).toMatchObject({ check: "creds.node.creds", status: "ok" });
    expect(checkCreds(file, issued + 3_590_000).status).toBe("warn");
    expect(checkCreds(file, issued + 3_700_000)).toMatchObject({
      status: "fail",
      found: expect.stringMatching(/^expired/),
    });
    writeFileSync(file, "nothing");
    expect(checkCreds(file)).toMatchObject({ status: "fail", found: "holds no JWT" });
    rmSync(path.dirname(file), { recursive: true });
  });

  test("a signing key that is not among the published ones is told, with both", () => {
    const file = inFolder("signing-key.json");
    const key = generateKey();
    saveKeyFile(file, key);
    expect(checkSigningKey(file, [key.kid])[0]).toMatchObject({ status: "ok" });
    expect(checkSigningKey(file, ["another"])[0]).toMatchObject({ status: "fail", wanted: "another" });
    expect(checkFolder(path.dirname(file))).toEqual([expect.objectContaining({ check: "files.modes", status: "ok" })]);
    rmSync(path.dirname(file), { recursive: true });
  });

  test("a data folder that is not there is one finding", () => {
    expect(checkFolder(path.join(folder, "none"))).toEqual([
      expect.objectContaining({ check: "files.folder", status: "fail" }),
    ]);
  });
});
