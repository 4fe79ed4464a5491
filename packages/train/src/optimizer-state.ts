// The optimizer on disk: optimizer.safetensors with the flat fp32 arenas of its rule (AdamW's moments `m` and `v`), in the canonical order and
// alignment of what is trained, so that any range of them is a shard. In bf16 the arena `masters` is there too; in f32 the masters are the
// model folder's own weights.
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { convert, MappedFile, type Scope, type Tensor } from "@posttrain/kernels";
import { type Model, readSafetensorsHeader, writeSafetensors } from "@posttrain/model";
import type { Optimizer } from "./optimizer.js";
import type { OwnRange, Range } from "./own-range.js";

const file = "optimizer.safetensors";
/** Floats of a file that are in memory at a time. */
const chunk = 1 << 20;

/**
 * This rank's range of the arenas that are stored, in the order of their names, in which the file has them: a model in f32 is its own masters.
 * `scope` holds views of them.
 */
function ownArenas(scope: Scope, model: Model, optimizer: Optimizer): ReadonlyMap<string, Tensor> {
  const { state, masters } = optimizer;
  const { begin, end } = rangeOf(optimizer, optimizer.parallel.ranks.rank);
  const all = new Map(state);
  if (model.dtype !== "f32") all.set("masters", scope.view(masters, begin, [end - begin]));
  return new Map([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function rangeOf({ ranges }: Optimizer, rank: number): Range {
  return (ranges[rank] as OwnRange).update;
}

/** Bytes that saveOptimizer writes. */
export function optimizerBytes(model: Model, optimizer: Optimizer): number {
  return (optimizer.state.size + (model.dtype === "f32" ? 0 : 1)) * 4 * model.trained.length;
}

/**
 * Writes the rule's arenas, and masters that are not the model's own weights, into the folder `dir`, synced: all ranks' ranges of them, which
 * these send to rank 0 (sendOptimizer). UserError `cannot_write`.
 */
export async function saveOptimizer(model: Model, optimizer: Optimizer, dir: string): Promise<void> {
  await model.device.run(async (scope) => {
    const tensors = [...ownArenas(scope, model, optimizer)].map(([name, arena]) => ({
      name,
      dtype: "F32" as const,
      shape: [model.trained.length],
      bytes: piecesOfAll(optimizer, arena),
    }));
    await writeSafetensors(join(dir, file), tensors);
  });
}

/** What rank 0 does not have: pieces of the other ranks' ranges, in order, behind its own. */
async function* piecesOfAll(optimizer: Optimizer, own: Tensor): AsyncGenerator<Uint8Array> {
  yield* own.pieces(chunk);
  const { size, receive } = optimizer.parallel.ranks;
  const buffer = new Uint8Array(4 * chunk);
  for (let from = 1; from < size; from++) {
    const { begin, end } = rangeOf(optimizer, from);
    for (let at = begin; at < end; at += chunk) {
      const piece = buffer.subarray(0, 4 * Math.min(chunk, end - at));
      await receive(from, piece);
      yield piece;
    }
  }
}

/** The part of another rank than 0 in saveOptimizer(). */
export async function sendOptimizer(model: Model, optimizer: Optimizer): Promise<void> {
  const { send } = optimizer.parallel.ranks;
  await model.device.run(async (scope) => {
    for (const own of ownArenas(scope, model, optimizer).values()) {
      for await (const piece of own.pieces(chunk)) await send(0, piece);
    }
  });
}

/**
 * Reads them back into an optimizer of `model`, which was loaded from the same checkpoint with its masters; it has then done `step` steps.
 * Masters win over the weights of the model folder, which are their rounding: so a run may also go on in the other dtype. UserError when
 * they are another model's.
 */
export async function loadOptimizer(
  model: Model,
  optimizer: Optimizer,
  dir: string,
  step: number,
): Promise<void> {
  const path = join(dir, file);
  const entries = await readSafetensorsHeader(path);
  const mapped = new MappedFile(path);
  const { trained, layout, arena: weights, dtype } = model;
  const size = trained.length;
  const ownPlace = (name: string): number => layout.places.get(name)?.offset as number;
  await model.device.run(async (scope) => {
    /** `length` floats of the file, from `begin`, to `arena` from `at` on. */
    const read = async (arena: Tensor, at: number, begin: number, length: number): Promise<void> => {
      for (let start = 0; start < length; start += chunk) {
        const count = Math.min(chunk, length - start);
        convert(
          scope.view(arena, at + start, [count]),
          mapped.tensor(scope, begin + 4 * start, "f32", [count]),
        );
        await model.device.drain();
        mapped.forget();
      }
    };
    const range = rangeOf(optimizer, optimizer.parallel.ranks.rank);
    for (const [name, arena] of optimizer.state) {
      const begin = arenaOf(path, entries, name, size) + 4 * range.begin;
      await read(arena, 0, begin, range.end - range.begin);
    }
    if (!entries.has("masters")) return;
    const begin = arenaOf(path, entries, "masters", size);
    for (const [name, { offset, size: own }] of trained.places) {
      const at = optimizer.masters === weights ? ownPlace(name) : offset;
      await read(optimizer.masters, at, begin + 4 * offset, own);
      if (dtype === "bf16") {
        convert(scope.view(weights, ownPlace(name), [own]), scope.view(optimizer.masters, offset, [own]));
      }
    }
  });
  optimizer.step = step;
}

/** Where an arena of `size` floats begins in the file. */
function arenaOf(
  path: string,
  entries: Awaited<ReturnType<typeof readSafetensorsHeader>>,
  name: string,
  size: number,
): number {
  const entry = entries.get(name);
  if (entry?.dtype === "F32" && entry.shape.length === 1 && entry.shape[0] === size) return entry.begin;
  const found = entry === undefined ? "nothing" : `${entry.dtype} [${entry.shape.join(", ")}]`;
  throw new UserError(
    "bad_optimizer_state",
    `${path}: ${name} is ${found}, expected F32 [${size}] as this model and its optimizer have. It belongs to another: resume from a checkpoint of this one.`,
  );
}
