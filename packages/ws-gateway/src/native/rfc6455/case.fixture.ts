// One case of the table: what is written, and what has to come of it. Ids are those of the Autobahn|Testsuite, whose echo is here the
// reply to a `ping` command with that id; `x.` are cases of our own.

import { frame, OP } from "./frames.fixture.js";

export interface Rfc6455Case {
  readonly id: string;
  readonly what: string;
  /** Clause of RFC 6455 that decides, or of docs/gateway-protocol.md with `gw`. */
  readonly clause: string;
  /** Each is a write of its own. */
  readonly write: readonly Buffer[];
  /** Ids of the commands that are answered. */
  readonly echoes?: readonly string[];
  readonly pongs?: readonly Uint8Array[];
  /** The server's close code. Without it the connection goes on. */
  readonly close?: number;
}

/** A command whose answer carries `id`, padded to so many bytes. */
export function command(id: string, bytes?: number): string {
  const text = (pad: string) => `{"id":"${id}","op":"ping"${pad}}`;
  if (bytes === undefined) return text("");
  const padding = bytes - Buffer.byteLength(text(',"pad":""'));
  if (padding < 0) throw new RangeError(`a command takes more than ${bytes} bytes`);
  return text(`,"pad":"${"*".repeat(padding)}"`);
}

export const echo = (id: string): Buffer => frame(OP.text, command(id));
export const PING = frame(OP.ping, "not answered any more");
