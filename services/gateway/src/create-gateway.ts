// The gateway service put together: the engine, and the policy of tokens, keys and channels around it.

import { type Backbone, openBucket } from "@outcry/backbone";
import { BUCKETS, type Clock, type Log, STREAMS } from "@outcry/protocol";
import {
  type CursorKey,
  type EventPublisher,
  GatewayEngine,
  type GatewayLimits,
  type GatewayObserver,
  natsSource,
  type Policy,
  tapSource,
} from "@outcry/ws-gateway";
import { AccessIndex } from "./access-index.js";
import { authenticate } from "./authenticate.js";
import { keysOf, routeChannel } from "./channels.js";
import { IntentTopics } from "./intent-topics.js";
import type { GatewayPrincipal } from "./principal.js";
import { renderPublic } from "./public-view.js";

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
    log,
    onKeyRevoked: (keyId) => engine.revoke(({ credential }) => credential === keyId),
    onSigningKeyRevoked: (kid) => engine.revoke((principal) => (principal as GatewayPrincipal).kid === kid),
    onNodeRevoked: (nodeId, untilMs) =>
      engine.revoke((principal) => isNodeUntil(principal as GatewayPrincipal, nodeId, untilMs)),
  });
  const routes = { intentTopic: (backendId: string | undefined, id: string) => topics.resolve(backendId, id) };
  const policy: Policy<GatewayPrincipal> = {
    authenticate: (token) => authenticate({ access, serviceId, clock }, token),
    route: async (principal, channel) => routeChannel(routes, principal, channel),
    keysOf,
    render: (_view, data) => renderPublic(data),
  };
  const engine: GatewayEngine = new GatewayEngine({
    ...deps,
    source:
      record === undefined
        ? natsSource({ backbone, stream, region })
        : tapSource({ backbone, stream, region, origin: { backbone: record, stream: STREAMS.events } }),
    policy,
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
