// Data parallel training with bits that do not depend on the number of ranks. A step's micro-batches are cut into `shards` runs of neighbours.
// Within a shard gradients are one chain, as in a step of its own; the shards' sums are added up a binary tree whose shape follows from their
// number alone. A rank owns whole shards. Of the sum every rank needs only the range that its optimizer state covers (ZeRO-1, Rajbhandari et
// al. 2020, arXiv 1910.02054), so each sends its nodes of the tree to that range's owner, who adds them.
import { accumulate, add, convert, fill, type Scope, type Tensor } from "@posttrain/kernels";
import { enableGradients, foldLookups, type Model } from "@posttrain/model";
import { partOf, type Range } from "./own-range.js";
import { alone, type Ranks } from "./ranks.js";

export interface DataParallel {
  readonly shards: number;
  readonly ranks: Ranks;
}

export const undivided: DataParallel = { shards: 1, ranks: alone };

/** The sum of gradients over the shards of a range, as flat as the gradient arena. */
interface Node extends Range {
  readonly sum: Tensor;
}

interface ShardLookups {
  readonly ids: Int32Array;
  /** (R, C), row after row. */
  readonly rows: Float32Array;
}

/** What a step has collected so far, between its backward passes and its end. */
export interface Collected {
  readonly nodes: Node[];
  readonly lookups: ShardLookups[];
}

/**
 * Runs `run`, forward and backward, on this rank's micro-batches of a step, and returns what it gave for all of them, whoever ran it, in their
 * order: loss and metrics add up in one order everywhere.
 */
export async function eachMicroBatch<Batch, Part>(
  model: Model,
  { parallel, collected }: { readonly parallel: DataParallel; readonly collected: Collected },
  batches: readonly Batch[],
  run: (batch: Batch) => Promise<Part>,
): Promise<readonly Part[]> {
  const { shards, ranks } = parallel;
  const own = partOf(shards, ranks.rank, ranks.size);
  const parts: Part[] = [];
  for (let shard = own.begin; shard < own.end; shard++) {
    const { begin, end } = partOf(batches.length, shard, shards);
    for (const batch of batches.slice(begin, end)) parts.push(await run(batch));
    if (shards > 1 && end > begin) await collect(model, collected, shard, shard + 1 === own.end);
  }
  return (await ranks.exchange(parts)).flat();
}

/** Puts the gradient of a shard among the nodes, joined with those beside it that make a larger node of the tree. */
async function collect(
  model: Model,
  { nodes, lookups }: Collected,
  shard: number,
  last: boolean,
): Promise<void> {
  const gradients = enableGradients(model);
  const looked = gradients.lookups?.take();
  if (looked !== undefined) {
    const { ids, rows } = looked;
    const used = model.scope.view(rows, 0, [ids.length, rows.shape[1] as number]);
    lookups.push({ ids, rows: (await used.read()) as Float32Array });
    model.scope.release(used);
    model.scope.release(rows);
  }
  let node: Node = { begin: shard, end: shard + 1, sum: gradients.arena };
  for (let left = nodes.at(-1); left !== undefined && areSiblings(left, node); left = nodes.at(-1)) {
    nodes.pop();
    accumulate(left.sum, node.sum);
    if (node.sum !== gradients.arena) model.scope.release(node.sum);
    node = { begin: left.begin, end: node.end, sum: left.sum };
  }
  // The arena is the next shard's, but for the last.
  if (node.sum === gradients.arena && !last) {
    const sum = model.scope.empty([gradients.arena.size]);
    convert(sum, gradients.arena);
    node = { ...node, sum };
  }
  if (!last) fill(gradients.arena, 0);
  nodes.push(node);
}

/** Whether two neighbours are the halves of a node: of one size, a power of two, which begins at a multiple of both. */
function areSiblings(left: Range, right: Range): boolean {
  const size = left.end - left.begin;
  return right.end - right.begin === size && left.end === right.begin && left.begin % (2 * size) === 0;
}

/** What the end of a step needs of the optimizer: where each rank's part of the gradient begins and ends. */
interface Combining {
  readonly parallel: DataParallel;
  readonly collected: Collected;
  /** Of each rank, in values of what is trained: all that it needs of the sum. */
  readonly covers: readonly Range[];
}

/** Values of a range that travel at a time. */
const chunk = 1 << 22;

