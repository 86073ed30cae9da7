// What the engine keeps of a client, whatever its transport: a socket or a streamed HTTP answer.

import type { ErrorCode } from "@outcry/protocol";
import type { PeerState } from "../inspect/inspect-peers.js";
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
  /** For operators. */
  inspect(): PeerState;
  /** Takes one channel from it, and says so. */
  endChannel(channel: string, code: ErrorCode): void;
  /** Says why and ends it. */
  end(why: CloseReason, afterMs?: number): void;
}
