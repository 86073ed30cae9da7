// Gathers answers of nodes for a few milliseconds, or until the last target has answered, and records them together:
// NODE_RESPONDED into EVENTS, then the delivery rows.
// That order makes the rows rebuildable. An answer lost before it was recorded is earned again by the next attempt.

import { type Clock, type EventData, LIMITS, type Log, atRevision, buildEvent, isTemporary } from "@outcry/protocol";
import type { DeliveryRows, RecordResult, RunKeeper } from "@outcry/jobs";
import type { EventLog } from "./event-log.js";
import type { LoadedIntent } from "./intent-book.js";
import { stateOfAnswer } from "./intent-record.js";

const RETRY_MS = 200;

export type NodeAnswer = EventData<"NODE_RESPONDED">["responses"][number];

interface Window {
  intent: LoadedIntent;
  answers: NodeAnswer[];
  /** Shared by all answers of the window: a promise each would be most of the garbage of a large fan-out. */
  done: Promise<void>;
  settle: { resolve: () => void; reject: (error: unknown) => void };
}

export interface ResponseLogDeps {
  events: EventLog;
  rows: DeliveryRows;
  run: RunKeeper;
  clock: Clock;
  log: Log;
  windowMs?: number;
  /** Called when the last open delivery of an intent became final: its end timer is due now. */
  onComplete?: (intentId: string) => void;
  /** Called for an answer that came behind its intent's end. */
  onEnded?: (intentId: string) => void;
  /** Called when nodes answered whose deliveries were dead. What fails here is told with the end. */
  onRecovered: (intent: LoadedIntent, nodes: string[]) => Promise<void>;
}

export interface ResponseLog {
  /** Resolves once the answer is in EVENTS and in the row; until then it is only in memory. */
  add(intent: LoadedIntent, answer: NodeAnswer): Promise<void>;
  /** Answers that are not yet recorded: the bound for those who may drop instead of waiting. */
  readonly unrecorded: number;
  /** Resolves when every answer that was added so far is recorded, or has failed to be. Waits out an outage. */
  recorded(): Promise<void>;
  /** At a stop: records what has been gathered and returns when it is done. What an outage holds back is dropped. */
  flush(): Promise<void>;
}

function openWindow(intent: LoadedIntent): Window {
  let ends!: Window["settle"];
  const done = new Promise<void>((resolve, reject) => (ends = { resolve, reject }));
  return { intent, answers: [], done, settle: ends };
}

export function createResponseLog(deps: ResponseLogDeps): ResponseLog {
  const { windowMs = LIMITS.responseWindowMs } = deps;
  let windows = new Map<string, Window>(); // by digest: each revision has its own
  let timer: NodeJS.Timeout | undefined;
  let complete: Window[] = []; // nobody is left to wait for
  const acks = new WeakMap<LoadedIntent, number>();
  let unrecorded = 0;
  const running = new Set<Promise<void>>();
  const outage: Outage = { stopping: false, waiting: 0 };

  function close(): void {
    clearTimeout(timer);
    timer = undefined;
    const closed = [...windows.values()];
    windows = new Map();
    record(closed);
  }

  function closeComplete(): void {
    const closed = complete;
    complete = [];
    record(closed);
  }

  /** Those that become complete in one turn of the loop go together. */
  function completed(window: Window): void {
    windows.delete(window.intent.record.request_digest);
    if (complete.push(window) === 1) setImmediate(closeComplete);
  }

  function record(closed: Window[]): void {
    if (closed.length === 0) return;
    const work = recordWindows(deps, outage, closed).finally(() => {
      for (const { answers } of closed) unrecorded -= answers.length;
      running.delete(work);
    });
    running.add(work);
  }

  function countAck(intent: LoadedIntent): number {
    const count = (acks.get(intent) ?? 0) + 1;
    acks.set(intent, count);
    return count;
  }

  async function recorded(): Promise<void> {
    closeComplete();
    if (windows.size > 0) close();
    await Promise.all(running);
  }

  return {
    get unrecorded() {
      return unrecorded;
    },
    add(intent, answer) {
      const digest = intent.record.request_digest;
      let window = windows.get(digest);
      if (window === undefined) windows.set(digest, (window = openWindow(intent)));
      window.answers.push(answer);
      unrecorded += 1;
      timer ??= setTimeout(close, windowMs);
      if (answer.kind === "ack" && countAck(intent) === intent.record.targets.length) completed(window);
      return window.done;
    },
    recorded,
    async flush() {
      outage.stopping = true;
      await recorded();
    },
  };
}

