// A refusal or a fault of the realtime connection. Codes of the gateway are those of the one error table (docs/errors.md).

import type { ErrorCode } from "@outcry/protocol";

/** Beside the gateway's, the client's own; a later gateway may send others. */
export type RealtimeErrorCode =
  | ErrorCode
  | "closed"
  | "channel_in_use"
  | "cursor_not_read"
  | "cursor_not_saved"
  | "listener_failed"
  | "token_unavailable"
  | (string & {});

export interface RealtimeErrorParts {
  /** True when trying again helps; the client then does so by itself. */
  temporary?: boolean;
  channel?: string | undefined;
  /** The WebSocket close code, where there was one. */
  closeCode?: number | undefined;
  cause?: unknown;
}

export class RealtimeError extends Error {
  override readonly name = "RealtimeError";
  readonly code: RealtimeErrorCode;
  readonly detail: string;
  readonly temporary: boolean;
  readonly channel: string | undefined;
  readonly closeCode: number | undefined;

  constructor(code: RealtimeErrorCode, detail: string, parts: RealtimeErrorParts = {}) {
    super(`${code}: ${detail}`, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.code = code;
    this.detail = detail;
    this.temporary = parts.temporary ?? false;
    this.channel = parts.channel;
    this.closeCode = parts.closeCode;
  }
}

export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
