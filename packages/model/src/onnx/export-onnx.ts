// A model as an ONNX file, in a folder with what belongs to it: config.json, generation_config.json, tokenizer. Weights are fp32, in the file itself or
// in model.onnx_data beside it, as Optimum names the two.
import { mkdir, open } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { replaceDurably, syncPath, writeSynced } from "@posttrain/run";
import { toJson } from "../config.js";
import { generationConfigToJson } from "../generation-config.js";
import { type Model, parameter } from "../model.js";
import { refuseFullFolder } from "../model-folder.js";
import { writeAll } from "../safetensors.js";
import { type LanguageOutput, languageGraph, rewardGraph } from "./graph.js";

/** Elements of a weight that are held as a copy at a time. */
const writtenAtOnce = 1 << 20;

const onnxModelFile = "model.onnx";
const dataFile = "model.onnx_data";

export interface OnnxExport {
  /** What a language model puts out; a reward model has its scores. Default: logits. */
  readonly output?: LanguageOutput;
  /** Weights beside the file, also where it could hold them. What is beyond 2 GB always lies there. */
  readonly externalData?: boolean;
  /** Further files by their plain name, such as the model's companions. */
  readonly extraFiles?: Readonly<Record<string, string | Uint8Array>>;
}

/**
 * Writes the folder `dir` in one transaction, `model` (in f32) as model.onnx in it: with a reward head its scores, else what `output` says. Returns the
 * names of the files.
 * @throws UserError `folder_exists` when `dir` is there and not empty, `cannot_write` when the disk refuses.
 */
export async function exportOnnx(
  model: Model,
  dir: string,
  options: OnnxExport = {},
): Promise<readonly string[]> {
  if (model.dtype !== "f32") throw new Error("exportOnnx: the model must be in f32");
  // With protobufjs, which nothing else waits for.
  const { maxFileBytes, onnxFile, onnxFileBeside } = await import("./proto.js");
  const { config } = model;
  const graph =
    config.score === null
      ? languageGraph(config, options.output ?? "logits")
      : rewardGraph(config, config.score.labels.length);
  const weights = graph.weights.map((name) => {
    const tensor = parameter(model, name);
    return { name, shape: tensor.shape, bytes: () => tensor.pieces(writtenAtOnce) };
  });
  const metadata = {
    "posttrain.kind": graph.name,
    "posttrain.vocab_size": String(config.vocabSize),
    "posttrain.max_position_embeddings": String(config.maxPositionEmbeddings),
  };
  const files: Record<string, string | Uint8Array> = {
    ...options.extraFiles,
    "config.json": toJson({ ...config, torchDtype: "float32" }),
    ...(config.score === null && {
      "generation_config.json": generationConfigToJson(model.generationConfig),
    }),
  };
  const target = resolve(dir);
  await refuseFullFolder(target);
  const whole = onnxFile(graph, weights, metadata);
  const beside = options.externalData === true || whole.bytes > maxFileBytes;
  await replaceDurably(target, async (partial) => {
    await mkdir(dirname(target), { recursive: true });
    await mkdir(partial);
    if (beside) {
      const { model: file, data } = onnxFileBeside(graph, weights, metadata, dataFile);
      await writeSynced(join(partial, onnxModelFile), file);
      await writePieces(join(partial, dataFile), data());
    } else await writePieces(join(partial, onnxModelFile), whole.pieces());
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(partial, name)), { recursive: true });
      await writeSynced(join(partial, name), content);
    }
    await syncPath(partial);
  });
  return [onnxModelFile, ...(beside ? [dataFile] : []), ...Object.keys(files)].sort();
}

async function writePieces(path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const handle = await open(path, "wx");
  try {
    for await (const piece of pieces) await writeAll(handle, piece);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
