// The gateway service put together: the engine, and the policy of tokens, keys and channels around it.

import { type Backbone, openBucket } from "@outcry/backbone";
import { BUCKETS, type Clock, type Log, STREAMS } from "@outcry/protocol";
import { SeenTokens } from "@outcry/signing";
import {
  type CursorKey,
  type EventPublisher,
  GatewayEngine,
  type GatewayLimits,
  type GatewayObserver,
  natsBus,
  natsSource,
  type Policy,
  type Principal,
  tapSource,
} from "@outcry/ws-gateway";
import { AccessIndex } from "./access-index.js";
import { authenticate } from "./authenticate.js";
import { type ChannelKind, ChannelKinds } from "./channel-kinds.js";
import { keysOf, type RouteDeps, routeChannel } from "./channels.js";
import { IntentTopics } from "./intent-topics.js";
import type { GatewayPrincipal } from "./principal.js";
import { renderEvent } from "./event-views.js";
import type { BuyerRecord } from "./revoked-buyers.js";

export interface CreateGatewayDeps {
  readonly backbone: Backbone;
  /** EVENTS, or its tap. */
  readonly stream: string;
  readonly region: string;
  /** Where EVENTS and the keys are, when `stream` is a tap: the same servers, or those of another domain. */
  readonly record?: Backbone;
  /** `iss` of the tokens that are accepted. */
  readonly serviceId: string;
  readonly cursorKeys: readonly CursorKey[];
  readonly clock: Clock;
  readonly log: Log;
  readonly allowedOrigins?: readonly string[];
  readonly publisher?: EventPublisher;
  /** That other services bring. */
  readonly kinds?: readonly ChannelKind[];
  readonly limits?: Partial<GatewayLimits>;
  readonly observer?: GatewayObserver;
}

export interface Gateway {
  readonly engine: GatewayEngine;
  /** Resolves when the keys and the head of the stream are known; until then nobody is accepted. */
  start(): Promise<void>;
  /** Why it should get no new connections; undefined when all is well. */
  readonly unready: string | undefined;
  /** Sends everyone away with advice when to come back. */
  stop(): Promise<void>;
}

export function createGateway(deps: CreateGatewayDeps): Gateway {
  const { backbone, stream, region, record, serviceId, clock, log } = deps;
  const topics = new IntentTopics({ backbone, stream });
  const access = new AccessIndex({
    bucket: openBucket(record ?? backbone, BUCKETS.access, { log }),
    serviceId,
    clock,
    log,
    onKeyRevoked: (keyId) => engine.revoke(({ credential }) => credential === keyId),
    onSigningKeyRevoked: (kid) => engine.revoke((principal) => (principal as GatewayPrincipal).kid === kid),
    onNodeRevoked: (nodeId, untilMs) =>
      engine.revoke((principal) => isNodeUntil(principal as GatewayPrincipal, nodeId, untilMs)),
    onBuyerRevoked: (rights) => endRevoked(engine, rights, isRevoked),
  });
  const isRevoked = (principal: GatewayPrincipal, channel?: string): boolean =>
    principal.role === "buyer" && access.revokedBuyers.isRevoked(principal, channel);
  const kinds = new ChannelKinds(backbone, deps.kinds ?? []);
  const routes: RouteDeps = {
    intentTopic: (backendId, id) => topics.resolve(backendId, id),
    rightsOf: (kind, role) => kinds.rightsOf(kind, role),
  };
  const seen = new SeenTokens();
  const policy: Policy<GatewayPrincipal> = {
    authenticate: (token) => authenticate({ access, serviceId, clock, seen }, token),
    async route(principal, channel) {
      if (isRevoked(principal, channel)) return { kind: "refused", code: "channel_forbidden" };
      const routed = routeChannel(routes, principal, channel);
      return routed.kind === "refused" ? routed : ((await kinds.refusalOfJoin(principal, routed.route)) ?? routed);
    },
    isRevoked,
    command: (principal, route, command) => kinds.command(principal, route, command),
    keysOf,
    render: renderEvent,
  };
  const engine: GatewayEngine = new GatewayEngine({
    ...deps,
    source:
      record === undefined
        ? natsSource({ backbone, stream, region })
        : tapSource({ backbone, stream, region, origin: { backbone: record, stream: STREAMS.events } }),
    policy,
    bus: natsBus(backbone),
  });
  let stopped: Promise<void> | undefined;
  return {
    engine,
    async start() {
      await access.follow();
      await engine.start();
    },
    get unready() {
      return engine.unready;
    },
    stop: () => (stopped ??= engine.drain().finally(() => access.stop())),
  };
}

function isNodeUntil(principal: GatewayPrincipal, nodeId: string, untilMs: number): boolean {
  return principal.role === "node" && principal.nodeId === nodeId && principal.issuedAt <= untilMs;
}

/** What the buyer's tokens no longer open: its connections, or one channel of them. */
function endRevoked(
  engine: GatewayEngine,
  { backend_id, buyer_id, revoked }: BuyerRecord,
  isRevoked: (principal: GatewayPrincipal, channel?: string) => boolean,
): void {
  const isBuyers = (principal: Principal, channel?: string): boolean => {
    const known = principal as GatewayPrincipal;
    return (
      known.role === "buyer" &&
      known.backendId === backend_id &&
      known.buyerId === buyer_id &&
      isRevoked(known, channel)
    );
  };
  engine.revoke((principal) => isBuyers(principal));
  for (const { channel } of revoked)
    if (channel !== undefined) engine.revokeChannel(channel, (principal) => isBuyers(principal, channel));
}
