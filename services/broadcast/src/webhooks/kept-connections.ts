// Connections of one webhook that outlive a request. A kept one leads to an address of the newest check, and no check is older than
// LIMITS.webhookRecheckMs: when the name resolves elsewhere, or inside, the connections to where it did before are used no more.

import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { type Clock, LIMITS } from "@outcry/protocol";
import { type ResolveHost, type Target, type TargetRules, checkTarget } from "./check-target.js";

export interface ConnectDeps {
  readonly rules: TargetRules;
  readonly resolve: ResolveHost;
  readonly clock: Clock;
}

export interface Route {
  readonly kind: "ok";
  readonly url: URL;
  /** All of them public, as the rules ask. */
  readonly addresses: readonly string[];
  /** Its sockets lead to `addresses`; false: a connection for one request. */
  readonly agent: HttpAgent | false;
}

export type Routed = Route | Extract<Target, { kind: "refused" }>;

interface Kept extends Route {
  readonly text: string;
  readonly agent: HttpAgent;
  checkedMs: number;
}

export class KeptConnections {
  readonly #deps: ConnectDeps;
  #kept: Kept | undefined;
  #checking: { readonly text: string; readonly routed: Promise<Routed> } | undefined;
  #closed = false;

  constructor(deps: ConnectDeps) {
    this.#deps = deps;
  }

  /** Where a request to this URL goes now. */
  route(text: string): Promise<Routed> {
    const kept = this.#kept;
    if (kept?.text === text && this.#isFresh(kept)) return Promise.resolve(kept);
    if (this.#checking?.text === text) return this.#checking.routed;
    const routed = this.#check(text).finally(() => {
      if (this.#checking?.routed === routed) this.#checking = undefined;
    });
    this.#checking = { text, routed };
    return routed;
  }

  /** What is under way ends; nothing is kept any more. */
  close(): void {
    this.#closed = true;
    this.#replaceBy(undefined);
  }

  /** The clock may be set back: then a check looks as if it came from the future. */
  #isFresh({ checkedMs }: Kept): boolean {
    return Math.abs(this.#deps.clock.now() - checkedMs) < LIMITS.webhookRecheckMs;
  }

  async #check(text: string): Promise<Routed> {
    const { rules, resolve, clock } = this.#deps;
    const checkedMs = clock.now(); // before the answer: a name server may take its time
    const target = await checkTarget(text, rules, resolve);
    if (target.kind === "refused") {
      this.#replaceBy(undefined);
      return target;
    }
    const { url, addresses } = target;
    if (this.#closed) return { kind: "ok", url, addresses, agent: false };
    const kept = this.#kept;
    if (kept?.text === text && sameSet(kept.addresses, addresses)) {
      kept.checkedMs = checkedMs;
      return kept;
    }
    const made: Kept = { kind: "ok", text, url, addresses, agent: newAgent(url), checkedMs };
    this.#replaceBy(made);
    return made;
  }

  #replaceBy(next: Kept | undefined): void {
    const previous = this.#kept;
    this.#kept = next;
    if (previous !== undefined) retire(previous.agent);
  }
}

function newAgent({ protocol }: URL): HttpAgent {
  const Agent = protocol === "https:" ? HttpsAgent : HttpAgent;
  return new Agent({
    keepAlive: true,
    maxSockets: LIMITS.webhookInFlightMax,
    maxFreeSockets: LIMITS.webhookInFlightMax,
    timeout: LIMITS.webhookIdleMs,
    scheduling: "lifo", // after a burst the others fall silent, and are closed
  });
}

/** Idle connections are closed now, those in use after their answer: `destroy` would cut these, too. */
function retire(agent: HttpAgent): void {
  agent.keepSocketAlive = () => false;
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}

const sameSet = (some: readonly string[], others: readonly string[]): boolean =>
  some.toSorted().join() === others.toSorted().join();
