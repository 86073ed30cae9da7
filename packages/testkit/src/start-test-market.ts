// A real nats-server with real accounts, in a folder that is removed afterwards, and the market that talks over it. Services and Redis are not started.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type AuthTree, connectBackbone, createAuthTree, INBOX_PREFIXES, mintUser } from "@outcry/backbone";
import { silentLog, systemClock as clock } from "@outcry/protocol";
import { findServers, type RunningNats, startNats } from "@outcry/servers";
import { TestMarket } from "./market.js";

export interface TestMarketOptions {
  /** The nats-server to run. Left out: the one that `env` names, then PATH and what `npm start` has fetched. */
  readonly binary?: string;
  /** `process.env`: read for OUTCRY_NATS_SERVER and PATH. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Resolves after about 0.1 s. Throws when there is no nats-server, with what to do. */
export async function startTestMarket(options: TestMarketOptions = {}): Promise<TestMarket> {
  const binary = await findNats(options);
  const folder = mkdtempSync(path.join(tmpdir(), "outcry-market-"));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  let nats: RunningNats | undefined;
  try {
    const tree = createAuthTree({ clock });
    nats = await startServer(binary, folder, tree);
    const backbone = await connectBackbone({
      servers: [nats.url],
      credentials: mintUser(tree, { clock }, { kind: "service" }),
      name: "test-market",
      inboxPrefix: INBOX_PREFIXES.service,
      log: silentLog,
      clock,
    });
    return new TestMarket({ tree, nats, backbone, removeFolder });
  } catch (error) {
    await nats?.stop();
    removeFolder();
    throw error;
  }
}

/** findServers() wants Redis as well, which a seller's test has no use for: it comes last. */
async function findNats({ binary, env = {} }: TestMarketOptions): Promise<string> {
  const named = binary ?? env["OUTCRY_NATS_SERVER"];
  return named ?? (await findServers({ dataDir: ".outcry", env })).natsServer.path;
}

function startServer(binary: string, folder: string, { operator, system, app }: AuthTree): Promise<RunningNats> {
  return startNats({
    binary: path.resolve(binary),
    dataDir: path.join(folder, "nats"),
    operator: {
      operatorJwt: operator.jwt,
      systemAccountPublicKey: system.publicKey,
      accounts: [system, app].map(({ publicKey, jwt }) => ({ publicKey, jwt })),
      dirPath: path.join(folder, "accounts"),
    },
  });
}
