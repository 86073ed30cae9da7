import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { derivedId, newId, quoteId } from "./ids.js";
import {
  livePrefix,
  nodeInboxPrefix,
  parseAnswer,
  parseDeadLetter,
  parseIntentSubject,
  parseTopic,
  STREAMS,
  SUBJECTS,
  TOPICS,
} from "./subjects.js";

const node = "nod_01h455vb4pex5vsknk084sn02r";
const intent = "int_0t6722rk2chcnrm7wygf55jb54";
const quote = quoteId(intent, node, 0);
const backend = "bkd_01h455vb4pex5vsknk084sn02q";

/** NATS: `*` is one token, `>` all that follow. */
function matches(pattern: string, subject: string): boolean {
  const tokens = subject.split(".");
  const wanted = pattern.split(".");
  const open = wanted.at(-1) === ">";
  if (open ? tokens.length < wanted.length : tokens.length !== wanted.length) return false;
  return wanted.every((token, at) => token === ">" || token === "*" || token === tokens[at]);
}

describe("subjects", () => {
  test("are those of the wire's description", () => {
    expect({
      intent: SUBJECTS.intent(intent),
      end: SUBJECTS.intentEnd(intent),
      quote: SUBJECTS.quote(intent, node, quote),
      dead: SUBJECTS.deadDelivery(intent, node),
      poison: SUBJECTS.deadMessage(STREAMS.intents, 7),
      toNode: [SUBJECTS.nodeIntent(node), SUBJECTS.nodeCancel(node), SUBJECTS.nodeNotice(node)],
      fromNode: [
        SUBJECTS.ack(node, intent),
        SUBJECTS.nodeQuote(node, intent),
        SUBJECTS.heartbeat(node),
        SUBJECTS.catchup(node),
      ],
      inbox: nodeInboxPrefix(node),
      live: livePrefix("eu-1"),
    }).toEqual({
      intent: `ucp.v1.intent.${intent}`,
      end: `ucp.v1.intent.${intent}.end`,
      quote: `quotes.${intent}.${node}.${quote}`,
      dead: `dead.${intent}.${node}`,
      poison: "dead.consumer.INTENTS.7",
      toNode: [`ucp.v1.node.${node}.intent`, `ucp.v1.node.${node}.cancel`, `ucp.v1.node.${node}.notice`],
      fromNode: [
        `ucp.v1.ack.${node}.${intent}`,
        `ucp.v1.quote.${node}.${intent}`,
        `ucp.v1.hb.${node}`,
        `ucp.v1.catchup.${node}`,
      ],
      inbox: `_INBOX.${node}`,
      live: "live.eu-1",
    });
  });

  test("match the patterns that their readers subscribe to, and no others", () => {
    const subjects = [
      SUBJECTS.intent(intent),
      SUBJECTS.intentEnd(intent),
      SUBJECTS.quote(intent, node, quote),
      SUBJECTS.ack(node, intent),
      SUBJECTS.nodeQuote(node, intent),
    ];
    const patterns = [
      SUBJECTS.allIntents,
      SUBJECTS.allEnds,
      SUBJECTS.allQuotes,
      SUBJECTS.allAcks,
      SUBJECTS.allNodeQuotes,
    ];
    expect(patterns.map((pattern) => subjects.filter((subject) => matches(pattern, subject)))).toEqual(
      subjects.map((subject) => [subject]),
    );
    expect(matches(SUBJECTS.intentChanges(intent), SUBJECTS.intentEnd(intent))).toBe(true);
    expect(matches(SUBJECTS.intentChanges(intent), SUBJECTS.intent(intent))).toBe(false);
    expect(matches(SUBJECTS.acksOf(intent), SUBJECTS.ack(node, intent))).toBe(true);
  });

  test("of a node are captured by no stream of the record", () => {
    const record = ["ucp.v1.intent.>", "rt.>", "quotes.>", "dead.>"];
    const publishable = [
      SUBJECTS.ack(node, intent),
      SUBJECTS.nodeQuote(node, intent),
      SUBJECTS.heartbeat(node),
      SUBJECTS.catchup(node),
    ];
    expect(publishable.filter((subject) => record.some((pattern) => matches(pattern, subject)))).toEqual([]);
  });

  const unsafe = ["", ".", "*", ">", "a.b", "a b", "a\n", "*.>", "nod_*", "é", "a\0"];
  test.each(unsafe)("are never built from the raw token %j", (token) => {
    const builders = [
      () => SUBJECTS.intent(token),
      () => SUBJECTS.intentEnd(token),
      () => SUBJECTS.intentChanges(token),
      () => SUBJECTS.quote(intent, node, token),
      () => SUBJECTS.quote(intent, token, quote),
      () => SUBJECTS.quotesOf(token),
      () => SUBJECTS.deadDelivery(token, node),
      () => SUBJECTS.deadMessage(token, 1),
      () => SUBJECTS.nodeIntent(token),
      () => SUBJECTS.nodeCancel(token),
      () => SUBJECTS.nodeNotice(token),
      () => SUBJECTS.nodeAll(token),
      () => SUBJECTS.ack(token, intent),
      () => SUBJECTS.acksOf(token),
      () => SUBJECTS.nodeQuote(token, intent),
      () => SUBJECTS.heartbeat(token),
      () => SUBJECTS.catchup(token),
      () => nodeInboxPrefix(token),
      () => livePrefix(token),
      () => TOPICS.intent(backend, undefined, token),
      () => TOPICS.node(token),
    ];
    for (const build of builders) expect(build).toThrow(TypeError);
    if (token !== "*") expect(() => SUBJECTS.ack(node, token)).toThrow(TypeError);
  });

  test("of a node's permissions may leave the intent open, and nothing else", () => {
    expect(SUBJECTS.ack(node, "*")).toBe(`ucp.v1.ack.${node}.*`);
    expect(SUBJECTS.nodeQuote(node, "*")).toBe(`ucp.v1.quote.${node}.*`);
  });
});

