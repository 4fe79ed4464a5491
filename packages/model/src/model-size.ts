// Whether a model has a place on this machine at all, from its config alone: asked before anything of it is allocated.
import { byteText, UserError } from "@posttrain/data";
import { machineMemory } from "@posttrain/kernels";
import { parameterCount, type Qwen2Config } from "./config.js";
import { type ComputeDtype, computeBytes } from "./model.js";

/** UserError `model_too_large` where the parameters alone are more than the `limit` of bytes that tensors may take. */
export function refuseTooLarge(dir: string, config: Qwen2Config, dtype: ComputeDtype, limit: number): void {
  const parameters = parameterCount(config);
  const bytes = parameters * computeBytes[dtype];
  if (bytes <= limit) return;
  const { hiddenSize, layers, intermediateSize, vocabSize } = config;
  const halved = dtype === "f32" && bytes / 2 <= limit ? ", or --dtype bfloat16, which takes half" : "";
  throw new UserError(
    "model_too_large",
    `${dir}: config.json describes ${(parameters / 1e9).toFixed(1)} B parameters (hidden_size ${hiddenSize}, num_hidden_layers ${layers}, ` +
      `intermediate_size ${intermediateSize}, vocab_size ${vocabSize}), ${byteText(bytes)} in ${dtype === "f32" ? "float32" : "bfloat16"}. ` +
      `Tensors may take ${byteText(limit)} here: this machine or its container has ${byteText(machineMemory())}, and POSTTRAIN_MEMORY can set another limit. ` +
      `Take a smaller model${halved}, or a machine with more memory.`,
  );
}
