// What a replay would do: how many letters fit its filter and how many of them can be sent again now. Writes nothing.

import { type Letter, lettersById, lettersFrom, rangeOf, withFates } from "../dead-letters/find-letters.js";
import { LIMITS, type ReplayFilter } from "@outcry/protocol";
import { type JudgeDeps, judgeLetters } from "./judge-letters.js";
import type { ReplayPlan } from "./replay-state.js";

const CHUNK = 200; // letters judged together: one read of their fates

export async function planReplay(deps: JudgeDeps, filter: ReplayFilter): Promise<ReplayPlan> {
  const range = await rangeOf(deps.backbone, filter);
  // The newest: what is older has ended, or is found by a replay with `until`.
  const from = Math.max(range.from, range.before - LIMITS.replayScannedMax);
  const plan: ReplayPlan = {
    filter,
    matched: 0,
    valid: 0,
    invalid: {},
    complete: filter.ids !== undefined || from === range.from,
    from: filter.ids === undefined ? from : range.from,
    through: range.before - 1,
  };
  for await (const chunk of chunksOf(lettersOf(deps, filter, plan), CHUNK)) {
    const found = await withFates(deps.backbone, chunk, filter);
    for (const reason of await judgeLetters(deps, found)) {
      plan.matched += 1;
      if (reason === undefined) plan.valid += 1;
      else plan.invalid[reason] = (plan.invalid[reason] ?? 0) + 1;
    }
  }
  return plan;
}

/** Letters of a replay from a sequence on, in the stream's order, by everything of its filter but the status. */
export async function* lettersOf(
  deps: JudgeDeps,
  filter: ReplayFilter,
  { from, through }: Pick<ReplayPlan, "from" | "through">,
): AsyncGenerator<Letter> {
  if (filter.ids === undefined) yield* lettersFrom(deps.backbone, filter, { from, before: through + 1 });
  else {
    const named = await lettersById(deps.backbone, filter.ids, filter);
    yield* named.filter(({ seq }) => seq >= from && seq <= through);
  }
}

export async function* chunksOf<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let chunk: T[] = [];
  for await (const item of items) {
    chunk.push(item);
    if (chunk.length < size) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}
