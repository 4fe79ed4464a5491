// What a checkpoint of fine-tuning holds beside the model folder: trainer/ with the optimizer's moments (in bf16 its masters too), and trainer_state.json with
// where the run stands, under transformers' names. With config, data and seed (the manifest's identity) it decides every bit that follows.
import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { brokenWeights, computeBytes, type Model, saveModel } from "@posttrain/model";
import {
  type Checkpoint,
  type Manifest,
  pruneCheckpoints,
  writeCheckpoint,
  writeDurably,
} from "@posttrain/run";
import { loadOptimizer, type Optimizer, optimizerBytes, saveOptimizer } from "@posttrain/train";
import { z } from "zod";
import { unloggedSums } from "./metrics.js";

const stateFile = "trainer_state.json";

const trainerState = z.strictObject({
  schema: z.literal("sft_trainer_state@1"),
  global_step: z.int().nonnegative(),
  max_steps: z.int().positive(),
  epoch: z.number().nonnegative(),
  /** Tokens that went through the model so far. */
  num_input_tokens_seen: z.int().nonnegative(),
  /** The lowest evaluation loss so far and its step. */
  best_metric: z.number().optional(),
  best_global_step: z.int().nonnegative().optional(),
  /** Evaluations since then, for early stopping. */
  evaluations_since_best: z.int().nonnegative(),
  /** What the next line of metrics.jsonl averages. */
  unlogged: unloggedSums.optional(),
});
export type TrainerState = z.infer<typeof trainerState>;

export interface Saving extends Pick<Manifest, "identity" | "accepted" | "parents"> {
  /** Folder whose tokenizer and template files travel with the checkpoint. */
  readonly companions: string;
  readonly keep: number | undefined;
  /** Where trained turns end. */
  readonly stopIds: readonly number[];
}

/** Writes checkpoint-<step> and deletes those beyond `keep`. UserError when the weights are broken or the disk refuses. */
export async function saveCheckpoint(
  runDir: string,
  model: Model,
  optimizer: Optimizer,
  state: TrainerState,
  { companions, keep, stopIds, ...manifest }: Saving,
): Promise<Checkpoint> {
  const broken = await brokenWeights(model);
  if (broken.length > 0) {
    throw new UserError(
      "broken_weights",
      `After step ${state.global_step} ${broken.length} weight tensors hold NaN or infinite values (${broken.slice(0, 3).join(", ")}); no checkpoint was ` +
        "written. Resume from the last one with a lower learning_rate (--accept_change learning_rate).",
    );
  }
  const tokenizer = await stat(join(companions, "tokenizer.json")).catch(() => undefined);
  const checkpoint = await writeCheckpoint(runDir, {
    ...manifest,
    step: state.global_step,
    bytes:
      computeBytes[model.dtype] * model.layout.length +
      optimizerBytes(model, optimizer) +
      (tokenizer?.size ?? 0) +
      1e6,
    write: async (dir) => {
      await saveModel(model, dir, { copyFrom: companions, stopIds });
      const trainer = join(dir, "trainer");
      await mkdir(trainer);
      await saveOptimizer(model, optimizer, trainer);
      // Parsed for its order of keys: the same bytes, resumed or not.
      await writeDurably(join(dir, stateFile), `${JSON.stringify(trainerState.parse(state), null, 2)}\n`);
    },
  });
  if (keep !== undefined) await pruneCheckpoints(runDir, keep);
  return checkpoint;
}

/** Where the run of a checkpoint stands. UserError when another stage wrote it. */
export async function readTrainerState({ dir, manifest }: Checkpoint): Promise<TrainerState> {
  const path = join(dir, stateFile);
  const text = await readFile(path, "utf8").catch(() => "{}");
  const parsed = trainerState.safeParse(JSON.parse(text));
  if (parsed.success && parsed.data.global_step === manifest.step) return parsed.data;
  throw new UserError(
    "bad_trainer_state",
    `${path} is not of a fine-tuning run of this version: resume with the stage and version that wrote it.`,
  );
}

/** Puts the optimizer, and a bf16 model's masters, where the checkpoint left them. The model was loaded from its folder. */
export function restoreOptimizer(
  model: Model,
  optimizer: Optimizer,
  { dir, manifest }: Checkpoint,
): Promise<void> {
  return loadOptimizer(model, optimizer, join(dir, "trainer"), manifest.step);
}
