// A model back to a Hugging Face folder: its fp32 parameters as model.safetensors, tokenizer and template copied from where it came.
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
      dtype: "F32",
      shape: tensor.shape,
      bytes: tensor.pieces(savedAtOnce),
    })),
    ...files,
  });
}
