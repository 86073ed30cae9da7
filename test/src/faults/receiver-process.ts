// The receivers of a fault test, in a process of their own: beside sellers and checker their answers would come late, and look like
// faults. Run by `forkReceivers`; asked by messages, one answer to each.

import { Receiver } from "../receiver.js";
import { seeded } from "./sizes.js";

export type Asked = { open: { flaky: number; seed: number } } | { taken: true } | { arrived: number };

export interface ArrivedText {
  readonly body: string;
  readonly headers: Record<string, string>;
}

const receivers: Receiver[] = [];

async function answer(asked: Asked): Promise<unknown> {
  if ("open" in asked) return openReceiver(asked.open);
  if ("taken" in asked) return receivers.map(({ taken }) => taken.size);
  return receivers[asked.arrived]!.arrived.map(({ body, headers }) => ({ body: body.toString(), headers }));
}

/** Fails the first attempt of that share of events. */
async function openReceiver({ flaky, seed }: { flaky: number; seed: number }): Promise<string> {
  const receiver = await new Receiver().open();
  const random = seeded(seed);
  const failed = new Set<string>();
  receiver.answer = ({ event }) => {
    if (failed.has(event.id) || random() >= flaky) return 204;
    failed.add(event.id);
    return 500;
  };
  receivers.push(receiver);
  return receiver.url;
}

process.on("message", (asked: Asked) => void answer(asked).then((value) => process.send!(value)));
process.on("disconnect", () => process.exit());
