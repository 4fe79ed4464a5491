// What gives responses their scores, for as long as a command needs it: a reward model's folder on our kernels, here or on workers, or an ONNX file through onnxruntime.
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { UserError } from "@posttrain/data";
import type { Jobs } from "@posttrain/jobs";
import type { Device } from "@posttrain/kernels";
import {
  computeDtype,
  loadModel,
  type ModelChoice,
  onnxFileAt,
  openModelFolder,
  parseModelConfig,
  type Qwen2Config,
} from "@posttrain/model";
import {
  modelScorer,
  modelScores,
  openOnnxScorer,
  type Scorer,
  scoresOnWorkers,
} from "@posttrain/reward-model";
import type { MachineOptions } from "./options.js";
import { describeModel, withDevice } from "./with-model.js";

export interface OpenScorer {
  readonly scorer: Scorer;
  /** The same with what each head says, where the score is a sum of heads; an ONNX file has the sum alone. */
  readonly scores: ReturnType<typeof modelScores>;
  /** The folder of its tokenizer and chat template. */
  readonly dir: string;
  readonly config: Qwen2Config;
  readonly description: string;
}

/** `open`: a device that is open already, for who computes with another model beside it; `workers` score in place of this process, but for an ONNX file. */
export async function withScorer<T>(
  { model_name_or_path: path, dtype }: ModelChoice,
  { workers, ...machine }: MachineOptions & { readonly workers?: Jobs | undefined },
  body: (scorer: OpenScorer) => Promise<T>,
  open?: Device,
): Promise<T> {
  const file = await onnxFileAt(path);
  if (file === undefined && workers !== undefined) {
    const { config } = await openModelFolder(path, "reward");
    const scores = await scoresOnWorkers(workers, { path, config, dtype: computeDtype(dtype) });
    const scorer: Scorer = async (sequences) =>
      (await scores(sequences)).map((found) => found?.score ?? null);
    const description = "on workers (posttrain worker --kinds score; posttrain jobs list shows them)";
    return body({ scorer, scores, dir: path, config, description });
  }
  if (file === undefined) {
    const on = (use: (device: Device) => Promise<T>): Promise<T> =>
      open === undefined ? withDevice(machine, use) : use(open);
    return on(async (device) => {
      const model = await loadModel(device, path, { kind: "reward", dtype: computeDtype(dtype) });
      try {
        const { config } = model;
        return await body({
          scorer: modelScorer(model),
          scores: modelScores(model),
          dir: path,
          config,
          description: describeModel(model),
        });
      } finally {
        model.scope.end();
      }
    });
  }
  if (dtype !== "float32") {
    throw new UserError(
      "bad_option",
      `dtype is ${dtype}, but ${file} computes in what it was exported in (float32). Leave the option out.`,
    );
  }
  const dir = dirname(file);
  const config = await configBeside(file, dir);
  const { scorer, close } = await openOnnxScorer(file, {
    vocabSize: config.vocabSize,
    context: config.maxPositionEmbeddings,
    threads: machine.threads,
  });
  try {
    const scores = async (sequences: readonly Int32Array[]) =>
      (await scorer(sequences)).map((score) => (score === null ? null : { score, heads: {} }));
    return await body({ scorer, scores, dir, config, description: `${basename(file)}, through onnxruntime` });
  } finally {
    await close();
  }
}

async function configBeside(file: string, dir: string): Promise<Qwen2Config> {
  const path = join(dir, "config.json");
  const text = await readFile(path, "utf8").catch((cause: Error) => {
    throw new UserError(
      "bad_onnx",
      `${path} cannot be read (${cause.message}): an ONNX file needs config.json and the tokenizer's files beside it, as \`posttrain export\` writes them. Copy the folder of ${basename(file)} as a whole.`,
      { cause },
    );
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new UserError("bad_json", `${path} is not JSON (${(cause as Error).message}).`, { cause });
  }
  return parseModelConfig(json, path);
}
