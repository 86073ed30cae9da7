// How operators' questions reach every process of the gateway, and how each answers: core NATS under `pres.`, where the gateway's own
// user may publish; its answers go to a subject that the asker named and listens to.

import { type ConnectionSummary, type ConnectionView, type JsonValue, parseStrict } from "@outcry/protocol";

export const INSPECT_SUBJECTS = {
  ask: "pres.inspect.ask",
  here: "pres.inspect.here",
  /** `ask` is one token. */
  answer: (ask: string) => `pres.answer.${ask}`,
} as const;

export interface ConnectionFilter {
  readonly role?: string;
  readonly channel?: string;
  readonly principal?: string;
}

export type InspectQuestion =
  /** The newest ones that fit; of those opened before the connection `before`. */
  | { readonly kind: "list"; readonly filter: ConnectionFilter; readonly before?: string; readonly limit: number }
  | { readonly kind: "get"; readonly id: string }
  /** Ends it for good. */
  | { readonly kind: "kick"; readonly id: string };

export type InspectAsk = ({ readonly ask: string } & InspectQuestion) | { readonly kind: "who" };

/** One from each process that has heard the question: `limit` and what a connection may subscribe to keep it far below a message's size. */
export type InspectAnswer = { readonly process: string } & (
  | { readonly kind: "list"; readonly matched: number; readonly connections: readonly ConnectionSummary[] }
  | { readonly kind: "get" | "kick"; readonly connection?: ConnectionView }
);

/** Said at the start, now and then, and when asked `who`. */
export interface ProcessHere {
  readonly process: string;
  readonly gone?: true;
}

const BYTES_MAX = 1024 * 1024; // the server's own limit of a message

export const encodeInspect = (message: InspectAsk | InspectAnswer | ProcessHere): Uint8Array =>
  Buffer.from(JSON.stringify(message));

/** Undefined for what is none: the subjects are closed to others, so nothing more is checked. */
export const decodeAsk = (data: Uint8Array) => decode(data, "kind") as InspectAsk | undefined;
export const decodeAnswer = (data: Uint8Array) => decode(data, "process") as InspectAnswer | undefined;
export const decodeHere = (data: Uint8Array) => decode(data, "process") as ProcessHere | undefined;

function decode(data: Uint8Array, member: string): unknown {
  const parsed = parseStrict(data, { bytesMax: BYTES_MAX });
  return parsed.kind === "ok" && hasText(parsed.value, member) ? parsed.value : undefined;
}

const hasText = (value: JsonValue, member: string): boolean =>
  value !== null && typeof value === "object" && !Array.isArray(value) && typeof value[member] === "string";
