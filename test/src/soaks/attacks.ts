// What a node can try against the others with its own credentials, and what each try is judged by. A try that gains something
// is a violation; the soak's own plant, a node with the service's credentials, must gain everywhere.

import { setTimeout as sleep } from "node:timers/promises";
import type { Subscription } from "@nats-io/transport-node";
import { SUBJECTS } from "@outcry/protocol";
import type { Violation } from "../faults/history.js";
import { foreignSubjects } from "../foreign-subjects.js";
import type { RawNode } from "../raw-node.js";

const SUBSCRIPTIONS_AT_ONCE = 12; // a node may hold 16, and some are its own
const REFUSED_WITHIN_MS = 5_000;
const POLL_MS = 10;

/** What arrives anywhere on the account, by whoever may hear everything. */
export interface Spy {
  /** Payloads that begin with a mark of ours, and the subjects where they arrived. */
  readonly marked: readonly { subject: string; mark: string }[];
  /** How often something else than a try of ours was published on this very subject. */
  heardOn(subject: string): number;
  /** Resolves when all that was published so far has been heard. */
  caughtUp(): Promise<void>;
}

export interface Victims {
  intent: string;
  others: readonly string[];
}

const MARK = "forged by ";
export const TRY = "tried by a soak"; // payload of its own requests: none of the service's answers
export const markOf = (node: string): string => `${MARK}${node}`;
export const isMark = (text: string): boolean => text.startsWith(MARK);

/** Subjects of each other node that this one could name. */
const publishesAt = (other: string, intent: string): string[] => [
  SUBJECTS.ack(other, intent),
  SUBJECTS.nodeQuote(other, intent),
  SUBJECTS.heartbeat(other),
  SUBJECTS.catchup(other),
  SUBJECTS.nodeIntent(other),
  SUBJECTS.nodeCancel(other),
  SUBJECTS.nodeNotice(other),
  SUBJECTS.nodeKeys(other),
  `_INBOX.${other}.x`,
  SUBJECTS.deadDelivery(intent, other),
  `quotes.${intent}.${other}.quo_01h455vb4pex5vsknk084sn02q`,
  `$KV.nodes.${other}`,
];

const subscriptionsAt = (other: string): string[] => [
  SUBJECTS.nodeAll(other),
  SUBJECTS.nodeIntent(other),
  SUBJECTS.ack(other, "*"),
  SUBJECTS.nodeQuote(other, "*"),
  `_INBOX.${other}.>`,
];

export const foreignPublishes = (node: string, { intent, others }: Victims): string[] => [
  ...new Set([
    ...foreignSubjects(node, others[0]!, intent).publishes,
    ...others.flatMap((other) => publishesAt(other, intent)),
  ]),
];

export const foreignSubscriptions = (node: string, { intent, others }: Victims): string[] => [
  ...new Set([...foreignSubjects(node, others[0]!, intent).subscriptions, ...others.flatMap(subscriptionsAt)]),
];

/** Publishes on every subject that is not its own: each must be refused by name, and arrive nowhere. */
export async function publishEverywhere(node: RawNode, subjects: readonly string[], spy: Spy): Promise<Violation[]> {
  const before = node.refused.length;
  for (const subject of subjects) node.publish(subject, markOf(node.id), { reply: `_INBOX.${node.id}.x` });
  await node.nats.flush();
  const refused = await refusalsOf(node, before, subjects, "Publish");
  await spy.caughtUp();
  const arrived = spy.marked.filter(({ mark }) => mark === markOf(node.id));
  return [
    ...subjects.filter((subject) => !refused.has(subject)).map((detail) => ({ rule: "publish_not_refused", detail })),
    ...arrived.map(({ subject }) => ({ rule: "publish_arrived", detail: subject })),
  ];
}

/** Subscribes to every subject that is not its own, alone and in a queue group: each must be refused, and hear nothing. */
export async function listenEverywhere(node: RawNode, subjects: readonly string[]): Promise<Violation[]> {
  const violations: Violation[] = [];
  for (let from = 0; from < subjects.length; from += SUBSCRIPTIONS_AT_ONCE / 2) {
    const some = subjects.slice(from, from + SUBSCRIPTIONS_AT_ONCE / 2);
    const before = node.refused.length;
    const made = some.flatMap((subject) => [subscribe(node, subject), subscribe(node, subject, "collectors")]);
    const refused = await refusalsOf(node, before, some, "Subscription", 2);
    for (const subject of some)
      if (!refused.has(subject)) violations.push({ rule: "subscription_not_refused", detail: subject });
    for (const { subscription, heard } of made) {
      subscription.unsubscribe();
      for (const detail of heard) violations.push({ rule: "leak", detail });
    }
  }
  return violations;
}

function subscribe(node: RawNode, subject: string, queue?: string): { subscription: Subscription; heard: string[] } {
  const heard: string[] = [];
  const callback = (error: Error | null, message: { subject: string }) => void (error ?? heard.push(message.subject));
  const subscription = node.nats.subscribe(subject, queue === undefined ? { callback } : { callback, queue });
  return { subscription, heard };
}

/** Subjects that the server named `times` times in a refusal. */
async function refusalsOf(
  node: RawNode,
  from: number,
  subjects: readonly string[],
  what: "Publish" | "Subscription",
  times = 1,
): Promise<ReadonlySet<string>> {
  const untilMs = Date.now() + REFUSED_WITHIN_MS;
  for (;;) {
    const counts = new Map<string, number>();
    for (const line of node.refused.slice(from)) {
      const subject = line.includes(what) ? /"([^"]+)"/.exec(line)?.[1] : undefined;
      if (subject !== undefined) counts.set(subject, (counts.get(subject) ?? 0) + 1);
    }
    const refused = new Set(subjects.filter((subject) => (counts.get(subject) ?? 0) >= times));
    if (refused.size === subjects.length || Date.now() > untilMs) return refused;
    await sleep(POLL_MS);
  }
}

/** Its own requests with reply subjects that are others' or the record's: no answer may arrive on any of them. */
export async function askWithForgedReplies(node: RawNode, { intent, others }: Victims, spy: Spy): Promise<Violation[]> {
  const replies = others.flatMap((other) => foreignSubjects(node.id, other, intent).replies);
  const forged = [...new Set(replies)].filter((reply) => !/[*>]|\.\./.test(reply));
  const before = new Map(forged.map((reply) => [reply, spy.heardOn(reply)]));
  const own = [SUBJECTS.nodeQuote(node.id, intent), SUBJECTS.ack(node.id, intent), SUBJECTS.catchup(node.id)];
  for (const reply of replies) for (const subject of own) node.publish(subject, TRY, { reply });
  // An honest one behind them: when it is answered, so would be those before it.
  await node.ask(intent, { bytes: Buffer.from(TRY) });
  await spy.caughtUp();
  return forged
    .filter((reply) => spy.heardOn(reply) > before.get(reply)!)
    .map((detail) => ({ rule: "forged_answer", detail }));
}
