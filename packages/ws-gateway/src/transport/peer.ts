// What the engine keeps of a client, whatever its transport: a socket or a streamed HTTP answer.

import type { CloseReason } from "./close-codes.js";
import type { Principal } from "../channels/policy.js";

export interface Peer {
  readonly id: string;
  /** Undefined until it has said who it is. */
  readonly principal: Principal | undefined;
  readonly channels: string[];
  readonly queueBytes: number;
  /** Keeps it alive as a message of the client does. */
  heartbeat(): void;
  /** Deadlines. Called about once a second. */
  sweep(): void;
  /** Says why and ends it. */
  end(why: CloseReason, afterMs?: number): void;
}
