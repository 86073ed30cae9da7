// The service's side of the protocol for the nodes of a test: signs and sends intents, and hears what is answered (hear-answers.ts).
// No record, no retries, no ranking: what happens next is the test's to say.

import { setTimeout as sleep } from "node:timers/promises";
import type { AuthTree, Backbone } from "@outcry/backbone";
import {
  type AmendRequest,
  amendedRequest,
  buildCancel,
  buildIntent,
  canonicalize,
  type Clock,
  type Intent,
  type IntentRequest,
  LIMITS,
  SUBJECTS,
  systemClock,
  toRfc3339,
} from "@outcry/protocol";
import type { RunningNats } from "@outcry/servers";
import { generateKey, publicJwk, signEnvelope, signingKeyOf } from "@outcry/signing";
import { AnswerDesk } from "./hear-answers.js";
import { newSeat, type Seat } from "./seat.js";
import { SentIntent } from "./sent-intent.js";

const SERVICE_ID = "outcry";
const LISTENS_WITHIN_MS = 5_000; // a node that lost its server is back within 0.5 s
const LISTENS_POLL_MS = 20;
const RECONNECT_MS = 10_000;

const SAMPLE: IntentRequest = {
  line_items: [{ query: "canvas bag", category: "bags", quantity: 2 }],
  context: { currency: "EUR", region: "DE" },
};

export interface SendOptions {
  /** Names or ids of nodes; left out, all that connection() has named. */
  readonly to?: string | readonly string[];
  /** Of the first sending; again() counts on from it. */
  readonly attempt?: number;
  /** Until the quote deadline, when the request names none. */
  readonly timeLeftMs?: number;
}

interface MarketParts {
  readonly tree: AuthTree;
  readonly nats: RunningNats;
  readonly backbone: Backbone;
  readonly removeFolder: () => void;
}

export class TestMarket {
  readonly #parts: MarketParts;
  readonly #key = generateKey();
  readonly #seats = new Map<string, Seat>();
  readonly #desk: AnswerDesk;

