/**
 * Best-fit decreasing: rows from long to short, each into the fullest bin that still takes it. Rows of equal
 * length keep their order, bins of equal room are taken oldest first, so the result is a function of the
 * lengths alone; it is TRL's `bfd`. O(n log capacity): a tree over room finds the bin, a queue for each room
 * holds the bins. Only places are computed here: that rows of a bin do not see each other is the model's work.
 */
export interface Packing {
  /** Places in `lengths`, bin by bin, in the order of packing. Rows of length 0 are in none. */
  readonly bins: readonly (readonly number[])[];
  readonly capacity: number;
  /** Tokens in the bins. */
  readonly tokens: number;
  /** Room that stays empty, of all bins together. */
  readonly waste: number;
}

/** How rows fill bins, by TRL's names. */
export type PackingStrategy = "bfd" | "bfd_split" | "wrapped";

/** Tokens `start` to `end` (exclusive) of a row. */
export interface Piece {
  readonly row: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Rows of any length as bins of pieces. `bfd` cuts what is longer than a bin, `bfd_split` packs its parts too;
 * `wrapped` lays all rows end to end and cuts that, so that no room stays empty and most bins begin inside a
 * row.
 */
export function packPieces(
  lengths: ArrayLike<number>,
  capacity: number,
  strategy: PackingStrategy,
): readonly (readonly Piece[])[] {
  if (strategy === "wrapped") return wrap(lengths, capacity);
  const pieces = Array.from(lengths).flatMap((length, row) => {
    const parts = strategy === "bfd" ? Math.min(length, 1) : Math.ceil(length / capacity);
    return Array.from({ length: parts }, (_, part) => {
      const start = part * capacity;
      return { row, start, end: Math.min(length, start + capacity) };
    });
  });
  const { bins } = packBestFit(
    pieces.map(({ start, end }) => end - start),
    capacity,
  );
  return bins.map((bin) => bin.map((piece) => pieces[piece]!));
}

function wrap(lengths: ArrayLike<number>, capacity: number): Piece[][] {
  const bins: Piece[][] = [];
  let room = 0;
  for (let row = 0; row < lengths.length; row++) {
    for (let start = 0; start < lengths[row]!; ) {
      if (room === 0) {
        bins.push([]);
        room = capacity;
      }
      const end = Math.min(lengths[row]!, start + room);
      bins.at(-1)!.push({ row, start, end });
      room -= end - start;
      start = end;
    }
  }
  return bins;
}

/** Throws RangeError for a row longer than `capacity`: what happens to long rows is decided before. */
export function packBestFit(lengths: ArrayLike<number>, capacity: number): Packing {
  if (!Number.isInteger(capacity) || capacity < 1) {
    throw new RangeError(`packBestFit: capacity ${capacity}, expected a whole number from 1`);
  }
  const total = totalOf(lengths, capacity);
  // In a bin that takes them all they are packed as in one that they fill: memory follows the rows.
  const filled = Math.max(1, Math.min(capacity, total));
  const bins: number[][] = [];
  const room = roomTree(filled);
  let tokens = 0;
  for (const row of byLength(lengths, filled)) {
    const length = lengths[row]!;
    const found = room.take(length);
    const bin = found?.bin ?? bins.push([]) - 1;
    bins[bin]!.push(row);
    room.put((found?.room ?? filled) - length, bin);
    tokens += length;
  }
  return { bins, capacity, tokens, waste: bins.length * capacity - tokens };
}

function totalOf(lengths: ArrayLike<number>, capacity: number): number {
  let total = 0;
  for (let row = 0; row < lengths.length; row++) {
    const length = lengths[row]!;
    if (!Number.isInteger(length) || length < 0 || length > capacity) {
      throw new RangeError(`packBestFit: row ${row} has length ${length}, expected 0 to ${capacity}`);
    }
    total += length;
  }
  return total;
}

/** Rows from long to short, ties in order: a counting sort. */
function byLength(lengths: ArrayLike<number>, capacity: number): Uint32Array {
  const starts = new Uint32Array(capacity + 1);
  let rows = 0;
  for (let row = 0; row < lengths.length; row++) {
    const length = lengths[row]!;
    if (length === 0) continue;
    starts[length]!++;
    rows++;
  }
  let before = rows;
  for (let length = 1; length <= capacity; length++) {
    before -= starts[length]!;
    starts[length] = before;
  }
  const sorted = new Uint32Array(rows);
  for (let row = 0; row < lengths.length; row++) {
    const length = lengths[row]!;
    if (length > 0) sorted[starts[length]!++] = row;
  }
  return sorted;
}

interface RoomTree {
  /** The oldest bin of the least room that is enough, which leaves the tree. */
  take(length: number): { readonly bin: number; readonly room: number } | undefined;
  put(room: number, bin: number): void;
}

/** Counts of open bins by room, summed up a binary tree, and a queue of bins for each room. */
function roomTree(capacity: number): RoomTree {
  const leaves = 2 ** Math.ceil(Math.log2(capacity + 1));
  const counts = new Uint32Array(2 * leaves);
  const queues = new Map<number, { bins: number[]; next: number }>();
  const add = (room: number, change: 1 | -1): void => {
    for (let node = leaves + room; node >= 1; node >>= 1) counts[node]! += change;
  };
  /** The least room >= length that has bins, or undefined. */
  const search = (length: number): number | undefined => {
    let node = leaves + length;
    if (counts[node] === 0) {
      // Up to the first right sibling with bins, then down its left edge.
      while (node > 1 && (node % 2 === 1 || counts[node + 1] === 0)) node >>= 1;
      if (node <= 1) return undefined;
      node++;
      while (node < leaves) node = counts[2 * node]! > 0 ? 2 * node : 2 * node + 1;
    }
    return node - leaves;
  };
  return {
    take: (length) => {
      const room = search(length);
      const queue = room === undefined ? undefined : queues.get(room);
      if (room === undefined || !queue) return undefined;
      const bin = queue.bins[queue.next++]!;
      if (queue.next === queue.bins.length) queues.delete(room);
      add(room, -1);
      return { bin, room };
    },
    put: (room, bin) => {
      if (room === 0) return;
      const queue = queues.get(room);
      if (queue) queue.bins.push(bin);
      else queues.set(room, { bins: [bin], next: 0 });
      add(room, 1);
    },
  };
}
