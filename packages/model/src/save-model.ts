// A model back to a Hugging Face folder: its parameters as the forward pass reads them as model.safetensors, so that the folder computes
// the model's own bits; what else belongs to it is given as files.
import { stopAlsoAt } from "./generation-config.js";
import type { Model } from "./model.js";
import { writeModelFolder } from "./model-folder.js";

/** Elements of a tensor that are held as a copy at a time. */
const savedAtOnce = 1 << 20;

/** Writes `dir` in one transaction (see writeModelFolder). Returns the names of the files. */
export function saveModel(
  model: Model,
  dir: string,
  files: {
    /** Ids that end a generation, besides those that the model's configs name. */
    readonly stopIds?: readonly number[];
    readonly extraFiles?: Readonly<Record<string, string | Uint8Array>>;
  } = {},
): Promise<readonly string[]> {
  const { stopIds = [], ...rest } = files;
  return writeModelFolder(dir, {
    ...stopAlsoAt(stopIds, model.generationConfig, model.config),
    tensors: [...model.parameters].map(([name, tensor]) => ({
      name,
      dtype: model.dtype === "bf16" ? "BF16" : "F32",
      shape: tensor.shape,
      bytes: tensor.pieces(savedAtOnce),
    })),
    ...rest,
  });
}
