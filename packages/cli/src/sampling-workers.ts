// Sampling by workers, as commands ask for it: with redis and weights_dir.
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { UserError } from "@posttrain/data";
import { type Jobs, openRedisJobs } from "@posttrain/jobs";
import {
  computeDtype,
  type ModelChoice,
  openModelFolder,
  openPublisher,
  weightsOfFolder,
} from "@posttrain/model";
import { arithmeticOf, type Sampler, type SamplingWorkers, sampleOnWorkers } from "@posttrain/rollout";
import type { MachineOptions } from "./options.js";
import { withDevice } from "./with-model.js";

/** Who does jobs, and samples where weights have a folder to go to. */
export interface OpenWorkers extends AsyncDisposable {
  readonly jobs: Jobs;
  readonly sampling: SamplingWorkers | undefined;
}

/**
 * Undefined: this process does all itself. `place` is what the command makes, a file or folder: nobody else publishes weights for it, and when the command ends they are removed. UserError `bad_option` for a folder of
 * weights without workers to read them, `bad_redis`, `no_redis`.
 */
export async function openWorkers(
  {
    redis,
    weights_dir: dir,
  }: { readonly redis: string | undefined; readonly weights_dir: string | undefined },
  place: string,
): Promise<OpenWorkers | undefined> {
  if (redis === undefined && dir !== undefined)
    throw new UserError(
      "bad_option",
      "weights_dir is where workers find the weights to sample with, and redis is where the workers are found. Give --redis or POSTTRAIN_REDIS too, or leave weights_dir out.",
    );
  if (redis === undefined) return undefined;
  const jobs = await openRedisJobs(redis);
  const owner = createHash("sha256")
    .update(`${hostname()} ${resolve(place)}`)
    .digest("hex")
    .slice(0, 16);
  const publisher = dir === undefined ? undefined : openPublisher(dir, owner);
  return {
    jobs,
    sampling: publisher && { jobs, publisher },
    [Symbol.asyncDispose]: async () => {
      await jobs.close();
      await publisher?.close();
    },
  };
}

/** Samplers of checkpoints, each published once. In bf16 their bits are those of this command's --device. */
export function foldersOnWorkers(
  workers: SamplingWorkers,
  { dtype }: Pick<ModelChoice, "dtype">,
  machine: MachineOptions,
): (dir: string) => Promise<Sampler> {
  const known = new Map<string, Promise<Sampler>>();
  const open = async (dir: string): Promise<Sampler> => {
    const source = weightsOfFolder(await openModelFolder(dir));
    const arithmetic = await withDevice(machine, async (device) =>
      arithmeticOf({ dtype: computeDtype(dtype), device }),
    );
    return sampleOnWorkers(workers, { source, use: dir, arithmetic });
  };
  return (dir) => {
    const sampler = known.get(dir) ?? open(dir);
    known.set(dir, sampler);
    return sampler;
  };
}
