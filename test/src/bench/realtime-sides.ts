// As many connections to the gateway as to the bare server, each with its own topic: one side's events pass the other one by.

import type { RealtimeRig } from "./realtime-rig.js";

export const ANSWERS = 2; // in each event: some 700 bytes of frame
export const OPEN_IN_FLIGHT = 64; // handshakes at a time

export interface BothSides {
  connections: number;
  frameBytes: number;
  ours: { pool: string; topic: string };
  limit: { pool: string; topic: string };
}

/** As many connections to the gateway as to the bare server, all of them live. */
export async function openBoth(rig: RealtimeRig, connections: number): Promise<BothSides> {
  const { access, subscribers } = rig;
  const [heard, unheard] = [access.intent(), access.intent()];
  const open = { count: connections, inFlight: OPEN_IN_FLIGHT };
  const of = [{ token: access.apiKey, channel: heard.channel }];
  await subscribers.call("open", { ...open, pool: "gateway", port: rig.gateway.port, access: of });
  await subscribers.call("open", { ...open, pool: "bare", port: rig.bare.port, access: [] });
  const ours = { pool: "gateway", topic: heard.topic };
  await subscribers.call("broadcast", { ...ours, batches: 1, size: 1, answers: ANSWERS, inFlight: 1 });
  const frameBytes = await subscribers.call("frameBytes", "gateway"); // as long for the bare server
  return { connections, frameBytes, ours, limit: { pool: "bare", topic: unheard.topic } };
}
