// Scores by workers: batches of token ids go out as jobs, their scores come back to the bit. A job names the folder of its reward model as it is written, and says by digest which
// model it is: a worker finds the folder below its own, and scores with no other.
import { isAbsolute, relative, resolve, sep } from "node:path";
import { UserError } from "@posttrain/data";
import { defineHandler, defineKind, type Handler, type Jobs } from "@posttrain/jobs";
import type { Device } from "@posttrain/kernels";
import { loadModel, type Model, modelDigest, openModelFolder, type Qwen2Config } from "@posttrain/model";
import { z } from "zod";
import { type SequenceScores, scoreSequences } from "./score.js";
import { type Score, scoresBy } from "./scorer.js";

/** Sequences that one model can score, together; `weights` of the job is the model's digest. */
const scoringKind = defineKind({
  name: "score",
  payload: z.strictObject({
    /** Relative to the folder that the machines share, or as all of them call it. */
    model: z.string().min(1),
    dtype: z.enum(["f32", "bf16"]),
    sequences: z.array(z.array(z.int().nonnegative()).min(1)).min(1),
  }),
  /** float32, little-endian, base64: the scores of all sequences, then of each the scores of its heads. */
  result: z.strictObject({ values: z.base64() }),
});

/** Batches of one call that are with workers at once. */
const WIDTH = 64;

export interface ScoringModel {
  readonly path: string;
  readonly config: Qwen2Config;
  readonly dtype: "f32" | "bf16";
}

/** As modelScores(), by workers. Its promise rejects with UserError `not_scored` where no worker could do it. */
export async function scoresOnWorkers(
  jobs: Jobs,
  { path, config, dtype }: ScoringModel,
): Promise<(sequences: readonly Int32Array[]) => Promise<readonly (Score | null)[]>> {
  const weights = await modelDigest(path);
  const score = async (batch: readonly Int32Array[]): Promise<SequenceScores> => {
    const payload = { model: path, dtype, sequences: batch.map((ids) => [...ids]) };
    for await (const outcome of jobs.submit(scoringKind, [
      { payload, weights, label: `${batch.length} of ${path}` },
    ])) {
      if (outcome.state === "done") return decoded(outcome.result.values, batch.length);
      throw new UserError(
        "not_scored",
        `Workers could not score with ${path}: ${outcome.error} (posttrain jobs show ${outcome.id.slice(0, 12)}). Mend what it says and run the command again.`,
      );
    }
    throw new Error("cancelled");
  };
  return scoresBy(config, score, WIDTH);
}

export interface ScoringWorker extends AsyncDisposable {
  readonly handler: Handler;
}

/** `device` is asked for at the first job; the caller closes it after the worker. `folder`: what models lie in. */
export function openScoringWorker(folder: string, device: () => Device): ScoringWorker {
  let held: { readonly name: string; readonly model: Model } | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  /** A device does one thing at a time, and one model fits into more memories than two. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const own = turn.then(work);
    turn = own.catch(() => undefined);
    return own;
  };
  const letGo = (): void => {
    held?.model.scope.end();
    held = undefined;
  };

  async function open(path: string, dtype: "f32" | "bf16", weights: string): Promise<Model> {
    const name = JSON.stringify([path, dtype, weights]);
    if (held?.name === name) return held.model;
    letGo();
    const dir = below(folder, path);
    await openModelFolder(dir, "reward");
    const digest = await modelDigest(dir);
    if (digest !== weights)
      throw new Error(
        `this worker's ${dir} holds the model ${digest.slice(0, 16)}, and ${weights.slice(0, 16)} is asked for: give --folder the folder that the machines share`,
      );
    const own = device();
    if (dtype === "bf16" && own.backend !== "cpu")
      throw new Error(
        `this worker computes on ${own.backend}, whose bf16 has other bits than that of the cpu`,
      );
    held = { name, model: await loadModel(own, dir, { kind: "reward", dtype }) };
    return held.model;
  }

  return {
    handler: defineHandler(scoringKind, ({ model: path, dtype, sequences }, { weights, cancelled }) =>
      inTurn(async () => {
        cancelled.throwIfAborted();
        const model = await open(path, dtype, weights ?? "none").catch(asTrouble);
        const { vocabSize, maxPositionEmbeddings: context } = model.config;
        for (const ids of sequences)
          if (ids.length > context || ids.some((id) => id >= vocabSize))
            throw new UserError("bad_job", `a sequence that ${path} cannot read`);
        const { scores, heads } = await scoreSequences(
          model,
          sequences.map((ids) => Int32Array.from(ids)),
        );
        return { values: encoded([scores, ...heads]) };
      }),
    ),
    [Symbol.asyncDispose]: () => inTurn(async () => letGo()),
  };
}

/** Throws Error where it leads out of the folder. */
function below(folder: string, path: string): string {
  const dir = resolve(folder, path);
  const way = relative(resolve(folder), dir);
  if (way.split(sep)[0] === ".." || isAbsolute(way))
    throw new Error(`${path} does not lie in this worker's --folder ${folder}`);
  return dir;
}

/** Another worker may have the model. */
function asTrouble(error: unknown): never {
  throw new Error((error as Error).message);
}

function encoded(arrays: readonly Float32Array[]): string {
  const bytes = new DataView(new ArrayBuffer(4 * arrays.reduce((sum, { length }) => sum + length, 0)));
  let at = 0;
  for (const array of arrays)
    for (const value of array) {
      bytes.setFloat32(at, value, true);
      at += 4;
    }
  return Buffer.from(bytes.buffer).toString("base64");
}

function decoded(text: string, sequences: number): SequenceScores {
  const bytes = Buffer.from(text, "base64");
  const values = Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
  const count = values.length / sequences - 1;
  if (!Number.isInteger(count) || count < 0)
    throw new Error(`${values.length} scores of ${sequences} sequences`);
  return {
    scores: values.subarray(0, sequences),
    heads:
      count === 0
        ? []
        : Array.from({ length: sequences }, (_, s) =>
            values.subarray(sequences + s * count, sequences + (s + 1) * count),
          ),
  };
}
