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
    const tokens = (count: number): string[] => Array.from({ length: count }, () => rig.access.buyerToken([channel]));
    const known = tokens(CONNECTIONS_MAX);
    const figures: Figures[] = [];
    const kinds: [kind: string, tokensOf: (count: number) => string[]][] = [
      ["API key", () => [rig.access.apiKey]],
      ["buyer's new token", tokens],
      ["buyer's token again", () => known],
    ];
    for (const [kind, tokensOf] of kinds) {
      const accessOf = (count: number): Access[] => tokensOf(count).map((token) => ({ token, channel }));
      const comparison = comparisonOf(rig, kind, accessOf);
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

function comparisonOf(rig: RealtimeRig, kind: string, accessOf: (count: number) => Access[]): Comparison {
  const side = (server: "gateway" | "bare"): Side => {
    let count = 0;
    let access: Access[] = [];
    const pool = `handshakes at ${server}`;
    const { probe, port } = rig[server];
    return {
      async prepare(items) {
        count = items;
        access = server === "gateway" ? accessOf(items) : [];
      },
      run: () =>
        byCpu(probe, () =>
          rig.subscribers.call("open", {
            pool,
            port,
            count,
            inFlight: OPEN_IN_FLIGHT,
            access,
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
    conditions: `${OPEN_IN_FLIGHT} at a time from one process; upgrade, then auth and sub in one frame with their replies: two round trips against one; seconds are those of the serving process's CPU`,
    goal: { of: "rate", atLeast: 0.5 },
    firstCount: 100,
    countMax: CONNECTIONS_MAX,
    pids: rig.pids,
  };
}