async function recordWindows(deps: ResponseLogDeps, outage: Outage, windows: Window[]): Promise<void> {
  const recorded = await Promise.all(windows.map((window) => appendAnswers(deps, outage, window)));
  const appended = windows.filter((_, index) => recorded[index]);
  if (appended.length === 0) return;
  try {
    const results = await repeated(deps, outage, () =>
      deps.run.during(() =>
        deps.rows.record(appended.map(({ intent, answers }) => ({ intent, updates: updatesOf(intent, answers) }))),
      ),
    );
    appended.forEach((window, index) => settle(deps, window, results[index]!));
    const back = appended.flatMap(({ intent }, index) => backFromDead(intent, results[index]!));
    await Promise.all(back.map((recovered) => tellRecovered(deps, outage, recovered)));
  } catch (error) {
    for (const { settle: one } of appended) one.reject(error);
  }
}

interface BackFromDead {
  intent: LoadedIntent;
  nodes: string[];
}

function backFromDead(intent: LoadedIntent, result: RecordResult): BackFromDead[] {
  if (result.kind !== "recorded" || result.applied.every(({ from }) => from !== "dead")) return [];
  const applied = result.applied.filter(({ from }) => from === "dead");
  return [{ intent, nodes: applied.map(({ index }) => intent.record.targets[index]!) }];
}

/** Behind the answers, which nobody has to wait for any more. */
async function tellRecovered(deps: ResponseLogDeps, outage: Outage, { intent, nodes }: BackFromDead): Promise<void> {
  await repeated(deps, outage, () => deps.onRecovered(intent, nodes)).catch((error: unknown) =>
    deps.log.warn({ err: error, intent_id: intent.id }, "a recovery is not told yet; the end will tell it"),
  );
}

async function appendAnswers(
  deps: ResponseLogDeps,
  outage: Outage,
  { intent, answers, settle: { reject } }: Window,
): Promise<boolean> {
  try {
    for (let from = 0; from < answers.length; from += LIMITS.responsesPerEventMax) {
      const responses = answers.slice(from, from + LIMITS.responsesPerEventMax);
      const event = buildEvent(
        "NODE_RESPONDED",
        { intent_id: intent.id, ...atRevision(intent.revision), responses },
        {
          topic: intent.topic,
          traceId: intent.intent.trace_id,
          clock: deps.clock,
        },
      );
      await repeated(deps, outage, () => deps.events.append(event));
    }
    return true;
  } catch (error) {
    reject(error);
    return false;
  }
}

/** An answer of a node may already be told in the same event by a second delivery: the row takes each once. */
function updatesOf(intent: LoadedIntent, answers: NodeAnswer[]) {
  return answers.map((answer) => ({
    index: intent.indexOf.get(answer.node_id)!,
    to: stateOfAnswer[answer.status],
  }));
}

function settle(deps: ResponseLogDeps, window: Window, result: RecordResult): void {
  if (result.kind === "recorded" && result.open === 0) deps.onComplete?.(window.intent.id);
  if (result.kind === "ending" || result.kind === "ended") deps.onEnded?.(window.intent.id);
  window.settle.resolve();
}

interface Outage {
  /** From here on nothing waits: an answer that is dropped is earned again, by the next attempt or the quote's next run. */
  stopping: boolean;
  /** Windows that wait for it to be over. */
  waiting: number;
}

/** Work that both systems make idempotent, through outages: they spend nothing but time, and one line in the log. */
async function repeated<T>(deps: ResponseLogDeps, outage: Outage, work: () => Promise<T>): Promise<T> {
  const waitsOut = (error: unknown) => isTemporary(error) && !outage.stopping;
  try {
    return await work();
  } catch (error) {
    if (!waitsOut(error)) throw error;
    if (outage.waiting === 0) deps.log.warn({ err: error }, "answers wait to be recorded");
  }
  outage.waiting += 1;
  try {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      try {
        return await work();
      } catch (error) {
        if (!waitsOut(error)) throw error;
      }
    }
  } finally {
    outage.waiting -= 1;
  }
}
