// The folder of one row and all that is started for it: gone without a trace at the end, behind an error, and when a run is interrupted.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import path from "node:path";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Steps that undo what was started; they run in reverse order. */
export type Undo = (() => Promise<unknown>)[];

export async function startUndoable<T extends object>(
  folder: string,
  start: (dataDir: string, undo: Undo) => Promise<T>,
): Promise<T & { stop(): Promise<void> }> {
  mkdirSync(folder, { recursive: true });
  const dataDir = mkdtempSync(path.join(folder, "data-"));
  const undo: Undo = [async () => rmSync(dataDir, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const signal of SIGNALS) process.off(signal, interrupted);
    for (const step of undo.splice(0).toReversed()) await step();
  };
  const interrupted = (): void => void stop().finally(() => process.exit(130));
  for (const signal of SIGNALS) process.once(signal, interrupted);
  try {
    return Object.assign(await start(dataDir, undo), { stop }); // not a copy: getters may tell of the processes of the moment
  } catch (error) {
    await stop();
    throw error;
  }
}
