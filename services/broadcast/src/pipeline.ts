// The moving part of the broadcast service: everything between a recorded intent and its end. Any number of processes may run it.

import { type RunningConsumer, type Stored, runConsumer, subjectMatches } from "@outcry/backbone";
import {
  type Platform,
  type ResponseLog,
  createResponseLog,
  intakeJob,
  setMessageAside,
  settledAfter,
  tellRecovered,
} from "@outcry/delivery";
import { type TimerClaim, type TimerHandler, runTimers } from "@outcry/jobs";
import { LIMITS, OutcryError, type SignedAcks, STREAMS, SUBJECTS } from "@outcry/protocol";
import type { KeySource } from "@outcry/signing";
import type { SigningKeys } from "./access/signing-keys.js";
import { answerCatchUps } from "./catch-up.js";
import { collectAcks } from "./collect-acks.js";
import { deadLetter } from "./dead-letter.js";
import { type DispatchDeps, dispatchAmendment, dispatchIntent } from "./dispatch-intent.js";
import { type EndDeps, endWhenDue } from "./end-intent.js";
import { FloodGate } from "./flood-gate.js";
import { KnownIntents } from "./known-intents.js";
import { type FinishDeps, finishIntent } from "./finish-intent.js";
import type { PipelineMetrics } from "./metrics.js";
import type { JudgeDeps } from "./replays/judge-letters.js";
import type { ReplayBook } from "./replays/replay-book.js";
import { failReplay, runReplay, type RunReplayDeps } from "./replays/run-replay.js";
import { retryDeliveries } from "./retry-deliveries.js";
import { SentAttempts } from "./sent-attempts.js";
import { AckVerifier } from "./verify-acks.js";

const DELIVERIES_MAX = 10;
const TIMERS_CONCURRENCY = 64;

export interface PipelineOptions {
  signingKeys: Pick<SigningKeys, "current">;
  ackTimeoutMs: number;
  ackWindowMs: number;
  attemptsMax: number;
  /** Of one message of INTENTS before it is set aside. */
  deliveriesMax?: number;
  replays: ReplayBook;
  nodeStatus: JudgeDeps["nodeStatus"];
  /** Of one node; 0 = any number. */
  acksPerMinute: number;
  /** Absent: off. */
  signedAcks?: SignedAcks | undefined;
  nodeKeysOf: (nodeId: string) => KeySource;
  metrics: PipelineMetrics;
}

export interface Pipeline {
  readonly endDeps: EndDeps;
  /** Look at the timers now: one was just set. */
  nudge(): void;
  /** Takes nothing new, finishes what is in hand. */
  stop(): Promise<void>;
}

