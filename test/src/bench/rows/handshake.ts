// From a TCP connection until a client is known and has one subscription, against the bare upgrade.

import path from "node:path";
import type { Access } from "../child/subscriber.js";
import { type Comparison, type Figures, type Side, measure } from "../measure.js";
import { type RealtimeRig, byCpu, startRealtimeRig } from "../realtime-rig.js";
import { OPEN_IN_FLIGHT } from "../realtime-sides.js";
import type { RowContext } from "./row.js";

const CONNECTIONS_MAX = 4_000; // of a round; the clients' ports come back only after a while

export async function handshakeRow(context: RowContext): Promise<Figures[]> {
  const rig = await startRealtimeRig(context);
  try {
    const { channel } = rig.access.intent();
    const figures: Figures[] = [];
    for (const [kind, token] of [
      ["API key", rig.access.apiKey],
      ["buyer's token", rig.access.buyerToken([channel])],
    ] as const) {
      const comparison = comparisonOf(rig, kind, { token, channel });
      const progress = (text: string) => context.progress(`${comparison.label}: ${text}`);
      figures.push(await measure("handshake", comparison, { ...context, progress }));
      if (context.profile) {
        await comparison.ours.prepare(figures.at(-1)!.ours.rounds[0]!.items);
        await rig.gateway.child.call("startProfile");
        await comparison.ours.run();
        await rig.gateway.child.call(
          "endProfile",
          path.join(context.profile, `handshake-${kind.replaceAll(/\W/g, "-")}.cpuprofile`),
        );
        await comparison.ours.settle!();
      }
    }
    return figures;
  } finally {
    await rig.stop();
  }
}

function comparisonOf(rig: RealtimeRig, kind: string, access: Access): Comparison {
  const side = (server: "gateway" | "bare"): Side => {
    let count = 0;
    const pool = `handshakes at ${server}`;
    const { probe, port } = rig[server];
    return {
      prepare: async (items) => void (count = items),
      run: () =>
        byCpu(probe, () =>
          rig.subscribers.call("open", {
            pool,
            port,
            count,
            inFlight: OPEN_IN_FLIGHT,
            access: server === "gateway" ? [access] : [],
          }),
        ),
      settle: () => rig.subscribers.call("close", pool),
    };
  };
  return {
    label: `handshake, ${kind}, one subscription`,
    unit: "connections per CPU s",
    perItem: 1,
    limit: side("bare"),
    ours: side("gateway"),
    limitIs: "the upgrade alone, by ws",
    conditions: `${OPEN_IN_FLIGHT} at a time from one process; upgrade, auth with its reply, sub with its reply: three round trips against one; seconds are those of the serving process's CPU`,
    goal: { of: "rate", atLeast: 0.5 },
    firstCount: 100,
    countMax: CONNECTIONS_MAX,
    pids: rig.pids,
  };
}