describe("what is parsed", () => {
  const ids = fc
    .tuple(fc.uuid(), fc.uuid())
    .map(([a, b]) => ({ node: derivedId("nod", a), intent: derivedId("int", b) }));

  test("comes back from every answer's subject", () => {
    fc.assert(
      fc.property(ids, (from) => {
        expect(parseAnswer(SUBJECTS.ack(from.node, from.intent))).toEqual(from);
        expect(parseAnswer(SUBJECTS.nodeQuote(from.node, from.intent))).toEqual(from);
        expect(parseIntentSubject(SUBJECTS.intent(from.intent))).toBe(from.intent);
        expect(parseIntentSubject(SUBJECTS.intentEnd(from.intent))).toBe(from.intent);
      }),
    );
  });

  test.each([
    `ucp.v1.ack.${node}.*`,
    `ucp.v1.ack.*.${intent}`,
    `ucp.v1.ack.${node}.>`,
    `ucp.v1.ack.${node}`,
    `ucp.v1.ack.${node}.${intent}.more`,
    `ucp.v1.ack.${intent}.${node}`,
    `ucp.v1.ack.${node}.${intent} `,
    `ucp.v2.ack.${node}.${intent}`,
    `ucp.v1.node.${node}.${intent}`,
    `quotes.${intent}.${node}.${quote}`,
    `x.y.z.${node}.${intent}`,
    "",
  ])("an answer's subject is not %j", (subject) => {
    expect(parseAnswer(subject)).toBeUndefined();
  });

  test.each([
    "ucp.v1.intent.*",
    `quotes.x.y.${intent}`,
    `ucp.v1.node.${intent}`,
    `ucp.v1.intent.${node}`,
    "ucp.v1.intent",
    "",
  ])("an intent's subject is not %j", (subject) => {
    expect(parseIntentSubject(subject)).toBeUndefined();
  });
});

describe("topics", () => {
  const topic = TOPICS.intent(backend, "42", intent);

  test("show neither backend nor buyer, and come back as their parts", () => {
    expect(topic).toBe(`rt.intent.2ca7274960d10c55b4a4.6d82c29c384bcec3b8fe.${intent}`);
    expect(parseTopic(topic)).toEqual({
      kind: "intent",
      backend: "2ca7274960d10c55b4a4",
      buyer: "6d82c29c384bcec3b8fe",
      id: intent,
    });
    expect(parseTopic(TOPICS.intent(backend, undefined, intent))).toMatchObject({ buyer: "-" });
    expect(parseTopic(TOPICS.node(node))).toEqual({ kind: "node", backend: "-", buyer: "-", id: node });
  });

  test("of one buyer id at two marketplaces never meet", () => {
    const other = newId("bkd");
    expect(matches(TOPICS.buyer(backend, "42"), topic)).toBe(true);
    expect(matches(TOPICS.backend(backend), topic)).toBe(true);
    expect(matches(TOPICS.buyer(other, "42"), topic)).toBe(false);
    expect(matches(TOPICS.backend(other), topic)).toBe(false);
    expect(matches(TOPICS.buyer(backend, "43"), topic)).toBe(false);
  });

  test("take any buyer's id, however it is written", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (buyer) => {
        fc.pre(!buyer.includes("\0"));
        expect(parseTopic(TOPICS.intent(backend, buyer, intent))?.id).toBe(intent);
      }),
    );
  });

  test.each([
    "rt.>",
    "rt.*.*.*.*",
    `rt.intent.a.b.*`,
    `rt.intent.a.b`,
    `rt.intent.a.b.c.d`,
    `rt.intent..b.c`,
    `live.x.rt.intent.a.b.c`,
  ])("a topic is not %j", (subject) => {
    expect(parseTopic(subject)).toBeUndefined();
  });
});

describe("dead letters", () => {
  const delivery = SUBJECTS.deadDelivery(intent, node);
  const message = SUBJECTS.deadMessage(STREAMS.quotes, 42);

  test("are told apart by their subjects alone", () => {
    expect(parseDeadLetter(delivery)).toEqual({ kind: "delivery", intent, node });
    expect(parseDeadLetter(message)).toEqual({ kind: "message", stream: "QUOTES", sequence: 42 });
    const all = [delivery, message, SUBJECTS.replay(newId("rpl")), SUBJECTS.letterFollowUp(delivery, "discarded")];
    expect(all.filter((subject) => matches(SUBJECTS.allDeadDeliveries, subject))).toEqual([delivery]);
    expect(all.filter((subject) => matches(SUBJECTS.allDeadMessages, subject))).toEqual([message]);
    expect(all.filter((subject) => matches(SUBJECTS.letterFollowUps(delivery), subject))).toEqual([all[3]]);
    expect(all.filter((subject) => matches(SUBJECTS.allReplays, subject))).toEqual([all[2]]);
  });

  test.each([
    SUBJECTS.letterFollowUp(delivery, "replayed"),
    SUBJECTS.letterFollowUp(message, "recovered"),
    SUBJECTS.replay(newId("rpl")),
    "dead.*.*",
    "dead.>",
    `dead.${intent}`,
    `dead.${intent}.*`,
    "dead.consumer.QUOTES.0",
    "dead.consumer.QUOTES.*",
    "dead.consumer.QUOTES.99999999999999999",
    "",
  ])("%j is none", (subject) => {
    expect(parseDeadLetter(subject)).toBeUndefined();
  });
});
