// What a test waits for.

import { setTimeout as sleep } from "node:timers/promises";

/** Polls until the check holds. */
export async function eventually(check: () => boolean | Promise<boolean>, withinMs = 8_000): Promise<void> {
  const until = Date.now() + withinMs;
  while (!(await check())) {
    if (Date.now() > until) throw new Error("did not come true in time");
    await sleep(10);
  }
}
