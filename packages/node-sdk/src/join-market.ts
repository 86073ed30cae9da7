// Everything between "start" and a live connection: identity, registration, credentials, NATS. Temporary faults are retried for
// ever, because a seller may start before its marketplace; a fault that repeating cannot mend is thrown.

import { type Clock, isTemporary, type Log, type NodeCredentials, OutcryError } from "@outcry/protocol";
import { Alarm } from "./alarm.js";
import { fullJitterMs } from "./backoff.js";
import { CredentialKeeper } from "./credential-keeper.js";
import { fetchCredentials, registerNode } from "./credentials.js";
import { type Identity, loadIdentity, rememberId } from "./identity.js";
import { NODE_LIMITS } from "./limits.js";
import { type LinkOptions, type NatsLink, openLink } from "./nats-link.js";
import type { NodeOptions } from "./options.js";
import type { RotateDeps } from "./rotate-key.js";
import { type ServiceApi, serviceApi } from "./service-api.js";
import { ServiceKeys } from "./service-keys.js";

export interface JoinDeps {
  readonly options: NodeOptions;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly onUp: () => void;
  readonly onDown: (detail: string) => void;
  readonly onTrouble: (error: unknown) => void;
}

export interface Membership {
  readonly nodeId: string;
  readonly identity: Identity;
  readonly link: NatsLink;
  readonly serviceKeys: ServiceKeys;
  readonly keeper: CredentialKeeper | undefined;
  /** Undefined without HTTP. */
  readonly rotation: RotateDeps | undefined;
}

export function joinMarket(deps: JoinDeps, signal: AbortSignal): Promise<Membership> {
  return deps.options.connection === undefined ? joinByHttp(deps, signal) : joinDirectly(deps, signal);
}

async function joinDirectly(deps: JoinDeps, signal: AbortSignal): Promise<Membership> {
  const { options, clock, log } = deps;
  const connection = options.connection!;
  const identity = loadIdentity({
    ...options,
    ...(connection.natsSeed === undefined ? {} : { natsSeed: connection.natsSeed }),
  });
  const nodeId = identity.nodeId ?? missing("id");
  const { userJwt } = connection;
  const link = await linkUp(deps, signal, {
    servers: typeof connection.natsUrl === "string" ? [connection.natsUrl] : connection.natsUrl,
    name: nodeId,
    inboxPrefix: connection.inboxPrefix,
    userJwt: userJwt === undefined ? undefined : () => userJwt,
    natsSeed: identity.natsSeed,
    onRefused: () => undefined,
  });
  const serviceKeys = new ServiceKeys(connection.serviceKeys, { serviceId: connection.serviceId, clock, log });
  return { nodeId, identity, link, serviceKeys, keeper: undefined, rotation: undefined };
}

async function joinByHttp(deps: JoinDeps, signal: AbortSignal): Promise<Membership> {
  const { options, clock, random, log, onTrouble } = deps;
  const api = serviceApi({ url: options.url ?? missing("url"), fetch: options.fetch ?? fetch });
  const identity = loadIdentity(options);
  const nodeId = identity.nodeId ?? (await persist(deps, signal, () => register(deps, api, identity, signal)));
  const ask = (until: AbortSignal) => fetchCredentials({ api, nodeId, key: identity.key, clock }, until);
  const first = await persist(deps, signal, () => ask(signal));

  const serviceKeys = new ServiceKeys(first.service_keys, {
    serviceId: first.service_id,
    fetchKeySet: () => api.get("/.well-known/jwks.json"),
    clock,
    random,
    log,
  });
  let link: NatsLink | undefined;
  const onRenewed = (credentials: NodeCredentials) => {
    serviceKeys.replace(credentials.service_keys);
    void link?.reconnect(); // before the server cuts the old ones off
  };
  const keeper = new CredentialKeeper(
    { fetchCredentials: ask, onRenewed, onFailure: onTrouble, clock, random, log },
    first,
  );
  try {
    link = await linkUp(deps, signal, {
      servers: first.nats_urls,
      name: nodeId,
      inboxPrefix: first.inbox_prefix,
      userJwt: () => keeper.current.nats_user_jwt,
      natsSeed: identity.natsSeed,
      onRefused: () => keeper.renewSoon(),
    });
    const token = () => keeper.current.gateway_token;
    const rotation = { api, nodeId, identity, token, clock, random, log, onTrouble };
    return { nodeId, identity, link, serviceKeys, keeper, rotation };
  } catch (error) {
    keeper.stop();
    throw error;
  }
}

async function register(
  { options, log }: JoinDeps,
  api: ServiceApi,
  identity: Identity,
  signal: AbortSignal,
): Promise<string> {
  const description = options.registration ?? missing("id, or registration with an invite");
  const nodeId = await registerNode({ api, identity, invite: options.invite, description }, signal);
  rememberId(options.stateDir, nodeId);
  log.info({ node: nodeId }, "node: registered");
  return nodeId;
}

type LinkTarget = Omit<LinkOptions, "tls" | "log" | "onUp" | "onDown">;

const linkUp = (deps: JoinDeps, signal: AbortSignal, target: LinkTarget): Promise<NatsLink> =>
  persist(deps, signal, () =>
    openLink({ ...target, tls: deps.options.tls, log: deps.log, onUp: deps.onUp, onDown: deps.onDown }),
  );

/** Repeats while the fault is temporary. */
async function persist<T>(deps: JoinDeps, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const backoff = { baseMs: NODE_LIMITS.renewRetryBaseMs, capMs: NODE_LIMITS.renewRetryCapMs };
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!isTemporary(error)) throw error;
      deps.log.warn({ error: String(error) }, "node: not joined yet");
      deps.onTrouble(error);
      await new Alarm().sleep(NODE_LIMITS.reconnectWaitMs + fullJitterMs(attempt, backoff, deps.random), signal);
    }
  }
}

function missing(what: string): never {
  throw new OutcryError("config_invalid", `createNode needs ${what}`);
}
