// Replays in the record: each change expects the message it was decided on, so whoever races, one wins and the others look again.
// A start or resume expects the last message of all replays: the limit of running ones holds across processes.

import { type Appender, type Backbone, getLast } from "@outcry/backbone";
import { type KeptReplay, type ReplayState, readReplays } from "@outcry/delivery";
import type { RunKeeper, Timers } from "@outcry/jobs";
import { type Clock, LIMITS, OutcryError, STREAMS, SUBJECTS, isId } from "@outcry/protocol";
import { changeReplay, type ReplayCommand } from "./replay-state.js";

const TRIES_MAX = 50;
const UNSURE_MS = 15_000; // longer than an append takes or fails: the timer of a process that died over it finds the record

export interface ReplayBookDeps {
  backbone: Backbone;
  deadLetters: Appender;
  timers: Timers;
  run: RunKeeper;
  clock: Clock;
  /** A timer that is due now was set. */
  nudge: () => void;
}

export interface ReplayBook {
  get(id: string): Promise<KeptReplay | undefined>;
  /** Newest change last. */
  list(): Promise<KeptReplay[]>;
  start(state: ReplayState): Promise<ReplayState>;
  /** Throws `replay_not_found`, `replay_ended`, `replays_too_many`. */
  change(id: string, command: ReplayCommand): Promise<ReplayState>;
  /** At a start of the service: timers of running replays that have none. */
  ensureTimers(): Promise<void>;
}

export function createReplayBook(deps: ReplayBookDeps): ReplayBook {
  const { backbone, timers, run, clock } = deps;
  const timer = (id: string) => ({ kind: "replay" as const, intentId: id });

  async function get(id: string): Promise<KeptReplay | undefined> {
    const stored = await getLast(backbone, STREAMS.deadLetters, SUBJECTS.replay(id));
    if (stored === undefined) return undefined;
    return { state: JSON.parse(Buffer.from(stored.data).toString()) as ReplayState, seq: stored.seq };
  }

  /** Set before the record says "running", and due at once behind it: no crash in between leaves it without a timer. */
  async function asRunning(id: string, write: () => Promise<ReplayState>): Promise<ReplayState> {
    await run.during(() => timers.ensure(timer(id), clock.now() + UNSURE_MS));
    const state = await write();
    if (state.status !== "running") return state;
    await run.during(() => timers.schedule(timer(id), clock.now()));
    deps.nudge();
    return state;
  }

  async function change(id: string, command: ReplayCommand): Promise<ReplayState> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const kept = await get(id);
      if (kept === undefined) throw new OutcryError("replay_not_found");
      const changed = changeReplay(kept.state, command, clock.now());
      if (changed.kind === "refused") throw new OutcryError(changed.code, `${id} is ${kept.state.status}.`);
      if (changed.kind === "same") return kept.state;
      const expect = command.kind === "resume" ? await roomFor(backbone) : { seq: kept.seq };
      if ((await append(deps, changed.state, expect)) === "appended") return changed.state;
    }
    throw tooLively(id);
  }

  return {
    get: async (id) => (isId("rpl", id) ? get(id) : undefined),
    list: () => readReplays(backbone),
    start: (state) =>
      asRunning(state.id, async () => {
        for (let tries = 0; tries < TRIES_MAX; tries++) {
          if ((await append(deps, state, await roomFor(backbone))) === "appended") return state;
        }
        throw tooLively(state.id);
      }),
    async change(id, command) {
      if (!isId("rpl", id)) throw new OutcryError("replay_not_found");
      return command.kind === "resume" ? asRunning(id, () => change(id, command)) : change(id, command);
    },
    async ensureTimers() {
      const running = (await readReplays(backbone)).filter(({ state }) => state.status === "running");
      for (const { state } of running) await run.during(() => timers.ensure(timer(state.id), clock.now()));
    },
  };
}

type Expect = { seq: number; filter?: string };

/** What a further running replay expects; throws when there is no room for it. */
async function roomFor(backbone: Backbone): Promise<Expect> {
  const all = await readReplays(backbone);
  const running = all.filter(({ state }) => state.status === "running").length;
  if (running >= LIMITS.replaysRunningMax)
    throw new OutcryError("replays_too_many", `${running} are running; ${LIMITS.replaysRunningMax} may.`);
  return { seq: all.at(-1)?.seq ?? 0, filter: SUBJECTS.allReplays };
}

async function append(deps: ReplayBookDeps, state: ReplayState, expectLast: Expect): Promise<"appended" | "exists"> {
  const data = Buffer.from(JSON.stringify(state));
  const written = await deps.deadLetters.append({ subject: SUBJECTS.replay(state.id), data, expectLast });
  return written.kind === "appended" ? "appended" : "exists";
}

const tooLively = (id: string): OutcryError =>
  new OutcryError("timed_out", `${id} was changed ${TRIES_MAX} times meanwhile`);
