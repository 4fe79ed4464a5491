// The optimizer on disk: optimizer.safetensors with the flat fp32 arenas `m` and `v`, the moments, in the parameters' canonical order and
// alignment, so that any range of them is a shard. In bf16 the arena `masters` is there too; in f32 the masters are the model folder's own
// weights.
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { convert, MappedFile } from "@posttrain/kernels";
import { type ComputeDtype, type Model, readSafetensorsHeader, writeSafetensors } from "@posttrain/model";
import type { Optimizer } from "./optimizer.js";

const file = "optimizer.safetensors";
const arenasOf = (dtype: ComputeDtype) =>
  dtype === "f32" ? (["m", "v"] as const) : (["m", "v", "masters"] as const);
/** Floats of a file that are in memory at a time. */
const chunk = 1 << 20;

/** Bytes that saveOptimizer writes. */
export function optimizerBytes(model: Model): number {
  return arenasOf(model.dtype).length * 4 * model.layout.length;
}

/** Writes moments, and masters that are not the model's own weights, into the folder `dir`, synced. UserError `cannot_write`. */
export async function saveOptimizer(model: Model, optimizer: Optimizer, dir: string): Promise<void> {
  const tensors = arenasOf(model.dtype).map((name) => ({
    name,
    dtype: "F32" as const,
    shape: optimizer[name].shape,
    bytes: optimizer[name].pieces(chunk),
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
  await model.device.run(async (scope) => {
    const size = model.layout.length;
    for (const name of entries.has("masters") ? arenasOf("bf16") : arenasOf("f32")) {
      const entry = entries.get(name);
      if (entry?.dtype !== "F32" || entry.shape.length !== 1 || entry.shape[0] !== size) {
        const found = entry === undefined ? "nothing" : `${entry.dtype} [${entry.shape.join(", ")}]`;
        throw new UserError(
          "bad_optimizer_state",
          `${path}: ${name === "masters" ? "the masters" : `the moments ${name}`} are ${found}, expected F32 [${size}] as this model has. They belong to another model: resume from a ` +
            "checkpoint of this one.",
        );
      }
      for (let start = 0; start < size; start += chunk) {
        const length = Math.min(chunk, size - start);
        const values = mapped.tensor(scope, entry.begin + 4 * start, "f32", [length]);
        convert(scope.view(optimizer[name], start, [length]), values);
        await model.device.drain();
        mapped.forget();
      }
    }
    if (model.dtype === "bf16") convert(model.arena, optimizer.masters);
  });
  optimizer.step = step;
}
