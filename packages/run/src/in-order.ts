// Work of which several pieces are under way, taken in order.

/**
 * The results of `tasks` in order, `width` of them under way; how far it has read ahead depends on how many were taken alone. After an error,
 * and when nobody takes any more, those under way are waited for.
 */
export async function* inOrder<T>(
  tasks: AsyncIterable<() => Promise<T>> | Iterable<() => Promise<T>>,
  width: number,
): AsyncGenerator<T, void, undefined> {
  const source = Symbol.asyncIterator in tasks ? tasks[Symbol.asyncIterator]() : tasks[Symbol.iterator]();
  const open: Promise<T>[] = [];
  try {
    for (let isDone = false; ; ) {
      while (!isDone && open.length < width) {
        const next = await source.next();
        if (next.done) {
          isDone = true;
          break;
        }
        const started = next.value();
        started.catch(() => undefined); // looked at in its turn
        open.push(started);
      }
      const first = open.shift();
      if (first === undefined) return;
      yield await first;
    }
  } finally {
    await Promise.allSettled(open);
    await source.return?.();
  }
}
