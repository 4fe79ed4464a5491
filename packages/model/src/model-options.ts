// What every command and stage can be told that computes with a model as it is.
import { z } from "zod";
import type { ComputeDtype } from "./model.js";

/** The names that torch, vLLM and lm-evaluation-harness give to these. */
const dtypeNames = ["float32", "bfloat16"] as const;

export function computeDtype(name: (typeof dtypeNames)[number]): ComputeDtype {
  return name === "bfloat16" ? "bf16" : "f32";
}

export const modelOptions = {
  model_name_or_path: z.string().describe("Hugging Face folder of the model"),
  dtype: z
    .enum(dtypeNames)
    .default("float32")
    .describe("what to compute in; bfloat16 is what sft --bf16 computes"),
};

export type ModelChoice = z.output<z.ZodObject<typeof modelOptions>>;
