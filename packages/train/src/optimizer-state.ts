// The optimizer's moments on disk: optimizer.safetensors with the flat fp32 arenas `m` and `v`, in the parameters' canonical order and
// alignment, so that any range of them is a shard. The fp32 masters are the model folder's own weights.
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { convert, MappedFile } from "@posttrain/kernels";
import { type Model, readSafetensorsHeader, writeSafetensors } from "@posttrain/model";
import type { Optimizer } from "./optimizer.js";

const file = "optimizer.safetensors";
const arenas = ["m", "v"] as const;
/** Floats of a file that are in memory at a time. */
const chunk = 1 << 20;

/** Bytes that saveOptimizer writes. */
export function optimizerBytes(model: Model): number {
  return arenas.length * 4 * model.layout.length;
}

/** Writes the moments into the folder `dir`, synced. UserError `cannot_write`. */
export async function saveOptimizer(optimizer: Optimizer, dir: string): Promise<void> {
  const tensors = arenas.map((name) => ({
    name,
    dtype: "F32" as const,
    shape: optimizer[name].shape,
    bytes: optimizer[name].pieces(chunk),
  }));
  await writeSafetensors(join(dir, file), tensors);
}

/** Reads them back; the optimizer has then done `step` steps. UserError when they are another model's. */
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
    for (const name of arenas) {
      const entry = entries.get(name);
      const size = model.layout.length;
      if (entry?.dtype !== "F32" || entry.shape.length !== 1 || entry.shape[0] !== size) {
        const found = entry === undefined ? "nothing" : `${entry.dtype} [${entry.shape.join(", ")}]`;
        throw new UserError(
          "bad_optimizer_state",
          `${path}: the moments ${name} are ${found}, expected F32 [${size}] as this model has. They belong to another model: resume from a ` +
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
  });
  optimizer.step = step;
}
