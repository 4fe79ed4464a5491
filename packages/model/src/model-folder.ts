/**
 * A Hugging Face model folder as a whole: config.json, generation_config.json, and which file holds each tensor
 * at which bytes. Nothing of a tensor is read here, only the headers.
 *
 * A folder that opens is complete: every parameter of config.json is there, in its shape and a type that can be
 * trained. What is there besides and means nothing is listed in `ignored`; anything else is refused.
 *
 * The heads of which a reward model's score is the sum lie in a folder of their own: transformers does not look for
 * such a file, and vLLM takes every *.safetensors beside config.json for its own.
 */
import { mkdir, open, readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { readRegularFile, refusePlaceholder, UserError } from "@posttrain/data";
import { replaceDurably, syncPath, writeSynced } from "@posttrain/run";
import { z } from "zod";
import {
  headsWeight,
  parameterShapes,
  parseModelConfig,
  parseWith,
  type Qwen2Config,
  toJson,
} from "./config.js";
import {
  type GenerationConfig,
  generationConfigFrom,
  generationConfigToJson,
  parseGenerationConfig,
} from "./generation-config.js";
import {
  readSafetensorsHeader,
  type SafetensorsDtype,
  type SafetensorsEntry,
  type TensorSource,
  writeSafetensors,
} from "./safetensors.js";

/** The types in which weights may be stored. */
export type WeightDtype = "F32" | "BF16" | "F16";

/** One parameter on disk: bytes `begin` (included) to `end` (excluded) of `file`, little-endian and row-major. */
export interface StoredTensor {
  readonly file: string;
  readonly dtype: WeightDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface ModelFolder {
  readonly dir: string;
  readonly config: Qwen2Config;
  readonly generationConfig: GenerationConfig;
  /** Every parameter, in the order of `parameterShapes(config)`. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Stored tensors that the model does not use: a second copy of a tied head, old rotary tables, spares. */
  readonly ignored: readonly string[];
}

/** What {@link writeModelFolder} writes. */
export interface NewModelFolder {
  readonly config: Qwen2Config;
  readonly generationConfig: GenerationConfig;
  /** Exactly the parameters of `config`, in any order. */
  readonly tensors: Iterable<TensorSource & { readonly dtype: WeightDtype }>;
  /** Further files by their plain name, such as the model's companions. */
  readonly extraFiles?: Readonly<Record<string, string | Uint8Array>>;
}

const comparedAtOnce = 1 << 22;
const singleFile = "model.safetensors";
const indexFile = "model.safetensors.index.json";
const headsFile = join("heads", "heads.safetensors");
const weightDtypes: Readonly<Record<WeightDtype, string>> = {
  F32: "float32",
  BF16: "bfloat16",
  F16: "float16",
};
const uselessTensor = /^model\.(?:layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq$/;

/** A language model writes, a reward model scores. */
export type ModelKind = "language" | "reward";

/**
 * Opens the model folder `dir`: single-file weights (which win) or shards with an index.
 * @throws UserError that names the file and what to do, when anything is missing, unreadable or contradictory;
 * `wrong_kind_of_model` where a model of one kind is wanted and the folder has the other.
 */
export async function openModelFolder(
  dir: string,
  kind: ModelKind | "either" = "language",
): Promise<ModelFolder> {
  const names = await listFolder(dir);
  const { config, generationConfig } = await openModelConfigs(dir);
  if (kind !== "either") checkKind(join(dir, "config.json"), config, kind);

  const stored = await findTensors(dir, names);
  const heads = (config.score?.heads.length ?? 0) > 0 ? await findHeads(dir) : [];
  const { tensors, ignored } = matchParameters(dir, config, {
    ...stored,
    tensors: new Map([...stored.tensors, ...heads]),
  });
  await checkTiedHead(dir, config, stored.tensors);
  return { dir, config, generationConfig, tensors, ignored };
}

/** What a folder says of its model beside the weights. UserError as of {@link openModelFolder}. */
export async function openModelConfigs(
  dir: string,
): Promise<Pick<ModelFolder, "config" | "generationConfig">> {
  const names = await listFolder(dir);
  const configFile = join(dir, "config.json");
  if (!names.includes("config.json")) {
    throw new UserError(
      "not_a_model_folder",
      `${dir} has no config.json, so it is not a Hugging Face model folder. Give the folder that holds config.json and ` +
        "model.safetensors themselves.",
    );
  }
  const config = parseModelConfig(await readJson(configFile), configFile);
  const generationFile = join(dir, "generation_config.json");
  const generationConfig = names.includes("generation_config.json")
    ? parseGenerationConfig(await readJson(generationFile), generationFile)
    : generationConfigFrom(config);
  return { config, generationConfig };
}

function checkKind(file: string, { score }: Qwen2Config, kind: ModelKind): void {
  if (kind === "language" && score !== null) {
    throw new UserError(
      "wrong_kind_of_model",
      `${file}: this is a reward model (Qwen2ForSequenceClassification): it has a score where a language model has words, which are wanted here. ` +
        "posttrain reward score takes it, chat --reward_model shows its scores, and posttrain reward trains it on.",
    );
  }
  if (kind === "reward" && score === null) {
    throw new UserError(
      "wrong_kind_of_model",
      `${file}: this is a language model (Qwen2ForCausalLM), which has no score; a reward model is wanted here. posttrain reward makes one of it; ` +
        "the log-probabilities of a language model are what posttrain score gives.",
    );
  }
}

/**
 * Writes a model folder: into a temporary folder beside `dir`, synced, then renamed, so that `dir` is complete or
 * absent. `torch_dtype` of config.json becomes the type of the tensors. Returns the names of the files written.
 * @throws UserError `folder_exists` when `dir` is there and not empty, `cannot_write` when the disk refuses.
 */
export async function writeModelFolder(dir: string, model: NewModelFolder): Promise<readonly string[]> {
  const target = resolve(dir);
  const tensors = [...model.tensors];
  checkComplete(model.config, tensors);
  const dtypes = new Set(tensors.map(({ dtype }) => weightDtypes[dtype]));
  const torchDtype = dtypes.size === 1 ? ([...dtypes][0] ?? null) : model.config.torchDtype;
  const heads = tensors.filter(({ name }) => name === headsWeight);
  const texts: Readonly<Record<string, string | Uint8Array>> = {
    ...model.extraFiles,
    "config.json": toJson({ ...model.config, torchDtype }),
    ...(model.config.score === null && {
      "generation_config.json": generationConfigToJson(model.generationConfig),
    }),
  };
  await refuseFullFolder(target);

  await replaceDurably(target, async (partial) => {
    await mkdir(dirname(target), { recursive: true });
    await mkdir(partial);
    await writeSafetensors(
      join(partial, singleFile),
      tensors.filter((tensor) => !heads.includes(tensor)),
    );
    if (heads.length > 0) {
      await mkdir(dirname(join(partial, headsFile)));
      await writeSafetensors(join(partial, headsFile), heads);
      await syncPath(dirname(join(partial, headsFile)));
    }
    for (const [name, content] of Object.entries(texts)) {
      const path = join(partial, name);
      if (dirname(path) !== partial) await mkdir(dirname(path), { recursive: true });
      await writeSynced(path, content);
    }
    await syncPath(partial);
  });
  return [singleFile, ...(heads.length > 0 ? [headsFile] : []), ...Object.keys(texts)].sort();
}

async function listFolder(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const what =
      code === "ENOENT"
        ? "does not exist"
        : code === "ENOTDIR"
          ? "is not a folder"
          : `cannot be read (${message})`;
    throw new UserError(
      "not_a_model_folder",
      `The model folder ${dir} ${what}. Give the path of a folder with config.json and model.safetensors.`,
      { cause },
    );
  }
}

async function readJson(file: string): Promise<unknown> {
  let text: string;
  try {
    text = (await readRegularFile(file)).toString("utf8");
  } catch (cause) {
    throw new UserError("cannot_read", `${file}: cannot be read (${(cause as Error).message}).`, { cause });
  }
  refusePlaceholder(file, text);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UserError(
      "bad_json",
      `${file} is not JSON (${(cause as Error).message}). Correct it, or download the file again.`,
      { cause },
    );
  }
}

interface FoundTensor extends SafetensorsEntry {
  readonly file: string;
}

/** The tensors of all weight files, and those names in shards that the index does not list. */
async function findTensors(
  dir: string,
  names: readonly string[],
): Promise<{ readonly tensors: ReadonlyMap<string, FoundTensor>; readonly unlisted: readonly string[] }> {
  if (names.includes(singleFile)) {
    const file = join(dir, singleFile);
    const entries = await readSafetensorsHeader(file);
    return {
      tensors: new Map([...entries].map(([name, entry]) => [name, { ...entry, file }])),
      unlisted: [],
    };
  }
  if (!names.includes(indexFile)) throw noWeights(dir, names);

  const file = join(dir, indexFile);
  const text = z.string("the name of a file");
  const schema = z.looseObject(
    { weight_map: z.record(z.string(), text, "an object of tensor and file names") },
    "a JSON object",
  );
  const weightMap = new Map(
    Object.entries(parseWith(schema, await readJson(file), file, "bad_index").weight_map),
  );
  const shards = new Map<string, Map<string, SafetensorsEntry>>();
  for (const shard of new Set(weightMap.values())) {
    if (!names.includes(shard)) {
      throw new UserError(
        "missing_shard",
        `${file} names the shard ${JSON.stringify(shard)}, which is not in ${dir}. Download the missing file; the index ` +
          `needs ${new Set(weightMap.values()).size} of them.`,
      );
    }
    shards.set(shard, await readSafetensorsHeader(join(dir, shard)));
  }
  const tensors = new Map<string, FoundTensor>();
  for (const [name, shard] of weightMap) {
    const entry = shards.get(shard)?.get(name);
    if (entry === undefined) {
      throw new UserError(
        "bad_index",
        `${file} says that ${shard} holds the tensor ${JSON.stringify(name)}, but it does not. The files come from ` +
          "different versions of the model; download them together.",
      );
    }
    tensors.set(name, { ...entry, file: join(dir, shard) });
  }
  const held = [...shards].flatMap(([shard, entries]) =>
    [...entries.keys()].map((name) => ({ shard, name })),
  );
  const spares = held.filter(({ shard, name }) => weightMap.get(name) !== shard);
  for (const { shard, name } of spares) {
    const listed = tensors.get(name);
    const how =
      listed && (await differenceOf({ ...shards.get(shard)!.get(name)!, file: join(dir, shard) }, listed));
    if (how === undefined) continue;
    throw new UserError(
      "bad_index",
      `${dir}: two shards hold a tensor ${JSON.stringify(name)}, and they differ: the one in ${shard} ${how}; ${indexFile} means the one in ${weightMap.get(name)}. ` +
        "The files come from different versions of the model; download them together.",
    );
  }
  const unlisted = spares.map(({ name }) => name);
  return { tensors, unlisted };
}

async function findHeads(dir: string): Promise<readonly (readonly [string, FoundTensor])[]> {
  const file = join(dir, headsFile);
  const there = await stat(file).catch(() => null);
  if (there === null) {
    throw new UserError(
      "missing_weights",
      `${file} is missing: score_heads in config.json says that the score is a sum of heads, and they lie there. Copy the folder as a whole; ` +
        "or remove score_heads: score.weight alone gives the same scores, without those of the heads.",
    );
  }
  return [...(await readSafetensorsHeader(file))].map(([name, entry]) => [name, { ...entry, file }]);
}

function noWeights(dir: string, names: readonly string[]): UserError {
  const found = names.find((name) => /\.(?:bin|pt|pth|gguf|h5|msgpack|onnx)$|^adapter_model\./.test(name));
  if (found === undefined) {
    return new UserError(
      "missing_weights",
      `${dir} has a config.json but no weights. Put model.safetensors, or ${indexFile} and its shards, beside it.`,
    );
  }
  return new UserError(
    "unsupported_weights",
    `${dir} has weights only as ${found}; they are read from safetensors. Convert them with transformers in Python: ` +
      `AutoModelForCausalLM.from_pretrained(${JSON.stringify(dir)}).save_pretrained("NEW_FOLDER"), and copy the tokenizer's files.`,
  );
}

function matchParameters(
  dir: string,
  config: Qwen2Config,
  { tensors: stored, unlisted }: Awaited<ReturnType<typeof findTensors>>,
): Pick<ModelFolder, "tensors" | "ignored"> {
  const shapes = parameterShapes(config);
  const headless = config.tieWordEmbeddings || config.score !== null;
  const isIgnored = (name: string) => uselessTensor.test(name) || (headless && name === "lm_head.weight");
  const tensors = new Map<string, StoredTensor>();
  const problems: string[] = [];
  for (const [name, shape] of shapes) {
    const found = stored.get(name);
    if (found === undefined && unlisted.includes(name)) {
      problems.push(`${name} is in a shard, but not in ${indexFile}`);
    } else if (found === undefined) problems.push(`${name} is missing`);
    else if (!sameShape(found.shape, shape)) {
      problems.push(`${name} has the shape [${found.shape.join(", ")}], expected [${shape.join(", ")}]`);
    } else if (!isWeightDtype(found.dtype)) {
      problems.push(`${name} is stored as ${found.dtype}, expected F32, BF16 or F16`);
    } else {
      const { file, begin, end } = found;
      tensors.set(name, { file, dtype: found.dtype, shape, begin, end });
    }
  }
  for (const name of [...stored.keys(), ...unlisted]) {
    if (!shapes.has(name) && !isIgnored(name))
      problems.push(`${JSON.stringify(name).slice(1, -1)} is unexpected`);
  }
  if (problems.length === 1 && !headless && !stored.has("lm_head.weight")) throw noHead(dir, config);
  if (problems.length > 0) {
    const more = problems.length > 5 ? `; and ${problems.length - 5} more` : "";
    throw new UserError(
      "weights_do_not_fit",
      `${dir}: the weights do not fit config.json, which describes ${shapes.size} tensors. ${problems.length} ` +
        `${problems.length === 1 ? "differs" : "differ"}: ${problems.slice(0, 5).join("; ")}${more}. Take config.json and ` +
        "the weights from the same model.",
    );
  }
  return { tensors, ignored: [...[...stored.keys()].filter(isIgnored), ...unlisted] };
}

function noHead(dir: string, { raw }: Qwen2Config): UserError {
  const said =
    raw["tie_word_embeddings"] === undefined
      ? "does not name tie_word_embeddings, which means false for this architecture"
      : "has tie_word_embeddings false";
  return new UserError(
    "weights_do_not_fit",
    `${dir}: lm_head.weight is missing, and config.json ${said}: the head has weights of its own. If it is the embedding, as in the smaller ` +
      'Qwen2.5 (0.5B to 3B), set "tie_word_embeddings": true there; else download the file that has it.',
  );
}

/** A copy of the embedding means nothing; another head means that config.json or the file is not this model's. */
async function checkTiedHead(
  dir: string,
  { tieWordEmbeddings, score }: Qwen2Config,
  tensors: ReadonlyMap<string, FoundTensor>,
): Promise<void> {
  const head = tensors.get("lm_head.weight");
  const embedding = tensors.get("model.embed_tokens.weight");
  if (!tieWordEmbeddings || score !== null || head === undefined || embedding === undefined) return;
  const how = await differenceOf(head, embedding);
  if (how === undefined) return;
  throw new UserError(
    "weights_do_not_fit",
    `${dir}: config.json has tie_word_embeddings true, so the head is the embedding, but lm_head.weight in ${basename(head.file)} is another: it ${how}. ` +
      'If the head was trained on its own, set "tie_word_embeddings": false; if it is left over, save the model again without it.',
  );
}

/** How two stored tensors differ; undefined where they hold the same bytes. */
async function differenceOf(a: FoundTensor, b: FoundTensor): Promise<string | undefined> {
  if (!sameShape(a.shape, b.shape))
    return `has the shape [${a.shape.join(", ")}], not [${b.shape.join(", ")}]`;
  if (a.dtype !== b.dtype) return `is stored as ${a.dtype}, not ${b.dtype}`;
  const handles = [await open(a.file, "r"), await open(b.file, "r")] as const;
  try {
    const pieces = [Buffer.alloc(comparedAtOnce), Buffer.alloc(comparedAtOnce)] as const;
    for (let at = 0; at < a.end - a.begin; at += comparedAtOnce) {
      const length = Math.min(comparedAtOnce, a.end - a.begin - at);
      await handles[0].read(pieces[0], 0, length, a.begin + at);
      await handles[1].read(pieces[1], 0, length, b.begin + at);
      if (pieces[0].compare(pieces[1], 0, length, 0, length) !== 0) return "has other values";
    }
    return undefined;
  } finally {
    for (const handle of handles) await handle.close();
  }
}

/** Our own callers' duty, hence Error. */
function checkComplete(config: Qwen2Config, tensors: readonly TensorSource[]): void {
  const shapes = parameterShapes(config);
  for (const { name, shape } of tensors) {
    const expected = shapes.get(name);
    if (expected === undefined || !sameShape(shape, expected)) {
      throw new Error(
        `writeModelFolder: ${name} [${shape.join(", ")}], expected ${expected ?? "no such tensor"}`,
      );
    }
  }
  if (tensors.length !== shapes.size) {
    throw new Error(`writeModelFolder: ${tensors.length} tensors, expected ${shapes.size}`);
  }
}

export async function refuseFullFolder(target: string): Promise<void> {
  const there = await stat(target).catch(() => null);
  if (there === null) return;
  if (there.isDirectory() && (await readdir(target)).length === 0) return;
  throw new UserError(
    "folder_exists",
    `${target} already exists and is not an empty folder. Nothing was written; choose another folder, or remove this one.`,
  );
}

const isWeightDtype = (dtype: SafetensorsDtype): dtype is WeightDtype => dtype in weightDtypes;
const sameShape = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((n, i) => n === b[i]);
