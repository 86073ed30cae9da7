// The HTTP side of the service for a node: registration by invite, challenge, credentials, key set. It signs real NATS users for a server in operator mode.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { encodeAccount, encodeOperator, encodeUser } from "@nats-io/jwt";
import { createAccount, createOperator, createUser, type KeyPair } from "@nats-io/nkeys";
import { jwtAuthenticator } from "@nats-io/transport-node";
import {
  check,
  type ErrorCode,
  derivedId,
  newId,
  NodeRegistration,
  nodeInboxPrefix,
  OutcryError,
  problemOf,
  toRfc3339,
} from "@outcry/protocol";
import type { NatsOperator } from "@outcry/servers";
import { checkPublicJwk, generateKey, keySource, publicJwk, type SigningKey, verifyEnvelope } from "@outcry/signing";

export interface Operator {
  readonly setup: Omit<NatsOperator, "dirPath">;
  readonly account: KeyPair;
  /** A user that may do everything. */
  authenticator(): Promise<ReturnType<typeof jwtAuthenticator>>;
}

export async function newOperator(): Promise<Operator> {
  const [operator, system, account] = [createOperator(), createAccount(), createAccount()];
  const limits = { conn: -1, subs: -1, data: -1, payload: -1, exports: -1, imports: -1, leaf: -1 };
  const accountOf = async (name: string, key: KeyPair) => ({
    publicKey: key.getPublicKey(),
    jwt: await encodeAccount(name, key, { limits }, { signer: operator }),
  });
  const systemAccountPublicKey = system.getPublicKey();
  return {
    account,
    setup: {
      operatorJwt: await encodeOperator("outcry", operator, { system_account: systemAccountPublicKey }),
      systemAccountPublicKey,
      accounts: [await accountOf("SYS", system), await accountOf("OUTCRY", account)],
    },
    async authenticator() {
      const user = createUser();
      return jwtAuthenticator(await encodeUser("service", user, account, {}), user.getSeed());
    },
  };
}

interface Registered {
  id: string;
  natsPublicKey: string;
  registration: NodeRegistration;
}

export class TestService {
  readonly requests: string[] = [];
  readonly nodes = new Map<string, Registered>();
  readonly invites = new Set<string>(["inv-1"]);
  userLifeMs = 3_600_000;
  /** Answered to every request for credentials while set. */
  refusal: ErrorCode | undefined;
  serviceKeys: SigningKey[] = [generateKey()];
  readonly #operator: Operator;
  readonly #natsUrl: string;
  readonly #challenges = new Set<string>();
  #server!: Server;
  #port = 0;

  constructor(operator: Operator, natsUrl: string) {
    this.#operator = operator;
    this.#natsUrl = natsUrl;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async open(): Promise<this> {
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.listen(this.#port, "127.0.0.1"); // the same one after a close
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body: unknown = chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString());
    const path = request.url!;
    this.requests.push(`${request.method} ${path.replace(/nod_[0-9a-z]+/, "{id}")}`);
    try {
      const [status, answer] = await this.#route(path, body);
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
    } catch (error) {
      const fault = error instanceof OutcryError ? error : new OutcryError("internal", String(error));
      response
        .writeHead(fault.httpStatus, { "content-type": "application/problem+json" })
        .end(JSON.stringify(problemOf(fault, "req_test")));
    }
  }

  async #route(path: string, body: unknown): Promise<[number, unknown]> {
    if (path === "/.well-known/jwks.json")
      return [200, { keys: this.serviceKeys.map((key) => ({ ...publicJwk(key), alg: key.alg, use: "sig" })) }];
    if (path === "/v1/nodes") return [201, this.#register(body)];
    const [, id, challenge] = /^\/v1\/nodes\/([^/]+)\/credentials(\/challenge)?$/.exec(path) ?? [];
    const node = this.nodes.get(id ?? "");
    if (node === undefined) throw new OutcryError("node_not_found");
    if (this.refusal !== undefined) throw new OutcryError(this.refusal);
    if (challenge === undefined)
      return [200, await this.#credentials(node, body as { envelope: string; signature: string })];
    const nonce = newId("msg");
    this.#challenges.add(nonce);
    return [201, { challenge: nonce, expires: toRfc3339(Date.now() + 60_000), service_id: "outcry" }];
  }

  #register(body: unknown): unknown {
    const checked = check(NodeRegistration, body);
    if (checked.kind === "invalid")
      throw new OutcryError("validation_failed", undefined, { pointers: checked.pointers });
    const id = derivedId("nod", checked.value.nats_public_key);
    if (this.nodes.has(id)) throw new OutcryError("node_exists");
    if (!this.invites.delete(checked.value.invite ?? "")) throw new OutcryError("invite_invalid");
    this.nodes.set(id, { id, natsPublicKey: checked.value.nats_public_key, registration: checked.value });
    return { node: { id } };
  }

  async #credentials(
    node: Registered,
    { envelope, signature }: { envelope: string; signature: string },
  ): Promise<unknown> {
    const keys = node.registration.public_keys.map((jwk) => {
      const key = checkPublicJwk(jwk);
      if (key.kind !== "ok") throw new OutcryError("key_unacceptable");
      return { kid: jwk.kid, owner: node.id, alg: key.alg, publicKey: key.publicKey };
    });
    const verdict = verifyEnvelope(new TextEncoder().encode(envelope), signature, keySource(keys));
    if (verdict.kind === "refused") throw new OutcryError(verdict.code, verdict.detail);
    const { challenge } = verdict.envelope["payload"] as { challenge: string };
    if (
      verdict.envelope.type !== "credentials" ||
      verdict.envelope["audience"] !== "outcry" ||
      !this.#challenges.delete(challenge)
    )
      throw new OutcryError("nonce_invalid");
    const expiresMs = Date.now() + this.userLifeMs;
    return {
      node_id: node.id,
      nats_urls: [this.#natsUrl],
      nats_user_jwt: await this.#userJwt(node, expiresMs),
      inbox_prefix: nodeInboxPrefix(node.id),
      gateway_token: "unused",
      expires: toRfc3339(expiresMs),
      service_keys: [publicJwk(this.serviceKeys[0]!)],
      service_id: "outcry",
    };
  }

  #userJwt({ id, natsPublicKey }: Registered, expiresMs: number): Promise<string> {
    const publishes = [`ucp.v1.ack.${id}.*`, `ucp.v1.quote.${id}.*`, `ucp.v1.catchup.${id}`, `ucp.v1.hb.${id}`];
    const permissions = {
      pub: { allow: publishes, deny: [] },
      sub: { allow: [`ucp.v1.node.${id}.*`, `${nodeInboxPrefix(id)}.>`], deny: [] },
    };
    return encodeUser(id, natsPublicKey, this.#operator.account, permissions, { exp: Math.ceil(expiresMs / 1_000) });
  }
}
