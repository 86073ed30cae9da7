// What processes say of their rosters. Numbered, so that who missed something asks for the whole.

import { type JsonValue, parseStrict } from "@outcry/protocol";
import type { RosterEntry } from "./roster.js";

export type RosterMessage =
  /** Entries that came and went. The first of a process is number 1. */
  | {
      readonly kind: "change";
      readonly process: string;
      readonly version: number;
      readonly entries: readonly RosterEntry[];
    }
  /** All entries at that version, in parts. */
  | {
      readonly kind: "whole";
      readonly process: string;
      readonly version: number;
      readonly part: number;
      readonly parts: number;
      readonly entries: readonly RosterEntry[];
    }
  /** Still alive, at that version. */
  | { readonly kind: "beat"; readonly process: string; readonly version: number }
  | { readonly kind: "gone"; readonly process: string }
  /** `of` should say everything; absent = all processes. */
  | { readonly kind: "ask"; readonly process: string; readonly of?: string };

const BYTES_MAX = 1024 * 1024; // the server's own limit of a message

export const encodeRosterMessage = (message: RosterMessage): Uint8Array => Buffer.from(JSON.stringify(message));

/** Undefined for what no process of ours has said: the subject is closed to others, so nothing more is checked. */
export function decodeRosterMessage(data: Uint8Array): RosterMessage | undefined {
  const parsed = parseStrict(data, { bytesMax: BYTES_MAX });
  if (parsed.kind === "refused" || !isMessage(parsed.value)) return undefined;
  return parsed.value as unknown as RosterMessage;
}

const isMessage = (value: JsonValue): boolean =>
  value !== null && typeof value === "object" && !Array.isArray(value) && typeof value["process"] === "string";
