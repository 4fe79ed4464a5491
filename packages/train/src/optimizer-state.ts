// The optimizer on disk: optimizer.safetensors with the flat fp32 arenas `m` and `v`, the moments, in the parameters' canonical order and
// alignment, so that any range of them is a shard. In bf16 the arena `masters` is there too; in f32 the masters are the model folder's own
// weights.
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { convert, MappedFile, type Tensor } from "@posttrain/kernels";
import { type ComputeDtype, type Model, readSafetensorsHeader, writeSafetensors } from "@posttrain/model";
import type { Optimizer } from "./optimizer.js";

const file = "optimizer.safetensors";
const arenasOf = (dtype: ComputeDtype) =>
  dtype === "f32" ? (["m", "v"] as const) : (["m", "v", "masters"] as const);
/** Floats that are held as a copy at a time. */
const chunk = 1 << 22;

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
    bytes: bytesOf(model, optimizer[name]),
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
      convert(optimizer[name], mapped.tensor(scope, entry.begin, "f32", [size]));
    }
    if (model.dtype === "bf16") convert(model.arena, optimizer.masters);
    await model.device.drain(); // the mapping must outlive the copies
  });
  optimizer.step = step;
}

async function* bytesOf(model: Model, tensor: Tensor): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < tensor.size; start += chunk) {
    const scope = model.device.scope();
    try {
      const values = await scope.view(tensor, start, [Math.min(chunk, tensor.size - start)]).read();
      yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    } finally {
      scope.end();
    }
  }
}
