// Sampling by workers, as commands ask for it: with redis and weights_dir.
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { UserError } from "@posttrain/data";
import { type Jobs, openRedisJobs } from "@posttrain/jobs";
import {
  computeDtype,
  type ModelChoice,
  openModelFolder,
  openPublisher,
  serveWeights,
  weightsOfFolder,
} from "@posttrain/model";
import { arithmeticOf, type Sampler, type SamplingWorkers, sampleOnWorkers } from "@posttrain/rollout";
import { shellQuote } from "./format.js";
import type { MachineOptions } from "./options.js";
import { withDevice } from "./with-model.js";

/** Who does jobs, and samples where weights have a folder to go to. */
export interface OpenWorkers extends AsyncDisposable {
  readonly jobs: Jobs;
  readonly sampling: SamplingWorkers | undefined;
  /** Where workers find the weights, as flags of theirs with a space before. */
  readonly place: string;
}

/**
 * Undefined: this process does all itself. `place` is what the command makes, a file or folder: nobody else publishes weights for it, and when the command ends they are removed. UserError `bad_option` for a folder of
 * weights without workers to read them, `bad_redis`, `no_redis`.
 */
export async function openWorkers(
  {
    redis,
    weights_dir,
    serve_weights: address,
  }: Readonly<Partial<Record<"redis" | "weights_dir" | "serve_weights", string | undefined>>>,
  place: string,
): Promise<OpenWorkers | undefined> {
  const given = address === undefined ? weights_dir && "weights_dir" : "serve_weights";
  if (redis === undefined && given !== undefined)
    throw new UserError(
      "bad_option",
      `${given} is where workers find the weights to sample with, and redis is where the workers are found. Give --redis or POSTTRAIN_REDIS too, or leave ${given} out.`,
    );
  if (redis === undefined) return undefined;
  /** The last first. */
  const opened: (() => PromiseLike<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const one of opened.splice(0).reverse()) await one();
  };
  try {
    const jobs = await openRedisJobs(redis);
    opened.push(() => jobs.close());
    if (given === undefined) return { jobs, sampling: undefined, place: "", [Symbol.asyncDispose]: close };
    const owner = createHash("sha256")
      .update(`${hostname()} ${resolve(place)}`)
      .digest("hex")
      .slice(0, 16);
    const dir = weights_dir ?? (await mkdtemp(join(tmpdir(), "posttrain-weights-")));
    const publisher = openPublisher(dir, owner);
    opened.push(() =>
      weights_dir === undefined ? rm(dir, { recursive: true, force: true }) : publisher.close(),
    );
    const token = process.env["POSTTRAIN_WEIGHTS_TOKEN"] || undefined;
    const server = address === undefined ? undefined : await serveWeights(join(dir, owner), address, token);
    if (server !== undefined) opened.push(() => server[Symbol.asyncDispose]());
    return {
      ...{ jobs, sampling: { jobs, publisher } },
      place: server ? ` --weights_url ${server.url}` : ` --weights_dir ${shellQuote(dir)}`,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
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
