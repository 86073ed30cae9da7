// Replays of dead letters on real servers: what they count, send, skip and tell; and messages that were set aside and handed over again.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createAppender } from "@outcry/backbone";
import { encodeFollowUp, type ReplayState, setMessageAside } from "@outcry/delivery";
import {
  type AcksView,
  buildEvent,
  type DeadLetterDetail,
  type Event,
  intentId,
  type LetterReplay,
  LIMITS,
  newId,
  PROTOCOL_VERSION,
  type Problem,
  type ReplayDryRun,
  type ReplayRequest,
  type ReplayView,
  STREAMS,
  SUBJECTS,
} from "@outcry/protocol";
import { Redis } from "ioredis";
import { anIntent, type Backend, type Call } from "./api-calls.js";
import { eventually, inMs, type Market, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";

const ATTEMPTS = 3;
const TEST_TIMEOUT_MS = 60_000;
const REPLAYS = "/v1/dead-letters/replays";

let market: Market;
let backend: Backend;
let operator: Call;
let redis: Redis;
/** Acks at once and never quotes: its intents stay open. */
let steady: RawNode;
/** Silent until a test lets it answer. */
let away: RawNode;

beforeAll(async () => {
  market = await startMarket({ ackTimeoutMs: 60, attemptsMax: ATTEMPTS, deliveriesMax: 3 });
  backend = await market.backend();
  operator = await market.operator();
  redis = new Redis(market.brokers.redis.url);
  [steady, away] = [(await connectRaw(market)).acksAll(), await connectRaw(market)];
}, TEST_TIMEOUT_MS);
afterAll(async () => {
  await redis.quit();
  await market.stop();
});

const letterOf = (id: string, node: RawNode) => SUBJECTS.deadDelivery(id, node.id);

/** An open intent whose delivery to `node` is dead. */
async function deadIntent(node: RawNode = away, deadlineMs = 60_000): Promise<string> {
  const id = await backend.broadcast({ routing: { targets: [steady.id, node.id] }, quote_deadline: inMs(deadlineMs) });
  await eventually(() => market.last(STREAMS.deadLetters, letterOf(id, node)));
  return id;
}

const detailOf = async (id: string) => (await operator<DeadLetterDetail>("GET", `/v1/dead-letters/${id}`)).body;

async function start(request: ReplayRequest): Promise<ReplayView> {
  const { status, body } = await market.admin<ReplayView>("POST", REPLAYS, request);
  if (status !== 201) throw new Error(JSON.stringify(body));
  return body;
}

const dryRun = async (request: ReplayRequest) =>
  (await market.admin<ReplayDryRun>("POST", REPLAYS, { ...request, dry_run: true })).body;

const replayOf = async (id: string) => (await operator<ReplayView>("GET", `${REPLAYS}/${id}`)).body;

const done = (id: string) =>
  eventually(async () => {
    const view = await replayOf(id);
    return view.status === "done" && view;
  }, 30_000);

const attemptsAt = (node: RawNode, id: string) =>
  node.heardOf("intent", id).map(({ headers }) => Number(headers["Outcry-Attempt"]));

const eventsAbout = async (id: string, type: Event["type"]) =>
  (await market.eventsOf(id)).filter((event) => event.type === type).map(({ data }) => data);

describe("a replay", () => {
  test("sends the same bytes once more; a node that is back answers, and is told once to have recovered", async () => {
    const id = await deadIntent();
    expect(await dryRun({ filter: { intent_id: id } })).toEqual({
      status: "dry_run",
      matched: 1,
      valid: 1,
      invalid: {},
      complete: true,
    });
    expect(await eventsAbout(id, "DELIVERY_REPLAYED")).toEqual([]);

    const replay = await start({ filter: { intent_id: id }, reason: "the seller is back" });
    expect(replay).toMatchObject({ matched: 1, valid: 1, invalid: {}, status: "running" });
    await eventually(() => attemptsAt(away, id).includes(ATTEMPTS + 1));
    expect(attemptsAt(away, id)).toEqual([1, 2, 3, 4]);
    expect(new Set(away.heardOf("intent", id).map(({ data }) => Buffer.from(data).toString("hex"))).size).toBe(1);
    const sent = await done(replay.id);
    expect(sent.progress).toEqual({ looked_at: 1, sent: 1, recovered: 0, failed: 0, skipped: {} });
    expect((await detailOf(letterOf(id, away))).status).toBe("replayed");

    away.ack(await away.hears(id));
    await eventually(async () => (await detailOf(letterOf(id, away))).status === "recovered");
    const { body } = await backend.call<AcksView>("GET", `/v1/intents/${id}/acks`);
    expect(body.acks.find(({ node_id }) => node_id === away.id)).toMatchObject({ status: "acked", attempts: 4 });
    expect((await replayOf(replay.id)).progress.recovered).toBe(1);

    const heard = await away.hears(id);
    expect(await away.ask(id, away.quote(heard))).toMatchObject({ kind: "stored" });
    await market.quotesOf(backend, id, 1);
    await backend.call("POST", `/v1/intents/${id}/close`);
    expect(await market.ended(backend, id)).toBe("closed");
    expect(await eventsAbout(id, "DELIVERY_REPLAYED")).toEqual([
      { intent_id: id, node_ids: [away.id], attempt: 4, replay_id: replay.id, dead_letter_ids: [letterOf(id, away)] },
    ]);
    expect(await eventsAbout(id, "DELIVERY_RECOVERED")).toEqual([
      { intent_id: id, node_ids: [away.id], by: "ack", attempts: 4 },
    ]);
    expect(replay.audit).toEqual([
      { time: expect.any(String), action: "start", by: expect.stringMatching(/^key_/), reason: "the seller is back" },
    ]);
  });

  test(
    "counts what it cannot send, by reason, and sends nothing to those",
    async () => {
      const suspended = await connectRaw(market);
      const gone = await connectRaw(market);
      const ids = {
        valid: await deadIntent(),
        ended: await deadIntent(),
        answered: await deadIntent(),
        discarded: await deadIntent(),
        suspended: await deadIntent(suspended),
        unknown: await deadIntent(gone),
      };
      await backend.call("POST", `/v1/intents/${ids.ended}/close`);
      away.ack(await away.hears(ids.answered));
      await eventually(async () => (await detailOf(letterOf(ids.answered, away))).status === "recovered");
      await market.admin("POST", `/v1/dead-letters/${letterOf(ids.discarded, away)}/discard`, {
        reason: "a duplicate",
      });
      await market.admin("POST", `/v1/nodes/${suspended.id}/suspend`, {});
      await market.admin("DELETE", `/v1/nodes/${gone.id}`);
      const letters = [
        ...[ids.valid, ids.ended, ids.answered, ids.discarded].map((id) => letterOf(id, away)),
        letterOf(ids.suspended, suspended),
        letterOf(ids.unknown, gone),
      ];
      const invalid = { intent_ended: 1, already_answered: 1, discarded: 1, node_suspended: 1, node_unknown: 1 };
      const filter = { ids: letters };
      expect(await dryRun({ filter })).toEqual({ status: "dry_run", matched: 6, valid: 1, invalid, complete: true });
      const replay = await done((await start({ filter })).id);
      expect(replay.progress).toMatchObject({ looked_at: 6, sent: 1, skipped: invalid });
      expect(attemptsAt(away, ids.valid)).toEqual([1, 2, 3, 4]);
      for (const id of [ids.ended, ids.answered, ids.discarded]) expect(attemptsAt(away, id)).toEqual([1, 2, 3]);
      expect(attemptsAt(suspended, ids.suspended)).toEqual([1, 2, 3]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "has an attempt of its own each time, until four bits are full",
    async () => {
      const id = await deadIntent();
      for (let attempt = ATTEMPTS + 1; attempt <= LIMITS.attemptsCeiling; attempt++) {
        await done((await start({ filter: { intent_id: id } })).id);
        expect(attemptsAt(away, id).at(-1)).toBe(attempt);
      }
      expect((await dryRun({ filter: { intent_id: id } })).invalid).toEqual({ attempts_exhausted: 1 });
      const last = await done((await start({ filter: { intent_id: id } })).id);
      expect(last.progress).toMatchObject({ sent: 0, skipped: { attempts_exhausted: 1 } });
      expect((await detailOf(letterOf(id, away))).timeline!.map(({ event, attempt }) => `${event} ${attempt}`)).toEqual(
        [
          "INTENT_CREATED undefined",
          "INTENT_BROADCASTED 1",
          "DELIVERY_RETRYING 2",
          "DELIVERY_RETRYING 3",
          "DELIVERY_DEAD_LETTERED 3",
          ...Array.from({ length: 12 }, (_, index) => `DELIVERY_REPLAYED ${index + 4}`),
        ],
      );
    },
    TEST_TIMEOUT_MS,
  );

  describe("of many letters", () => {
    const LETTERS = 40;
    let ids: string[];
    beforeAll(async () => {
      ids = await Promise.all(Array.from({ length: LETTERS }, () => deadIntent()));
    }, TEST_TIMEOUT_MS);

    const heardAgain = (attempt: number) => ids.filter((id) => attemptsAt(away, id).includes(attempt)).length;
    const letters = () => ids.map((id) => letterOf(id, away));

    test(
      "keeps its rate",
      async () => {
        const startedMs = Date.now();
        const { id } = await start({ filter: { ids: letters() }, rate_per_second: 10 });
        const { progress } = await done(id);
        const tookMs = Date.now() - startedMs;
        console.log(`${LETTERS} letters at 10/s took ${tookMs} ms`);
        expect(progress.sent).toBe(LETTERS);
        expect(tookMs).toBeGreaterThan((LETTERS / 10) * 1_000 * 0.8);
        expect(tookMs).toBeLessThan((LETTERS / 10) * 1_000 * 1.2);
        expect(heardAgain(4)).toBe(LETTERS);
      },
      TEST_TIMEOUT_MS,
    );

    test(
      "stands still while it is paused, goes on when resumed, and ends when cancelled",
      async () => {
        const { id } = await start({ filter: { ids: letters() }, rate_per_second: 20 });
        await eventually(() => heardAgain(5) >= 5);
        const paused = await market.admin<ReplayView>("POST", `${REPLAYS}/${id}/pause`, { reason: "too fast" });
        expect(paused.body.status).toBe("paused");
        await new Promise((resolve) => setTimeout(resolve, 500));
        const stood = heardAgain(5);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        expect(heardAgain(5)).toBe(stood);
        expect((await replayOf(id)).progress.sent).toBe(stood);
        expect((await market.admin<ReplayView>("POST", `${REPLAYS}/${id}/pause`)).body.status).toBe("paused");

        await market.admin("POST", `${REPLAYS}/${id}/resume`);
        await eventually(() => heardAgain(5) > stood);
        const cancelled = await market.admin<ReplayView>("POST", `${REPLAYS}/${id}/cancel`, { reason: "enough" });
        expect(cancelled.body.status).toBe("cancelled");
        await new Promise((resolve) => setTimeout(resolve, 500));
        const left = await replayOf(id);
        expect(left.progress.sent).toBe(heardAgain(5));
        expect(left.progress.sent).toBeLessThan(LETTERS);
        expect(left.audit.map(({ action, reason }) => [action, reason])).toEqual([
          ["start", undefined],
          ["pause", "too fast"],
          ["resume", undefined],
          ["cancel", "enough"],
        ]);
        const again = await market.admin("POST", `${REPLAYS}/${id}/resume`);
        expect([again.status, again.body.code]).toEqual([409, "replay_ended"]);
      },
      TEST_TIMEOUT_MS,
    );

    test(
      "survives a Redis that lost everything, and sends none twice",
      async () => {
        const before = ids.map((id) => attemptsAt(away, id).length);
        const { id } = await start({ filter: { ids: letters() }, rate_per_second: 20 });
        const sent = () => ids.filter((intent, at) => attemptsAt(away, intent).length > before[at]!).length;
        await eventually(() => sent() >= 5);
        await redis.flushall();
        const { progress } = await done(id);
        expect(progress).toMatchObject({ looked_at: LETTERS, sent: LETTERS });
        expect(ids.map((intent) => attemptsAt(away, intent).length)).toEqual(before.map((count) => count + 1));
      },
      TEST_TIMEOUT_MS,
    );

    test(
      "runs beside a few others, and no more than those",
      async () => {
        const request = { filter: { ids: letters() }, rate_per_second: 0.1 };
        const posted = await Promise.all(
          Array.from({ length: LIMITS.replaysRunningMax + 2 }, () =>
            market.admin<Pick<ReplayView, "id"> & Problem>("POST", REPLAYS, request),
          ),
        );
        const started = posted.filter(({ status }) => status === 201).map(({ body }) => body.id);
        expect(started).toHaveLength(LIMITS.replaysRunningMax);
        for (const { status, body } of posted)
          if (status !== 201) expect([status, body.code]).toEqual([409, "replays_too_many"]);
        await market.admin("POST", `${REPLAYS}/${started[0]}/pause`);
        const another = await start(request);
        const tooMany = await market.admin("POST", `${REPLAYS}/${started[0]}/resume`);
        expect(tooMany.body.code).toBe("replays_too_many");
        const listed = await operator<{ data: ReplayView[]; has_more: boolean; next_cursor: string }>(
          "GET",
          `${REPLAYS}?limit=2`,
        );
        expect(listed.body.data[0]!.id).toBe(another.id);
        expect(listed.body.has_more).toBe(true);
        const second = await operator<{ data: ReplayView[] }>(
          "GET",
          `${REPLAYS}?limit=2&cursor=${listed.body.next_cursor}`,
        );
        expect(second.body.data).toHaveLength(2);
        for (const id of [...started, another.id]) await market.admin("POST", `${REPLAYS}/${id}/cancel`);
      },
      TEST_TIMEOUT_MS,
    );
  });
});

describe("a dead delivery that answers by itself", () => {
  test("with a quote alone is told to have recovered by it, once, before the end", async () => {
    const id = await deadIntent();
    const heard = await away.hears(id);
    await away.ask(id, away.quote(heard));
    await eventually(async () => (await detailOf(letterOf(id, away))).status === "recovered");
    await backend.call("POST", `/v1/intents/${id}/close`);
    await market.ended(backend, id);
    expect(await eventsAbout(id, "DELIVERY_RECOVERED")).toEqual([
      { intent_id: id, node_ids: [away.id], by: "quote", attempts: ATTEMPTS },
    ]);
    expect((await market.eventsOf(id)).at(-1)!.type).toBe("INTENT_CLOSED");
  });

  test("is told at the end when whoever recorded its answer could not", async () => {
    const id = await deadIntent();
    const { topic, trace_id } = (await market.eventsOf(id))[0]!;
    // Its answer as a process leaves it that dies behind the append: in the log, and nowhere else.
    const response = { node_id: away.id, kind: "ack" as const, status: "accepted" as const, received_at: inMs(0) };
    await market.broadcast.platform.events.append(
      buildEvent("NODE_RESPONDED", { intent_id: id, responses: [response] }, { topic, traceId: trace_id }),
    );
    await backend.call("POST", `/v1/intents/${id}/close`);
    await market.ended(backend, id);
    const recovered = { intent_id: id, node_ids: [away.id], by: "ack", attempts: ATTEMPTS };
    expect(await eventsAbout(id, "DELIVERY_RECOVERED")).toEqual([recovered]);
    expect((await detailOf(letterOf(id, away))).recovered).toMatchObject({ by: "ack", attempts: ATTEMPTS });
  });
});

/** An intent whose row is no row: its dispatch fails until that is gone. */
async function poisonedIntent(): Promise<{ id: string; letter: string }> {
  const key = newId("req");
  const id = intentId(backend.id, key);
  await redis.set(`{outcry}:dlv:${id}`, "not a row");
  const request = { ...anIntent, routing: { targets: [away.id] }, quote_deadline: inMs(60_000) };
  expect((await backend.post(request, key)).status).toBe(202);
  const { seq } = (await market.last(STREAMS.intents, SUBJECTS.intent(id)))!;
  const letter = SUBJECTS.deadMessage(STREAMS.intents, seq);
  await eventually(() => market.last(STREAMS.deadLetters, letter), 30_000);
  return { id, letter };
}

describe("a message that was set aside", () => {
  test(
    "is handed to its handler again, and handled once its cause is gone",
    async () => {
      const { id, letter } = await poisonedIntent();
      const found = await detailOf(letter);
      expect(found).toMatchObject({ kind: "message", status: "open", attempts: 3, version: PROTOCOL_VERSION });
      expect(found.cause).toContain("WRONGTYPE");

      const failed = await done((await start({ filter: { ids: [letter] } })).id);
      expect(failed.progress).toMatchObject({ sent: 0, failed: 1, recovered: 0 });
      const stillOpen = await detailOf(letter);
      expect(stillOpen).toMatchObject({ status: "open", replayed: { replay_id: failed.id, outcome: "failed" } });
      expect(stillOpen.replayed!.cause).toContain("WRONGTYPE");
      expect(away.heardOf("intent", id)).toHaveLength(0);

      await redis.del(`{outcry}:dlv:${id}`);
      const handled = await done((await start({ filter: { stream: STREAMS.intents, status: "open" } })).id);
      expect(handled.progress).toMatchObject({ sent: 1, failed: 0, recovered: 1 });
      expect((await detailOf(letter)).status).toBe("recovered");
      away.ack(await away.hears(id));
      expect(await dryRun({ filter: { ids: [letter] } })).toMatchObject({ valid: 0, invalid: { already_answered: 1 } });
      expect((await market.stored(STREAMS.deadLetters, letter)).length).toBe(1);
    },
    TEST_TIMEOUT_MS,
  );
});

describe("a quote that was set aside", () => {
  test(
    "is queued once more, and judged",
    async () => {
      const id = await backend.broadcast({ routing: { targets: [steady.id, away.id] }, quote_deadline: inMs(60_000) });
      const heard = await away.hears(id);
      away.ack(heard);
      await market.manager.consumers.pause(STREAMS.quotes, "intake", new Date(Date.now() + 60_000)); // it is not fed
      expect(await away.ask(id, away.quote(heard))).toMatchObject({ kind: "stored" });
      const stored = (await market.last(STREAMS.quotes, SUBJECTS.quotesOf(id)))!;
      const letter = SUBJECTS.deadMessage(STREAMS.quotes, stored.seq);
      await setMessageAside(market.broadcast.platform, stored, 3, new Error("could not be queued"));

      const replay = await done((await start({ filter: { ids: [letter] } })).id);
      expect(replay.progress).toMatchObject({ sent: 1, failed: 0 });
      expect((await market.quotesOf(backend, id, 1)).quotes.map(({ node_id }) => node_id)).toEqual([away.id]);
      expect(await dryRun({ filter: { ids: [letter] } })).toMatchObject({ invalid: { already_answered: 1 } });
      await market.manager.consumers.resume(STREAMS.quotes, "intake");
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "is an open letter again when it fails again, whoever finds that",
    async () => {
      const { backbone, deadLetters } = market.broadcast.platform;
      const appender = createAppender(backbone, { stream: STREAMS.quotes });
      const subject = "quotes.a:b.c.d"; // ids that are none: no job can be made of it
      await appender.append({ subject, data: Buffer.from("{}") });
      const stored = (await market.last(STREAMS.quotes, subject))!;
      const letter = SUBJECTS.deadMessage(STREAMS.quotes, stored.seq);
      await eventually(() => market.last(STREAMS.deadLetters, letter), 30_000);
      const replay = await done((await start({ filter: { ids: [letter] } })).id);
      expect(replay.progress).toMatchObject({ sent: 0, failed: 1 });
      expect((await detailOf(letter)).status).toBe("open");

      // As when its worker gives it up a moment after the replay has queued it.
      const word = { replay_id: newId("rpl"), time: inMs(0), outcome: "sent" } as const;
      await deadLetters.append({ subject: SUBJECTS.letterFollowUp(letter, "replayed"), data: encodeFollowUp(word) });
      expect((await detailOf(letter)).status).toBe("replayed");
      await setMessageAside(market.broadcast.platform, stored, 5, new Error("again"));
      await setMessageAside(market.broadcast.platform, stored, 5, new Error("again"));
      expect(await detailOf(letter)).toMatchObject({
        status: "open",
        replayed: { replay_id: word.replay_id, outcome: "failed", cause: "Error: again" },
      });
    },
    TEST_TIMEOUT_MS,
  );
});

describe("a replay whose process died over a letter", () => {
  /** As it stands in the record and in Redis when its process ended before it had counted anything. */
  async function leftBehind(letter: string): Promise<string> {
    const time = inMs(0);
    const { seq: through } = (await market.last(STREAMS.deadLetters, ">"))!;
    const state: ReplayState = {
      record_version: 1,
      id: newId("rpl"),
      status: "running",
      filter: { ids: [letter] },
      rate_per_second: 50,
      matched: 1,
      valid: 1,
      invalid: {},
      complete: true,
      position: 0,
      through,
      progress: { looked_at: 0, sent: 0, handled: 0, failed: 0, skipped: {} },
      next_due_ms: Date.now(),
      ran_ms: 0,
      running_since_ms: Date.now(),
      created: time,
      changed: time,
      audit: [{ time, action: "start", by: "key_x" }],
    };
    const { deadLetters } = market.broadcast.platform;
    await deadLetters.append({ subject: SUBJECTS.replay(state.id), data: Buffer.from(JSON.stringify(state)) });
    return state.id;
  }

  const takeUp = (id: string) =>
    market.broadcast.platform.timers.schedule({ kind: "replay", intentId: id }, Date.now());

  const note = (letter: string, word: LetterReplay) =>
    market.broadcast.platform.deadLetters.append({
      subject: SUBJECTS.letterFollowUp(letter, "replayed"),
      data: encodeFollowUp(word),
    });

  test("tells it no second time, and sends it under the attempt that was told", async () => {
    const id = await deadIntent();
    const letter = letterOf(id, away);
    const replay = await leftBehind(letter);
    const { topic, trace_id } = (await market.eventsOf(id))[0]!;
    const data = { intent_id: id, node_ids: [away.id], attempt: 4, replay_id: replay, dead_letter_ids: [letter] };
    await market.broadcast.platform.events.append(
      buildEvent("DELIVERY_REPLAYED", data, { topic, traceId: trace_id, key: ["of the one that died"] }),
    );
    await takeUp(replay);
    expect((await done(replay)).progress).toMatchObject({ looked_at: 1, sent: 1 });
    expect(await eventsAbout(id, "DELIVERY_REPLAYED")).toEqual([data]);
    await eventually(() => attemptsAt(away, id).length === 4);
    expect(attemptsAt(away, id)).toEqual([1, 2, 3, 4]);
  });

  test("does not send it again when it was noted as sent", async () => {
    const id = await deadIntent();
    const replay = await leftBehind(letterOf(id, away));
    await note(letterOf(id, away), { replay_id: replay, time: inMs(0), outcome: "sent", attempt: 4 });
    await takeUp(replay);
    expect((await done(replay)).progress).toMatchObject({ looked_at: 1, sent: 1 });
    expect(attemptsAt(away, id)).toEqual([1, 2, 3]);
  });

  test("hands a message over no second time when its handler took the process along", async () => {
    const { id, letter } = await poisonedIntent();
    await redis.del(`{outcry}:dlv:${id}`);
    const replay = await leftBehind(letter);
    await note(letter, { replay_id: replay, time: inMs(0), outcome: "begun" });
    await takeUp(replay);
    expect((await done(replay)).progress).toMatchObject({ looked_at: 1, sent: 0, failed: 1 });
    expect(await detailOf(letter)).toMatchObject({
      status: "open",
      replayed: { outcome: "failed", cause: "its process ended while it ran" },
    });
    expect(away.heardOf("intent", id)).toHaveLength(0);
    const again = await done((await start({ filter: { ids: [letter] } })).id); // only when somebody asks for it
    expect(again.progress).toMatchObject({ sent: 1, recovered: 1 });
  }, 60_000);

  test("is left to whoever has it when another process starts", async () => {
    const id = await deadIntent();
    const replay = await leftBehind(letterOf(id, away));
    const { timers } = market.broadcast.platform;
    await timers.ensure({ kind: "replay", intentId: replay }, Date.now() + 60_000);
    await timers.ensure({ kind: "replay", intentId: replay }, Date.now()); // as each start of a service does
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect((await replayOf(replay)).progress.sent).toBe(0);
    await takeUp(replay);
    await done(replay);
    await eventually(() => attemptsAt(away, id).length === 4);
    expect(attemptsAt(away, id)).toEqual([1, 2, 3, 4]);
  });
});

describe("bad input", () => {
  const unknown = () => newId("rpl");
  test.each([
    ["no filter", "POST", REPLAYS, {}, 400, "validation_failed"],
    ["a rate of nothing", "POST", REPLAYS, { filter: {}, rate_per_second: 0 }, 400, "validation_failed"],
    ["a rate beyond the limit", "POST", REPLAYS, { filter: {}, rate_per_second: 1_001 }, 400, "validation_failed"],
    ["a node that is no id", "POST", REPLAYS, { filter: { node_id: "*" } }, 400, "validation_failed"],
    ["a stream with a wildcard", "POST", REPLAYS, { filter: { stream: "*" } }, 400, "validation_failed"],
    ["a time that is none", "POST", REPLAYS, { filter: { since: "yesterday" } }, 400, "validation_failed"],
    ["no letters named", "POST", REPLAYS, { filter: { ids: [] } }, 400, "validation_failed"],
    ["an unknown replay", "GET", `${REPLAYS}/${unknown()}`, undefined, 404, "replay_not_found"],
    ["a replay that is no id", "GET", `${REPLAYS}/*`, undefined, 404, "replay_not_found"],
    ["pausing an unknown replay", "POST", `${REPLAYS}/${unknown()}/pause`, {}, 404, "replay_not_found"],
    ["pausing what is no id", "POST", `${REPLAYS}/x/pause`, {}, 404, "replay_not_found"],
    ["a cursor of nobody's making", "GET", `${REPLAYS}?cursor=x`, undefined, 400, "request_invalid"],
    ["an unknown letter", "GET", "/v1/dead-letters/dead.x.y", undefined, 404, "dead_letter_not_found"],
    ["a letter by a wildcard", "GET", "/v1/dead-letters/dead.*.*", undefined, 404, "dead_letter_not_found"],
    [
      "discarding an unknown letter",
      "POST",
      "/v1/dead-letters/dead.x.y/discard",
      { reason: "x" },
      404,
      "dead_letter_not_found",
    ],
    ["discarding without a reason", "POST", "/v1/dead-letters/dead.x.y/discard", {}, 400, "validation_failed"],
    ["groups by nothing", "GET", "/v1/dead-letters/groups", undefined, 400, "request_invalid"],
    ["groups by another thing", "GET", "/v1/dead-letters/groups?by=colour", undefined, 400, "request_invalid"],
    ["a status that is none", "GET", "/v1/dead-letters?status=lost", undefined, 400, "request_invalid"],
    ["a time in the query that is none", "GET", "/v1/dead-letters?since=2026", undefined, 400, "request_invalid"],
  ] as const)("%s is refused with its code", async (_what, method, path, body, status, code) => {
    const answer = await market.admin(method, path, body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  test("operators read, admins act, backends do neither", async () => {
    const letter = SUBJECTS.deadDelivery(newId("int"), newId("nod"));
    const acts = [
      ["POST", REPLAYS, { filter: {} }],
      ["POST", `${REPLAYS}/${unknown()}/pause`, {}],
      ["POST", `${REPLAYS}/${unknown()}/resume`, {}],
      ["POST", `${REPLAYS}/${unknown()}/cancel`, {}],
      ["POST", `/v1/dead-letters/${letter}/discard`, { reason: "x" }],
    ] as const;
    const reads = [
      REPLAYS,
      `${REPLAYS}/${unknown()}`,
      "/v1/dead-letters/groups?by=cause",
      `/v1/dead-letters/${letter}`,
    ];
    for (const [method, path, body] of acts) {
      expect((await operator(method, path, body)).body.code).toBe("permission_denied");
      expect((await backend.call(method, path, body)).body.code).toBe("permission_denied");
    }
    for (const path of reads) {
      expect((await operator("GET", path)).status).not.toBe(403);
      expect((await backend.call("GET", path)).body.code).toBe("permission_denied");
      expect((await market.as(undefined)("GET", path)).body.code).toBe("credentials_missing");
    }
  });
});
