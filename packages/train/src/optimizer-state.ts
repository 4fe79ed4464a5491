// The optimizer on disk: optimizer.safetensors with the flat fp32 arenas of its rule (AdamW's moments `m` and `v`), in the canonical order and
// alignment of what is trained, so that any range of them is a shard. In bf16 the arena `masters` is there too; in f32 the masters are the
// model folder's own weights.
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { convert, MappedFile, type Tensor } from "@posttrain/kernels";
import { type Model, readSafetensorsHeader, writeSafetensors } from "@posttrain/model";
import type { Optimizer } from "./optimizer.js";

const file = "optimizer.safetensors";
/** Floats of a file that are in memory at a time. */
const chunk = 1 << 20;

/** The arenas that are stored, by name: a model in f32 is its own masters. */
function arenasOf(model: Model, { state, masters }: Optimizer): ReadonlyMap<string, Tensor> {
  return model.dtype === "f32" ? state : new Map([...state, ["masters", masters]]);
}

/** Bytes that saveOptimizer writes. */
export function optimizerBytes(model: Model, optimizer: Optimizer): number {
  return arenasOf(model, optimizer).size * 4 * model.trained.length;
}

/** Writes the rule's arenas, and masters that are not the model's own weights, into the folder `dir`, synced. UserError `cannot_write`. */
export async function saveOptimizer(model: Model, optimizer: Optimizer, dir: string): Promise<void> {
  const tensors = [...arenasOf(model, optimizer)].map(([name, arena]) => ({
    name,
    dtype: "F32" as const,
    shape: arena.shape,
    bytes: arena.pieces(chunk),
  }));
  await writeSafetensors(join(dir, file), tensors);
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
    for (const [name, arena] of optimizer.state) {
      await read(arena, 0, arenaOf(path, entries, name, size), size);
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
  const what = name === "masters" ? "the masters" : `the moments ${name}`;
  throw new UserError(
    "bad_optimizer_state",
    `${path}: ${what} are ${found}, expected F32 [${size}] as this model has. They belong to another model: resume from a checkpoint of this one.`,
  );
}
