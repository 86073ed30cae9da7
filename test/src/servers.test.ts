// What infra/servers promises of nats-server, seen by the bare client: data over restarts, accounts over restarts.

import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { encodeAccount, encodeOperator, encodeUser } from "@nats-io/jwt";
import { createAccount, createOperator, createUser, type KeyPair } from "@nats-io/nkeys";
import { connect, jwtAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import { findServers, type NatsOperator, type RunningNats, startNats } from "@outcry/servers";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { repository } from "./workspaces.js";

let home: string;
let server: RunningNats | undefined;

beforeEach(() => {
  home = mkdtempSync(path.join(tmpdir(), "outcry-nats-"));
});

afterEach(async () => {
  await server?.stop();
  server = undefined;
  rmSync(home, { recursive: true, force: true });
});

async function start(operator?: NatsOperator): Promise<RunningNats> {
  const { natsServer } = await findServers({ dataDir: path.join(repository, ".outcry"), env: process.env });
  server = await startNats({
    binary: natsServer.path,
    dataDir: path.join(home, "nats"),
    ...(operator && { operator }),
  });
  return server;
}

describe("a started nats-server", () => {
  test("has an acknowledged message after kill -9 and on the same port", async () => {
    const nats = await start();
    const connection = await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: "KEPT", subjects: ["kept.>"] });
    const stored = await jetstream(connection).publish("kept.one", "first");
    const [url, pid] = [nats.url, nats.pid];

    await nats.kill9();
    await nats.restart();

    expect(nats.url).toBe(url);
    expect(nats.pid).not.toBe(pid);
    const again = await connect({ servers: nats.url });
    const message = await (await jetstreamManager(again)).streams.getMessage("KEPT", { seq: stored.seq });
    expect(message?.string()).toBe("first");
    await again.close();
    await connection.close();
  });
});

interface Keys {
  operator: KeyPair;
  system: KeyPair;
  app: KeyPair;
  setup: NatsOperator;
}

const unlimited = { conn: -1, subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, leaf: -1 };
const account = { limits: { ...unlimited, mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 } };

async function makeKeys(): Promise<Keys> {
  const [operator, system, app] = [createOperator(), createAccount(), createAccount()];
  const setup: NatsOperator = {
    operatorJwt: await encodeOperator("outcry", operator, { system_account: system.getPublicKey() }),
    systemAccountPublicKey: system.getPublicKey(),
    accounts: [
      {
        publicKey: system.getPublicKey(),
        jwt: await encodeAccount("SYS", system, { limits: unlimited }, { signer: operator }),
      },
      { publicKey: app.getPublicKey(), jwt: await encodeAccount("OUTCRY", app, account, { signer: operator }) },
    ],
    dirPath: path.join(home, "accounts"),
  };
  return { operator, system, app, setup };
}

async function connectAs(nats: RunningNats, of: KeyPair, user = createUser()): Promise<NatsConnection> {
  const jwt = await encodeUser("someone", user, of, {});
  return connect({ servers: nats.url, authenticator: jwtAuthenticator(jwt, user.getSeed()), reconnect: false });
}

/** What a suspension does: the account's JWT with the user revoked, pushed to the running server. */
async function revoke(nats: RunningNats, keys: Keys, userKey: string): Promise<string> {
  const revocations = { [userKey]: Math.floor(Date.now() / 1000) + 60 };
  const jwt = await encodeAccount("OUTCRY", keys.app, { ...account, revocations }, { signer: keys.operator });
  const system = await connectAs(nats, keys.system);
  const answer = await system.request("$SYS.REQ.CLAIMS.UPDATE", jwt, { timeout: 2000 });
  await system.close();
  expect(answer.json<{ data: { code: number } }>().data.code).toBe(200);
  return jwt;
}

describe("a nats-server in operator mode", () => {
  test("lets users of a seeded account in, with JetStream, and nobody else", async () => {
    const keys = await makeKeys();
    const nats = await start(keys.setup);
    const connection = await connectAs(nats, keys.app);
    const info = await (await jetstreamManager(connection)).getAccountInfo();
    expect(info.streams).toBe(0);
    await connection.close();
    await expect(connect({ servers: nats.url, reconnect: false })).rejects.toThrow(/authorization/i);
    await expect(connectAs(nats, createAccount())).rejects.toThrow(/authorization/i);
  });

  test("keeps a revocation that was pushed in the very second the account was made, over stop and start with the first JWT", async () => {
    const keys = await makeKeys();
    const nats = await start(keys.setup);
    const user = createUser();
    const cutOff = (await connectAs(nats, keys.app, user)).closed();
    const pushed = await revoke(nats, keys, user.getPublicKey());
    await cutOff; // the running connection ends

    await nats.stop();
    const again = await start(keys.setup); // the seed still holds the first JWT
    const stored = readFileSync(path.join(keys.setup.dirPath, `${keys.app.getPublicKey()}.jwt`), "utf8");
    expect(stored).toBe(pushed);
    await expect(connectAs(again, keys.app, user)).rejects.toThrow(/authorization/i);
    await (await connectAs(again, keys.app)).close();
  });
});
