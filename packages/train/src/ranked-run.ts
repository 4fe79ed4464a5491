// The folder of a run that several ranks share: rank 0 opens it, holds its lock and writes; the others know what it found there.
import { UserError } from "@posttrain/data";
import type { Device } from "@posttrain/kernels";
import { openRun, type Run } from "@posttrain/run";
import type { TrainingConfig } from "./options.js";
import { ranksOf } from "./ranks.js";

type RunConfig = Pick<TrainingConfig, "output_dir" | "resume_from_checkpoint" | "gradient_shards">;

/** As openRun(), for all ranks. UserError `too_few_shards` where there are more ranks than gradient_shards, and openRun()'s. */
export async function openTrainingRun(config: RunConfig, device: Device): Promise<Run> {
  const { output_dir: dir, resume_from_checkpoint: resume, gradient_shards: shards } = config;
  const { rank, size, broadcast } = ranksOf(device);
  if (size > shards) {
    throw new UserError(
      "too_few_shards",
      `${size} ranks train together, but the config has gradient_shards ${shards}: a rank owns whole shards. Give --gradient_shards ${size}, the fewest for so many ranks, or more: ` +
        "it is part of the run's identity, as it decides the order in which gradients are added up.",
    );
  }
  if (rank === 0) {
    const run = await openRun(dir, resume);
    const { checkpoint, damaged, missing } = run;
    await broadcast({ checkpoint, damaged, missing });
    return run;
  }
  const found = await broadcast<Pick<Run, "checkpoint" | "damaged" | "missing"> | undefined>(undefined);
  const nothing = async (): Promise<void> => undefined;
  return { dir, ...(found as NonNullable<typeof found>), begin: nothing, check: nothing, close: nothing };
}
