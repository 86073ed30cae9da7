// What the pipeline counts; names are those of the catalogue in @outcry/runtime.

import type { LoadedIntent } from "@outcry/delivery";
import type { DeliveryState } from "@outcry/protocol";

export interface PipelineMetrics {
  dispatched: (intent: LoadedIntent, tookMs: number) => void;
  ack: (status: string) => void;
  posted: (result: "accepted" | "replayed" | "mismatch") => void;
  amended: (result: "amended" | "replayed" | "mismatch") => void;
  ackRefused: (code: string) => void;
  retried: (nodes: number) => void;
  /** Intents that were sent once more to a node that came back. */
  caughtUp: (intents: number) => void;
  /** Sent again by an operator. */
  replayed: (nodes: number) => void;
  dead: (cause: string, nodes: number) => void;
  webhookAttempt: (outcome: string) => void;
  ended: (outcome: string, counts: Readonly<Record<DeliveryState, number>>) => void;
}
