// A model back to a Hugging Face folder: its parameters as the forward pass reads them as model.safetensors, so that the folder computes
// the model's own bits; tokenizer and template copied from where it came.
import type { Model } from "./model.js";
import { writeModelFolder } from "./model-folder.js";

/** Elements of a tensor that are held as a copy at a time. */
const savedAtOnce = 1 << 20;

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
      dtype: model.dtype === "bf16" ? "BF16" : "F32",
      shape: tensor.shape,
      bytes: tensor.pieces(savedAtOnce),
    })),
    ...files,
  });
}
