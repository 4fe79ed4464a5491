// What a checkpoint of a run holds beside the model folder: trainer/ with the optimizer's arenas (in bf16 its masters too), and
// trainer_state.json with where the run stands.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { brokenWeights, type Companions, computeBytes, type Model, saveModel } from "@posttrain/model";
import {
  type Checkpoint,
  type Manifest,
  pruneCheckpoints,
  writeCheckpoint,
  writeDurably,
} from "@posttrain/run";
import type { Optimizer } from "./optimizer.js";
import { loadOptimizer, optimizerBytes, saveOptimizer, sendOptimizer } from "./optimizer-state.js";
import { type TrainerState, writeTrainerState } from "./trainer-state.js";

export interface Saving extends Pick<Manifest, "identity" | "accepted" | "parents"> {
  /** Tokenizer and template files, which travel with the checkpoint. */
  readonly companions: Companions;
  readonly keep: number | undefined;
  /** Where trained turns end. */
  readonly stopIds: readonly number[];
  /** What else of a stage's own state goes into trainer/: name of the file to its content, asked for at every checkpoint. */
  readonly own?: (() => Readonly<Record<string, string>>) | undefined;
}

/** Writes checkpoint-<step>, to which every rank brings what it has, deletes those beyond `keep`, and returns its folder. UserError when the weights are broken or the disk refuses. */
export async function saveCheckpoint(
  runDir: string,
  model: Model,
  optimizer: Optimizer,
  state: TrainerState,
  logs: Readonly<Record<string, number>>,
  { companions, keep, stopIds, own, ...manifest }: Saving,
): Promise<string> {
  const { rank, broadcast } = optimizer.parallel.ranks;
  if (rank !== 0) {
    await sendOptimizer(model, optimizer);
    return broadcast("");
  }
  const broken = await brokenWeights(model);
  if (broken.length > 0) {
    throw new UserError(
      "broken_weights",
      `After step ${state.global_step} ${broken.length} weight tensors hold NaN or infinite values (${broken.slice(0, 3).join(", ")}); no checkpoint was ` +
        "written. Resume from the last one with a lower learning_rate (--accept_change learning_rate).",
    );
  }
  const files = Object.entries(own?.() ?? {});
  const { dir: written } = await writeCheckpoint(runDir, {
    ...manifest,
    logs,
    step: state.global_step,
    bytes:
      computeBytes[model.dtype] * model.layout.length +
      optimizerBytes(model, optimizer) +
      Object.values(companions).reduce((sum, { length }) => sum + length, 0) +
      files.reduce((sum, [, text]) => sum + Buffer.byteLength(text), 0) +
      1e6,
    write: async (dir) => {
      await saveModel(model, dir, { extraFiles: companions, stopIds });
      const trainer = join(dir, "trainer");
      await mkdir(trainer);
      await saveOptimizer(model, optimizer, trainer);
      for (const [name, text] of files) await writeDurably(join(trainer, name), text);
      await writeTrainerState(dir, state);
    },
  });
  if (keep !== undefined) await pruneCheckpoints(runDir, keep);
  return broadcast(written);
}

/** Puts the optimizer, and a bf16 model's masters, where the checkpoint left them. The model was loaded from its folder. */
export function restoreOptimizer(
  model: Model,
  optimizer: Optimizer,
  { dir, manifest }: Checkpoint,
): Promise<void> {
  return loadOptimizer(model, optimizer, join(dir, "trainer"), manifest.step);
}
