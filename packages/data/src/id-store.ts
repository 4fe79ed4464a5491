/** Numbers in one block of memory. */
const BLOCK = 1 << 16;

/** Copies the first `end` of many short lists into large blocks of memory: a block for each would cost more than what is in it. */
export function createIdStore(): (ids: readonly number[], end: number) => Int32Array {
  let block = new Int32Array(0);
  let next = 0;
  return (ids, end) => {
    if (end > BLOCK / 16) return Int32Array.from(end === ids.length ? ids : ids.slice(0, end));
    if (next + end > block.length) {
      block = new Int32Array(BLOCK);
      next = 0;
    }
    const kept = block.subarray(next, next + end);
    for (let i = 0; i < end; i++) kept[i] = ids[i]!;
    next += end;
    return kept;
  };
}
