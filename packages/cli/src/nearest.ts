// The known name that a misspelled one was probably meant to be.

/** undefined when none is near: then no guess is better than a wrong one. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, distance: distance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  if (best !== undefined && best.distance <= Math.max(1, Math.floor(name.length / 3))) return best.candidate;
  const initials = (candidate: string): string => candidate.replaceAll(/(^|_)(.)[^_]*/g, "$2");
  const abbreviated = known.find((candidate) => candidate.includes("_") && initials(candidate) === name);
  if (abbreviated !== undefined || name.length < 3) return abbreviated;
  // batch_size -> per_device_train_batch_size, steps -> max_steps: the shortest that holds it.
  return known.filter((candidate) => candidate.includes(name)).sort((a, b) => a.length - b.length)[0];
}

/** Edits (insert, delete, replace, swap of neighbours) between two words. Damerau 1964, without edits inside a swapped pair. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, replace);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j]!, before[j - 2]! + 1);
      }
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}