export function startPipeline(platform: Platform, options: PipelineOptions): Pipeline {
  const { backbone, book, events, rows, run, timers, clock, log, gate } = platform;
  const { metrics } = options;
  const ended = new KnownIntents();
  const broadcasted = new KnownIntents();
  const attempts = new SentAttempts({
    backbone,
    clock,
    attemptsMax: options.attemptsMax,
    keptMs: options.ackTimeoutMs + LIMITS.retryBaseMs * 2 ** options.attemptsMax + LIMITS.outageGraceMaxMs,
    hearAll: (intentId) => acks.hearAll(intentId),
  });
  const startedAtMs = clock.now();
  const responses: ResponseLog = createResponseLog({
    events,
    rows,
    run,
    clock,
    log,
    windowMs: options.ackWindowMs,
    onComplete: () => worker.nudge(),
    onEnded: (intentId) => ended.add(intentId),
    onRecovered: (intent, nodes) => tellRecovered(platform, intent, nodes),
  });
  const verifier = ackVerifier(platform, options);
  const deadDeps = { deadLetters: platform.deadLetters, events, rows, run, clock, onDead: metrics.dead };
  const endDeps: EndDeps = { backbone, intents: platform.intents, book, rows, run, ended, clock };
  const setAside = (stored: Stored, deliveries: number, cause: unknown) =>
    setMessageAside(platform, stored, deliveries, cause);

  const endTimer: TimerHandler = (claim) => endWhenDue(endDeps, claim).then((again) => again);
  const worker = runTimers({
    timers,
    handlers: {
      retry: (claim) =>
        retryDeliveries(
          {
            ...deadDeps,
            backbone,
            book,
            random: Math.random,
            ackTimeoutMs: options.ackTimeoutMs,
            attemptsMax: options.attemptsMax,
            // Before this process heard acks there may have been none that did.
            settledAtMs: ({ storedMs }) =>
              Math.max(platform.outages.settledAtMs, storedMs < startedAtMs ? settledAfter(storedMs, startedAtMs) : 0),
            heardAcks: async () => {
              await verifier?.settled();
              await responses.recorded();
            },
            attempts,
            onRetried: metrics.retried,
          },
          claim,
        ),
      deadline: endTimer,
      end: endTimer,
      replay: (claim, context) => runReplay(replayDeps, claim, context),
    },
    onExhausted: (claim, cause) =>
      claim.kind === "replay"
        ? failReplay(options.replays, claim, cause)
        : giveUpTimer(platform, deadDeps, claim, cause),
    gate,
    onRebuildNeeded: () => run.ensure(),
    concurrency: TIMERS_CONCURRENCY,
    log,
    clock,
  });

  const consume = (
    durable: string,
    filter: string,
    handler: (stored: Stored, repeated: boolean) => Promise<void>,
  ): RunningConsumer =>
    runConsumer(backbone, {
      stream: STREAMS.intents,
      durable,
      filters: [filter],
      deliveryLimit: options.deliveriesMax ?? DELIVERIES_MAX,
      gate: () => gate(),
      handler: ({ stored, isRedelivery }) => handler(stored, isRedelivery),
      onExhausted: setAside,
      log,
    });
  const dispatchDeps = {
    backbone,
    book,
    events,
    rows,
    run,
    clock,
    ackTimeoutMs: options.ackTimeoutMs,
    attempts,
    broadcasted,
    onDispatched: metrics.dispatched,
  };
  const finishDeps = {
    backbone,
    book,
    events,
    rows,
    run,
    ended,
    broadcasted,
    deadLetters: platform.deadLetters,
    onDead: metrics.dead,
    get signingKey() {
      return options.signingKeys.current;
    },
    clock,
    log,
    ackTimeoutMs: options.ackTimeoutMs,
    onEnded: metrics.ended,
  };
  const replayDeps: RunReplayDeps = {
    ...platform,
    replays: options.replays,
    nodeStatus: options.nodeStatus,
    handOver: (stored, replayId) => handOver({ dispatchDeps, finishDeps, queue: platform.queue }, stored, replayId),
    onReplayed: metrics.replayed,
  };
  void options.replays
    .ensureTimers()
    .catch((error: unknown) => log.warn({ err: error }, "replays that ran before are taken up at the next start"));
  const consumers = [
    consume("dispatch", SUBJECTS.allIntents, (stored, repeated) => dispatchIntent(dispatchDeps, stored, repeated)),
    consume("amend", SUBJECTS.allRevisions, (stored) => dispatchAmendment(dispatchDeps, stored)),
    consume("finish", SUBJECTS.allEnds, (stored, repeated) => finishIntent(finishDeps, stored, repeated)),
  ];
  const acks = collectAcks({
    backbone,
    book,
    responses,
    ended,
    floods: new FloodGate(options.acksPerMinute, clock),
    verifier,
    clock,
    log,
    onAck: metrics.ack,
    onRefused: metrics.ackRefused,
  });

  const catchUp = answerCatchUps({
    backbone,
    book,
    rows,
    run,
    timers,
    ended,
    gate,
    clock,
    log,
    onCaughtUp: metrics.caughtUp,
  });

  return {
    endDeps,
    nudge: () => worker.nudge(),
    async stop() {
      await Promise.all(consumers.map((consumer) => consumer.stop()));
      await catchUp.stop();
      await acks.drain();
      await verifier?.settled();
      await responses.flush();
      await worker.stop();
      attempts.close();
      await responses.flush(); // what was heard until now of attempts that this process was to judge
    },
  };
}

function ackVerifier({ log }: Platform, options: PipelineOptions): AckVerifier | undefined {
  const { signedAcks: mode = "off", nodeKeysOf: keysOf } = options;
  if (mode === "off") return undefined;
  return new AckVerifier({ mode, keysOf, onFailed: (error) => log.error({ err: error }, "an ack was not verified") });
}

interface Handlers {
  dispatchDeps: DispatchDeps;
  finishDeps: FinishDeps;
  queue: Platform["queue"];
}

/** A dead letter's message to the handler that its consumer would give it to. */
async function handOver(
  { dispatchDeps, finishDeps, queue }: Handlers,
  stored: Stored,
  replayId: string,
): Promise<"handled" | "sent"> {
  if (stored.stream === STREAMS.quotes) {
    const { id, data } = intakeJob(stored, { requeued: true });
    // Under an id of its own: that of the job which failed is taken.
    await queue.addMany([{ id: `${id}-${replayId}`, data }]);
    return "sent";
  }
  if (stored.subject.endsWith(".end")) await finishIntent(finishDeps, stored, true);
  else if (subjectMatches(SUBJECTS.allRevisions, stored.subject)) await dispatchAmendment(dispatchDeps, stored);
  else await dispatchIntent(dispatchDeps, stored, true);
  return "handled";
}

/** A timer whose handler keeps failing: its deliveries die with the cause, instead of staying open for ever. */
async function giveUpTimer(
  platform: Platform,
  deps: Parameters<typeof deadLetter>[0],
  claim: TimerClaim,
  cause: unknown,
): Promise<void> {
  const intent = await platform.book.refresh(claim.intentId);
  const found = await platform.run.during(() => platform.rows.pending(claim.intentId));
  platform.log.error({ err: cause, timer: claim.member }, "a timer was given up");
  if (intent === undefined || found.kind !== "open") return;
  if (found.revision !== intent.revision) throw new OutcryError("timed_out", `${intent.id} was amended meanwhile`);
  if (claim.kind !== "retry") throw new OutcryError("internal", `${claim.member} must end its intent`, { cause });
  if (found.pending.length === 0) return;
  await deadLetter(deps, intent, {
    nodes: found.pending,
    attempts: found.attempt,
    cause: "retry_failed",
  });
}
