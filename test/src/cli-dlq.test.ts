// outcry dlq against the real services: letters of a silent node are listed, counted, discarded and replayed, with --json as the API has it.

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { runCommand } from "@outcry/cli";
import {
  check,
  DeadLetter,
  DeadLetterDetail,
  LetterGroups,
  ReplayDryRun,
  ReplayView,
  STREAMS,
  SUBJECTS,
} from "@outcry/protocol";
import type { Backend } from "./api-calls.js";
import { eventually, inMs, type Market, startMarket } from "./in-process.js";
import { connectRaw, type RawNode } from "./raw-node.js";

let market: Market;
let backend: Backend;
let steady: RawNode;
let away: RawNode;
let letters: string[];

beforeAll(async () => {
  market = await startMarket({ ackTimeoutMs: 60, attemptsMax: 2 });
  backend = await market.backend();
  [steady, away] = [(await connectRaw(market)).acksAll(), await connectRaw(market)];
  letters = await Promise.all([1, 2, 3].map(deadLetter));
});
afterAll(() => market?.stop());

/** Of an intent that stays open: one node acknowledges and does not quote, the other is silent. */
async function deadLetter(): Promise<string> {
  const id = await backend.broadcast({ routing: { targets: [steady.id, away.id] }, quote_deadline: inMs(60_000) });
  const letter = SUBJECTS.deadDelivery(id, away.id);
  await eventually(() => market.last(STREAMS.deadLetters, letter));
  return letter;
}

async function outcry(...args: string[]) {
  let [out, err] = ["", ""];
  const code = await runCommand(args, {
    env: { OUTCRY_URL: market.url, OUTCRY_API_KEY: market.broadcast.adminKey },
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    readInput: () => Promise.resolve(""),
    signal: new AbortController().signal,
    columns: { out: undefined, err: 100 },
  });
  const lines = () =>
    out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { code, out, err, lines };
}
const fits = (schema: Parameters<typeof check>[0], value: unknown) =>
  expect(check(schema, value)).toMatchObject({ kind: "ok" });

describe("outcry dlq", () => {
  test("ls, groups and show say what died and why, as the API has it", async () => {
    const found = (await outcry("dlq", "ls", "--node", away.id, "--status", "open", "--since", "1h", "--json")).lines();
    expect(new Set(found.map(({ id }) => id))).toEqual(new Set(letters));
    for (const letter of found) fits(DeadLetter, letter);
    expect((await outcry("dlq", "ls", "--until", "1h", "--json")).out).toBe("");
    const [group] = (await outcry("dlq", "groups", "--by", "node", "--json")).lines();
    fits(LetterGroups.properties.data.items, group);
    expect(group).toMatchObject({ key: away.id, count: 3 });
    fits(DeadLetterDetail, (await outcry("dlq", "show", letters[0]!, "--json")).lines()[0]);
    expect((await outcry("dlq", "show", letters[0]!)).out).toMatch(
      /DELIVERY_DEAD_LETTERED {2}attempt 2 {2}ack_timeout/,
    );
  });

  test("discard wants a reason, and with --dry-run discards nothing", async () => {
    expect((await outcry("dlq", "discard", letters[0]!)).code).toBe(2);
    const dry = await outcry("dlq", "discard", letters[0]!, "--reason", "closed", "--dry-run");
    expect(dry.out).toMatch(/^would be discarded:\n\S+ {2}delivery {2}open/);
    expect((await outcry("dlq", "discard", letters[0]!, "--reason", "closed")).out).toBe(`${letters[0]!}  discarded\n`);
    expect((await outcry("dlq", "show", letters[0]!)).out).toMatch(/discarded {2}by \S+: closed/);
  });

  test("replay shows the dry run, wants to be told which letters, and draws a bar until the end", async () => {
    expect(await outcry("dlq", "replay")).toMatchObject({ code: 2, err: expect.stringContaining("say which letters") });
    const [dry] = (await outcry("dlq", "replay", "--node", away.id, "--dry-run", "--json")).lines();
    fits(ReplayDryRun, dry);
    expect(dry).toMatchObject({ matched: 3, valid: 2, invalid: { discarded: 1 } });
    expect((await outcry("dlq", "replays", "--json")).out).toBe("");

    away.acksAll();
    const ran = await outcry("dlq", "replay", "--node", away.id, "--rate", "4", "--reason", "the seller is back");
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(/^3 letters match, 2 can be sent again\nnot: discarded 1\n/);
    expect(ran.out).toMatch(/^rpl_\w+ {2}done\nsent 2, recovered \d/m);
    expect(ran.out).toMatch(/start by \S+: the seller is back/);
    expect(ran.err).toContain("replay █");
    const [replay] = (await outcry("dlq", "replays", "--json")).lines();
    fits(ReplayView, replay);
    expect((await outcry("dlq", "replays", "--id", String(replay!["id"]), "--action", "pause")).code).toBe(1);
    expect((await outcry("dlq", "replay", "--node", away.id, "--status", "open")).out).toContain("nothing to send");
  });

  test("a letter that is not there ends with 4", async () => {
    expect((await outcry("dlq", "show", "dead.no.letter")).code).toBe(4);
  });
});
