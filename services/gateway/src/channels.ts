// Which channels there are, who may open them, and which events belong to them (docs/gateway-protocol.md §7).
// A backend's channels lie in its own namespace by their keys, so "not yours" and "does not exist" cannot differ.

import { type Channel, type ErrorCode, isId, parseChannel, TOPICS } from "@outcry/protocol";
import type { Route, Routed } from "@outcry/ws-gateway";
import type { GatewayPrincipal } from "./principal.js";
import { type Rights, rightsOf } from "./rights.js";

const TOKEN = /^[A-Za-z0-9_-]+$/; // what a topic may hold
export interface RouteDeps {
  /** Of kinds that other services bring. */
  rightsOf(kind: string, role: GatewayPrincipal["role"]): Rights | undefined;
  /** The one topic of an intent, or a filter that matches it alone. */
  intentTopic(backendId: string | undefined, intentId: string): Promise<string>;
}

export function routeChannel(deps: RouteDeps, principal: GatewayPrincipal, name: string): Routed {
  const channel = parseChannel(name);
  if (channel === undefined) return refused("channel_invalid");
  const rights = rightsOf(channel.kind, principal.role) ?? deps.rightsOf(channel.kind, principal.role);
  const place = rights === undefined ? undefined : placeOf(deps, principal, name, channel);
  if (rights === undefined || place === undefined) return refused("channel_forbidden");
  const { view, seesPresence } = rights;
  const presence = { seesPresence, member: rights.isPresent ? memberOf(principal) : undefined };
  return { kind: "ok", route: { channel: name, view, ...presence, ...place } };
}

/** As the others of a channel see it: never a key's or another backend's id. */
function memberOf(principal: GatewayPrincipal): string | undefined {
  switch (principal.role) {
    case "buyer":
      return `buyer:${principal.buyerId}`;
    case "node":
      return `node:${principal.nodeId}`;
    default:
      return principal.role;
  }
}

const refused = (code: ErrorCode): Routed => ({ kind: "refused", code });

/** The key is the channel's own subject filter: what `keysOf` gives for each subject that it matches. */
type Place = Pick<Route, "key" | "replayFilter">;

const placeAt = (filter: string): Place => ({ key: filter, replayFilter: async () => filter });

/** Undefined where the channel is not this principal's. */
function placeOf(deps: RouteDeps, principal: GatewayPrincipal, name: string, { kind, id }: Channel): Place | undefined {
  switch (principal.role) {
    case "buyer":
      return principal.channels.has(name) ? ofBackend(deps, principal.backendId, kind, id) : undefined;
    case "backend":
      return ofBackend(deps, principal.backendId, kind, id);
    case "node":
      return kind === "node" && id === principal.nodeId ? placeAt(TOPICS.node(id)) : undefined;
    case "operator":
    case "admin":
      return ofOperator(deps, kind, id);
    default:
      return principal satisfies never;
  }
}

function ofBackend(deps: RouteDeps, backendId: string, kind: string, id: string): Place | undefined {
  if (kind === "intent" && isId("int", id)) {
    return { key: TOPICS.intentOfBackend(backendId, id), replayFilter: () => deps.intentTopic(backendId, id) };
  }
  if (kind === "buyer") return placeAt(TOPICS.buyer(backendId, id));
  if (kind === "backend") return id === backendId ? placeAt(TOPICS.backend(id)) : undefined;
  return TOKEN.test(id) ? placeAt(TOPICS.ofBackend(kind, backendId, id)) : undefined;
}

function ofOperator(deps: RouteDeps, kind: string, id: string): Place | undefined {
  if (kind === "intent" && isId("int", id)) {
    return { key: TOPICS.anyIntent(id), replayFilter: () => deps.intentTopic(undefined, id) };
  }
  if (kind === "backend") return isId("bkd", id) ? placeAt(TOPICS.backend(id)) : undefined;
  if (kind === "node") return isId("nod", id) ? placeAt(TOPICS.node(id)) : undefined;
  return TOKEN.test(id) ? placeAt(TOPICS.any(kind, id)) : undefined;
}

/** Keys of every channel that an event on this subject belongs to. Runs for each event of the stream, so nothing is checked here. */
export function keysOf(subject: string): string[] {
  const [, kind, backend, buyer, id] = subject.split(".");
  const feed = `rt.*.${backend}.>`;
  const ofBuyer = `rt.*.${backend}.${buyer}.>`;
  if (kind === "node") return [subject, ofBuyer, feed];
  return [`rt.${kind}.${backend}.*.${id}`, ofBuyer, feed, `rt.${kind}.*.*.${id}`];
}