  constructor(parts: MarketParts) {
    this.#parts = parts;
    const keyOf = (nodeId: string) => [...this.#seats.values()].find(({ id }) => id === nodeId)?.key;
    this.#desk = new AnswerDesk({ backbone: parts.backbone, keyOf });
  }

  /** What createNode needs to be a node here. The same name gets the same again: a node that was restarted. */
  connection(name = "seller"): Seat {
    const { tree, nats } = this.#parts;
    let seat = this.#seats.get(name);
    if (seat === undefined) {
      seat = newSeat(tree, { natsUrl: nats.url, serviceKeys: [publicJwk(this.#key)], serviceId: SERVICE_ID });
      this.#seats.set(name, seat);
    }
    return seat;
  }

  /** Signs an intent and sends it as the dispatcher does. A sample fills in what the request leaves out. */
  send(request: Partial<IntentRequest> = {}, options: SendOptions = {}): Promise<SentIntent> {
    return this.#send(buildSample(request, options.timeLeftMs), options);
  }

  /** The same bytes once more, as the next attempt. */
  async again(sent: SentIntent): Promise<void> {
    sent.attempt++;
    await this.#deliver(sent);
  }

  /** The next revision, to the same nodes: what is given replaces the standing member, null removes it. */
  async amend(sent: SentIntent, changes: AmendRequest): Promise<SentIntent> {
    const { revision = 0 } = sent.intent.payload;
    const intent = buildIntent(amendedRequest(sent.intent.payload, changes), {
      id: sent.id,
      sender: SERVICE_ID,
      traceId: sent.intent.trace_id,
      amends: { revision: revision + 1, supersedes: sent.digest },
    });
    const parts = { intent, key: this.#key, recorded: true, attempt: 1, targets: sent.names, previous: sent };
    const amended = new SentIntent(parts);
    this.#desk.expect(amended);
    await this.#deliver(amended);
    return amended;
  }

  async cancel(sent: SentIntent, reason = "the buyer changed their mind"): Promise<void> {
    sent.takeCancel();
    const bytes = canonicalize(buildCancel(sent.intent, sent.digest, reason));
    await this.#publish(sent.targets, SUBJECTS.nodeCancel, bytes, {
      "Outcry-Signature": signEnvelope(bytes, "cancel", this.#key).jws,
      traceparent: sent.traceparent,
    });
  }

  /** An intent under the service's key id, signed by another key: nodes must reject it. */
  forge(options: SendOptions = {}): Promise<SentIntent> {
    const foreign = signingKeyOf(crypto.getRandomValues(new Uint8Array(32)), this.#key.kid);
    return this.#send(buildSample({}, options.timeLeftMs), options, foreign);
  }

  /** A genuine intent that comes after its deadline: nodes must decline it. */
  expired(options: Omit<SendOptions, "timeLeftMs"> = {}): Promise<SentIntent> {
    const earlier = Date.now() - LIMITS.quoteWindowMinMs - 1;
    return this.#send(buildSample({}, LIMITS.quoteWindowMinMs, { now: () => earlier }), options);
  }

  /** The next n quote requests are stored and get no answer: nodes cannot know that, and must repeat them. */
  dropQuoteAnswers(n: number): void {
    this.#desk.answersToDrop = n;
  }

  /** kill -9 and a new start. Resolves when the market is connected again; nodes come back by themselves. */
  async restartServer(): Promise<void> {
    const { nats, backbone } = this.#parts;
    const lost = new Promise<void>((resolve) => {
      const off = backbone.health.onChange(() => (off(), resolve()));
    });
    await nats.kill9();
    if (backbone.health.up) await lost;
    await nats.restart();
    await backbone.health.whenUp(AbortSignal.timeout(RECONNECT_MS));
  }

  /** Drain nodes before: without their server they would try to reconnect for ever. */
  async stop(): Promise<void> {
    await this.#parts.backbone.close();
    await this.#parts.nats.stop();
    this.#parts.removeFolder();
  }

  async #send(intent: Intent, { to, attempt = 1 }: SendOptions, key = this.#key): Promise<SentIntent> {
    const recorded = key === this.#key;
    const sent = new SentIntent({ intent, key, recorded, attempt, targets: this.#targets(to) });
    this.#desk.expect(sent);
    await this.#deliver(sent);
    return sent;
  }

  #targets(to: SendOptions["to"]): ReadonlyMap<string, string> {
    const wanted = to === undefined ? [...this.#seats.keys()] : [to].flat();
    if (wanted.length === 0) throw new TypeError("send: no node yet; createNode(market.connection()) makes one");
    const targets = wanted.map((nameOrId): [string, string] => {
      const found = [...this.#seats].find(([name, { id }]) => name === nameOrId || id === nameOrId);
      if (found === undefined) throw new TypeError(`send: connection() was never called for ${nameOrId}`);
      return [found[1].id, found[0]];
    });
    return new Map(targets);
  }

  #deliver(sent: SentIntent): Promise<void> {
    return this.#publish(sent.targets, SUBJECTS.nodeIntent, sent.bytes, {
      "Outcry-Signature": sent.signature,
      "Outcry-Attempt": String(sent.attempt),
      "Outcry-Time-Left-Ms": String(Math.max(0, sent.deadlineMs - Date.now())),
      "X-Request-Id": sent.requestId,
      traceparent: sent.traceparent,
    });
  }

  async #publish(
    nodes: readonly string[],
    subjectOf: (node: string) => string,
    bytes: Uint8Array,
    headers: Readonly<Record<string, string>>,
  ): Promise<void> {
    // Core NATS drops what nobody hears; where the service would send once more, a test would fail now and then.
    await Promise.all(nodes.map((node) => this.#whenListening(node)));
    for (const node of nodes) this.#parts.backbone.publish(subjectOf(node), bytes, { headers });
    await this.#parts.backbone.flush();
  }

  async #whenListening(node: string): Promise<void> {
    const untilMs = Date.now() + LISTENS_WITHIN_MS;
    while (!(await hasListener(this.#parts.nats.monitorUrl, SUBJECTS.nodeIntent(node)))) {
      if (Date.now() > untilMs)
        throw new Error(`${node} does not listen: was its start() awaited? { to } names others`);
      await sleep(LISTENS_POLL_MS);
    }
  }
}

const buildSample = (
  request: Partial<IntentRequest>,
  timeLeftMs: number = LIMITS.quoteWindowDefaultMs,
  clock: Clock = systemClock,
): Intent =>
  buildIntent(
    { ...SAMPLE, quote_deadline: toRfc3339(clock.now() + timeLeftMs), ...request },
    { sender: SERVICE_ID, clock },
  );

/** As the server's monitoring tells it. False while it is away. */
async function hasListener(monitorUrl: string, subject: string): Promise<boolean> {
  const answer = await fetch(`${monitorUrl}/subsz?subs=1&test=${subject}`).catch(() => undefined);
  return answer !== undefined && ((await answer.json()) as { total: number }).total > 0;
}
