// A nats-server in JWT mode, our own users, and nodes as bare nats.js clients with minted credentials.

import { connect, jwtAuthenticator } from "@nats-io/transport-node";
import type { NatsConnection } from "@nats-io/transport-node";
import { newId, systemClock } from "@outcry/protocol";
import { INBOX_PREFIXES, createAuthTree, mintNodeUser, mintUser } from "./auth.js";
import type { AuthTree, UserKind } from "./auth.js";
import type { Backbone } from "./connect.js";
import { newKeyPair } from "./jwt.js";
import type { KeyPair } from "./jwt.js";
import { startNats } from "./nats-server.fixture.js";
import type { TestServer } from "./nats-server.fixture.js";

const clock = systemClock;

export interface TestNode {
  readonly id: string;
  readonly key: KeyPair;
  readonly nc: NatsConnection;
  /** Everything that the server refused. */
  readonly refused: string[];
  closed: boolean;
}

export interface Guarded {
  readonly server: TestServer;
  readonly tree: AuthTree;
  as(kind: UserKind): Promise<Backbone>;
  node(options?: { jwt?: string; key?: KeyPair; id?: string; ttlMs?: number }): Promise<TestNode>;
  /** Whether the server lets this key in with this JWT. */
  connects(jwt: string, key: KeyPair): Promise<boolean>;
  stop(): Promise<void>;
}

export async function startGuarded(): Promise<Guarded> {
  const tree = createAuthTree({ clock });
  const server = await startNats({ tree });
  const open: NatsConnection[] = [];
  const node: Guarded["node"] = async (options = {}) => {
    const { id = newId("nod"), key = newKeyPair("user"), ttlMs = 60_000 } = options;
    const jwt = options.jwt ?? mintNodeUser(tree, { clock }, { nodeId: id, publicKey: key.publicKey, ttlMs }).jwt;
    const authenticator = jwtAuthenticator(jwt, new TextEncoder().encode(key.seed));
    const nc = await connect({ servers: server.url, authenticator, inboxPrefix: `_INBOX.${id}`, reconnect: false });
    open.push(nc);
    const made: TestNode = { id, key, nc, refused: [], closed: false };
    void nc.closed().then(() => (made.closed = true));
    void (async () => {
      for await (const status of nc.status()) if (status.type === "error") made.refused.push(status.error.message);
    })();
    return made;
  };
  return {
    server,
    tree,
    node,
    as(kind) {
      const { creds } = mintUser(tree, { clock }, { kind });
      return server.connect({ credentials: { creds }, inboxPrefix: INBOX_PREFIXES[kind] });
    },
    connects: (jwt, key) =>
      node({ jwt, key }).then(
        async (made) => (await made.nc.close(), true),
        () => false,
      ),
    async stop() {
      await Promise.all(open.map((connection) => connection.close()));
      await server.remove();
    },
  };
}
