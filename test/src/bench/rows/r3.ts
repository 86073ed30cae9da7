// The same paths on three nats-servers of one cluster, streams with three replicas: what production has, on one machine's CPUs and disk.

import type { Figures } from "../measure.js";
import { type Rig, startRig } from "../rig.js";
import { oneSize } from "./fan-out.js";
import { oneCount } from "./post.js";
import { reachOf } from "./reach.js";
import type { RowContext } from "./row.js";

const POST_NODES = 10; // as in the row `post`
const FAN_OUT_NODES = 100;
const POST_GOALS = new Map([[128, 1.3]]); // the design names no other goal for R3

export async function r3Row(context: RowContext): Promise<Figures[]> {
  const posts = await withRig(context, POST_NODES, async (rig) => {
    await rig.service.call("setDispatch", true);
    return [await postOf(rig, 16, context), await postOf(rig, 128, context)];
  });
  const deliveries = await withRig(context, FAN_OUT_NODES, async (rig) => [
    withoutGoal(await oneSize(rig, FAN_OUT_NODES, context)),
    withoutGoal(await reachOf(rig, context)),
  ]);
  return [...posts, ...deliveries].map(asR3);
}

async function withRig(
  context: RowContext,
  sellers: number,
  work: (rig: Rig) => Promise<Figures[]>,
): Promise<Figures[]> {
  const rig = await startRig({ ...context, sellers, bareHttp: true, replicas: 3 });
  try {
    return await work(rig);
  } finally {
    await rig.stop();
  }
}

async function postOf(rig: Rig, connections: number, context: RowContext): Promise<Figures> {
  const atLeast = POST_GOALS.get(connections);
  const figures = await oneCount(rig, connections, "recording", context);
  return { ...figures, goal: atLeast === undefined ? undefined : { of: "rate", atLeast } };
}

const withoutGoal = (figures: Figures): Figures => ({ ...figures, goal: undefined });

const asR3 = (figures: Figures): Figures => ({
  ...figures,
  row: "r3",
  label: `R3: ${figures.label}`,
  conditions: `${figures.conditions}; three nats-servers on one machine, all connected to the one that leads BARE, INTENTS and EVENTS`,
});
