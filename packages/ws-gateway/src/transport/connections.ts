// Everyone who is connected to this process, whatever the transport: who may come in, what they add up to, and who has to go.

import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Policy, Principal } from "../channels/policy.js";
import type { GatewayLimits } from "../limits.js";
import type { GatewayObserver } from "../observer.js";
import { CLOSE, type CloseReason } from "./close-codes.js";
import { isAllowedOrigin } from "./cors.js";
import type { Peer } from "./peer.js";
import type { UpgradeRefusal } from "./upgrade.js";

export interface ConnectionsDeps {
  readonly policy: Pick<Policy, "isRevoked">;
  readonly limits: GatewayLimits;
  readonly allowedOrigins: readonly string[];
  readonly observer: Pick<GatewayObserver, "closed"> | undefined;
  readonly random: () => number;
}

export class Connections {
  /** Those that have not said who they are. */
  readonly anonymous = new Set<Peer>();
  readonly peers = new Map<string, Peer>();
  readonly #deps: ConnectionsDeps;

  constructor(deps: ConnectionsDeps) {
    this.#deps = deps;
  }

  /** Bytes that wait to be written, all connections together. */
  get queueBytes(): number {
    let bytes = 0;
    for (const peer of this.peers.values()) bytes += peer.queueBytes;
    return bytes;
  }

  /** Connections by role; `anonymous` are those without identity. */
  get roles(): Record<string, number> {
    const roles: Record<string, number> = {};
    for (const { principal } of this.peers.values()) {
      const role = principal?.role ?? "anonymous";
      roles[role] = (roles[role] ?? 0) + 1;
    }
    return roles;
  }

  /** Why there is no room for one more, or not from this origin. */
  unopenable({ headers: { origin } }: IncomingMessage): UpgradeRefusal | undefined {
    const { limits, allowedOrigins } = this.#deps;
    if (this.peers.size >= limits.connectionsMax || this.anonymous.size >= limits.unauthenticatedMax)
      return { status: 503, code: "dependency_unavailable", detail: "too many connections" };
    if (!isAllowedOrigin(origin, allowedOrigins))
      return { status: 403, code: "permission_denied", detail: "this Origin is not allowed" };
    return undefined;
  }

  /** What was revoked between the look at its token and now has not met it. */
  opened(peer: Peer): void {
    const { policy } = this.#deps;
    const { principal, channels } = peer;
    this.peers.set(peer.id, peer);
    if (principal === undefined) return;
    if (policy.isRevoked?.(principal) === true) return peer.end(CLOSE.revoked);
    for (const channel of channels)
      if (policy.isRevoked?.(principal, channel) === true) peer.endChannel(channel, "channel_forbidden");
  }

  closed(peer: Peer, why: CloseReason | undefined): void {
    if (!this.peers.delete(peer.id)) return; // refused before it was open
    this.#deps.observer?.closed(why?.code ?? "by_peer");
  }

  /** Closes what belongs to a principal that lost its right; returns how many. */
  revoke(isRevoked: (principal: Principal) => boolean): number {
    const revoked = [...this.peers.values()].filter(({ principal }) => principal !== undefined && isRevoked(principal));
    for (const peer of revoked) peer.end(CLOSE.revoked);
    return revoked.length;
  }

  /** Ends one channel of principals that lost the right to it. */
  revokeChannel(channel: string, isRevoked: (principal: Principal) => boolean): void {
    for (const peer of this.peers.values())
      if (peer.principal !== undefined && isRevoked(peer.principal)) peer.endChannel(channel, "channel_forbidden");
  }

  sweep(): void {
    for (const peer of this.peers.values()) peer.sweep();
  }

  /** Sends everyone away, spread over `drainMs` with jittered advice. Resolves when they are gone, or soon after. */
  async drain(drainMs: number): Promise<void> {
    const { random, limits } = this.#deps;
    const spreadMs = Math.min(drainMs, this.peers.size * limits.drainMsPerConnection);
    const leaving = [...this.peers.values()].map(async (peer) => {
      await sleep(random() * spreadMs);
      peer.end(CLOSE.restart, Math.round(random() * spreadMs));
    });
    await Promise.all(leaving);
    const until = performance.now() + limits.closeMs;
    while (this.peers.size > 0 && performance.now() < until) await sleep(10);
  }

  endAll(): void {
    for (const peer of this.peers.values()) peer.end(CLOSE.restart);
  }
}
