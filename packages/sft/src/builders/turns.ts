// Several sources of one area.

/** One of each after the other, until all are used up. */
export async function* inTurns<T>(
  sources: readonly AsyncGenerator<T, void, undefined>[],
): AsyncGenerator<T, void, undefined> {
  let left = sources;
  try {
    while (left.length > 0) {
      const ended = new Set<unknown>();
      for (const source of left) {
        const { done, value } = await source.next();
        if (done) ended.add(source);
        else yield value as T;
      }
      left = left.filter((source) => !ended.has(source));
    }
  } finally {
    for (const source of left) await source.return();
  }
}