/**
 * Adds up what the step has collected. Afterwards this rank's range of the gradient arena holds the sum over all shards, the looked-up rows
 * included, in the order of shards, behind the tree; beside its range there is nothing.
 */
export async function combineGradients(
  model: Model,
  { parallel, collected, covers }: Combining,
): Promise<void> {
  const { shards, ranks } = parallel;
  if (shards === 1) return foldLookups(model);
  const { arena, lookups } = enableGradients(model);
  const own = covers[ranks.rank] as Range;
  const nodes = await ranks.exchange(collected.nodes.map(({ begin, end }): Range => ({ begin, end })));
  // Where two ranks need the same values, a node must stay as it is until the last of it has been sent.
  const overlap = covers.some(({ begin }, r) => r > 0 && begin < (covers[r - 1] as Range).end);
  const summed = overlap ? model.scope.empty([Math.max(1, own.end - own.begin)]) : arena;
  const base = overlap ? own.begin : 0;
  const longest = Math.max(...covers.map(({ begin, end }) => end - begin));
  for (let at = 0; at < longest; at += chunk) {
    const piece = ({ begin, end }: Range): Range => ({
      begin: Math.min(begin + at, end),
      end: Math.min(begin + at + chunk, end),
    });
    await model.device.run(async (scope) => {
      const slice = (sum: Tensor, { begin, end }: Range): Tensor => scope.view(sum, begin, [end - begin]);
      const mine = piece(own);
      const length = mine.end - mine.begin;
      const isInPlace = new Set<Tensor>();
      const sends = covers.map(async (cover, to) => {
        const wanted = piece(cover);
        if (to === ranks.rank || wanted.end === wanted.begin) return;
        for (const { sum } of collected.nodes) {
          await ranks.send(to, bytesOf((await slice(sum, wanted).read()) as Float32Array));
        }
      });
      const received = nodes.map(async (ranges, from): Promise<readonly Node[]> => {
        if (length === 0) return [];
        if (from === ranks.rank)
          return collected.nodes.map((node) => {
            const sum = slice(node.sum, mine);
            if (node.sum === summed) isInPlace.add(sum);
            return { ...node, sum };
          });
        const values = ranges.map(() => new Float32Array(length));
        for (const part of values) await ranks.receive(from, bytesOf(part));
        return ranges.map((range, i) => ({ ...range, sum: scope.from(values[i] as Float32Array) }));
      });
      const [all] = await Promise.all([Promise.all(received), ...sends]);
      const total = sumOf(scope, all.flat(), { begin: 0, end: shards });
      if (length > 0) {
        const target = scope.view(summed, mine.begin - base, [length]);
        if (total === undefined) fill(target, 0);
        else if (!isInPlace.has(total)) convert(target, total);
      }
    });
  }
  if (overlap) {
    await model.device.run((scope) => {
      const length = own.end - own.begin;
      if (length > 0) convert(scope.view(arena, own.begin, [length]), scope.view(summed, 0, [length]));
    });
    model.scope.release(summed);
  }
  for (const { sum } of collected.nodes) if (sum !== arena) model.scope.release(sum);
  collected.nodes.length = 0;
  for (const { ids, rows } of (await ranks.exchange(collected.lookups)).flat()) {
    await model.device.run((scope) => {
      lookups?.put({ ids, rows: scope.from(rows, [ids.length, rows.length / ids.length]) });
      foldLookups(model);
    });
  }
  collected.lookups.length = 0;
  await model.device.run((scope) => {
    for (const { begin, end } of [
      { begin: 0, end: own.begin },
      { begin: own.end, end: arena.size },
    ]) {
      if (end > begin) fill(scope.view(arena, begin, [end - begin]), 0);
    }
  });
}

/** The sum of a node of the tree, from the nodes there are: those of shards without rows are not among them. */
function sumOf(scope: Scope, nodes: readonly Node[], { begin, end }: Range): Tensor | undefined {
  const found = nodes.find((node) => node.begin === begin && node.end === end);
  if (found !== undefined || end - begin < 2) return found?.sum;
  let half = 1;
  while (2 * half < end - begin) half *= 2;
  const left = sumOf(scope, nodes, { begin, end: begin + half });
  const right = sumOf(scope, nodes, { begin: begin + half, end });
  return left === undefined || right === undefined ? (left ?? right) : add(scope, left, right);
}

export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
