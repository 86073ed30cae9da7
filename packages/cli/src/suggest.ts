// "Did you mean …": the nearest of what there is, when it is near.

/** The nearest candidate within a third of its length, at least one edit; undefined when none is near. */
export function nearest(typed: string, candidates: readonly string[]): string | undefined {
  let best: { candidate: string; edits: number } | undefined;
  for (const candidate of candidates) {
    const edits = editsBetween(typed, candidate);
    if (edits <= Math.max(1, Math.ceil(candidate.length / 3)) && (best === undefined || edits < best.edits))
      best = { candidate, edits };
  }
  return best?.candidate;
}

export const didYouMean = (typed: string, candidates: readonly string[], shown = (name: string) => name): string => {
  const found = nearest(typed, candidates);
  return found === undefined ? "" : `; did you mean ${shown(found)}?`;
};

/** Insertions, deletions, replacements, and swaps of neighbours (optimal string alignment). */
export function editsBetween(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) row[j] = Math.min(row[j]!, beforeLast[j - 2]! + 1);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length]!;
}
