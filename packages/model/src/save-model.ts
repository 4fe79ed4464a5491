// A model back to a Hugging Face folder: its fp32 parameters as model.safetensors, tokenizer and template copied from where it came.
import type { Tensor } from "@posttrain/kernels";
import type { Model } from "./model.js";
import { writeModelFolder } from "./model-folder.js";

/** Writes `dir` in one transaction (see writeModelFolder). Returns the names of the files. */
export function saveModel(
  model: Model,
  dir: string,
  files: {
    readonly copyFrom?: string;
    readonly extraFiles?: Readonly<Record<string, string | Uint8Array>>;
  } = {},
): Promise<readonly string[]> {
  return writeModelFolder(dir, {
    config: model.config,
    generationConfig: model.generationConfig,
    tensors: [...model.parameters].map(([name, tensor]) => ({
      name,
      dtype: "F32",
      shape: tensor.shape,
      bytes: bytesOf(tensor),
    })),
    ...files,
  });
}

/** Elements that are held as a copy at a time. */
const piece = 1 << 20;

/** A tensor's bytes, piece by piece: a whole copy of an embedding would be the largest thing in memory. */
export async function* bytesOf(tensor: Tensor): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < tensor.size; start += piece) {
    const scope = tensor.device.scope();
    try {
      const values = await scope.view(tensor, start, [Math.min(piece, tensor.size - start)]).read();
      yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    } finally {
      scope.end();
    }
  }
}
