// posttrain inspect: what a model folder or a checkpoint is, and how it differs from another one. Reads files only; computes nothing on a device.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  byteText,
  type ChatTemplate,
  loadChatTemplate,
  loadTokenizer,
  type Tokenizer,
  UserError,
} from "@posttrain/data";
import {
  modelDigest,
  openModelFolder,
  parameterCount,
  type Qwen2Config,
  resolveStopIds,
  type ScoreHead,
} from "@posttrain/model";
import { type Checkpoint, differences, fileDigest, verifyCheckpoint } from "@posttrain/run";
import { residentBytes } from "@posttrain/sft";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, glue, millions, plainNumber, plural } from "../format.js";
import { compareTensors, type TensorComparison } from "../inspect/compare-tensors.js";
import { createOutput, type Line, type Output } from "../output.js";
import { unstoppedTemplate } from "../turn-ends.js";
import { visible } from "../visible.js";

export const command = defineCommand({
  options: z.strictObject({
    model_name_or_path: z.string().describe("Hugging Face folder of a model, or a checkpoint"),
    compare_to: z.string().optional().describe("another one: what differs in config, text side and weights"),
  }),
  examples: [
    [
      "npx posttrain inspect --model_name_or_path runs/quickstart-1/sft/checkpoint-800 \\\n--compare_to runs/quickstart-1/model",
      "what npm start has trained, beside what it started from",
    ],
    [
      "npx posttrain inspect --model_name_or_path ~/models/Qwen2.5-0.5B",
      "a model, before anything is trained",
    ],
  ],
  notes:
    "The digest of a model is the SHA-256 over the names and digests of config.json and its files of weights. Activations are an estimate for " +
    "rows of 1,024 tokens. Of a checkpoint every file is held against its manifest; exit code 1 where one does not agree. --json prints all of " +
    'it, with whole digests and every tensor that differs: {"model", "files", "checkpoint", "comparison"}.',
  run: async ({ model_name_or_path: dir, compare_to: other }, context) => {
    const output = createOutput(context, process.stdout);
    const model = await describe(dir);
    const files = await filesOf(dir);
    const checkpoint = await checkpointAt(dir);
    output.table(modelLines(model));
    if (checkpoint !== undefined) {
      output.print("");
      output.table(checkpointLines(checkpoint));
    }
    output.print("\nSHA-256 (its beginning; all of it with --json)");
    const width = Math.max(...files.map(({ name }) => name.length));
    for (const { name, bytes, sha256 } of files) {
      output.print(`  ${name.padEnd(width)} ${byteText(bytes).padStart(9)}  ${sha256.slice(0, 16)}`);
    }
    let comparison: Comparison | undefined;
    if (other !== undefined) {
      comparison = await compare(model, await describe(other), output);
      output.print("");
      output.table(comparisonLines(other, comparison));
    }
    const { folder: _, ...facts } = model;
    output.result({
      quiet: model.sha256,
      json: { model: facts, files, checkpoint: checkpoint ?? null, comparison: comparison ?? null },
    });
    if (checkpoint !== undefined && "damage" in checkpoint) {
      if (context.quiet) console.error(visible(checkpoint.damage));
      process.exitCode = exitCodes.mistake;
    }
  },
});

interface Described {
  readonly dir: string;
  readonly folder: Awaited<ReturnType<typeof openModelFolder>>;
  readonly sha256: string;
  readonly parameters: number;
  readonly dtypes: Readonly<Record<string, number>>;
  readonly weight_bytes: number;
  readonly training_bytes: {
    readonly weights: number;
    readonly gradients: number;
    readonly moments: number;
    /** Of one row of so many tokens. */
    readonly activations_1024_tokens: number;
    readonly activations_1024_tokens_checkpointing: number;
  };
  /** What sft --bf16 takes instead of weights in fp32. */
  readonly training_bytes_bf16: { readonly weights: number; readonly masters: number };
  readonly tokenizer: {
    readonly tokens: number;
    readonly eos_token: string | null;
    readonly sha256: string;
  } | null;
  readonly chat_template: { readonly sha256: string } | null;
  /** What does not fit together, though it can be worked with. */
  readonly notes: readonly string[];
  readonly stop_ids: readonly { readonly id: number; readonly token: string | null }[];
}

async function describe(dir: string): Promise<Described> {
  const folder = await openModelFolder(dir, "either");
  const { config, generationConfig, tensors } = folder;
  const parameters = parameterCount(config);
  const dtypes: Record<string, number> = {};
  let weightBytes = 0;
  for (const { dtype, begin, end } of tensors.values()) {
    dtypes[dtype] = (dtypes[dtype] ?? 0) + 1;
    weightBytes += end - begin;
  }
  const tokenizer = await orNone(["missing_tokenizer"], () => loadTokenizer(dir));
  const template = await orNone(["missing_template"], () => loadChatTemplate(dir));
  const stopIds = config.score === null ? resolveStopIds(generationConfig, config) : [];
  // A reward model's layers take what those of a language model take; its head is nothing beside them.
  const writing: Qwen2Config = { ...config, score: null, tieWordEmbeddings: true };
  return {
    dir,
    folder,
    sha256: await modelDigest(dir),
    parameters,
    dtypes,
    weight_bytes: weightBytes,
    training_bytes: {
      weights: 4 * parameters,
      gradients: 4 * parameters,
      moments: 8 * parameters,
      activations_1024_tokens: (await residentBytes(writing, 1, 1024, false)).activations,
      activations_1024_tokens_checkpointing: (await residentBytes(writing, 1, 1024, true)).activations,
    },
    training_bytes_bf16: { weights: 2 * parameters, masters: 4 * parameters },
    tokenizer: tokenizer
      ? { tokens: tokenizer.size, eos_token: tokenizer.eosToken ?? null, sha256: tokenizer.digest }
      : null,
    chat_template: template ? { sha256: template.digest } : null,
    notes: notesOf(config, stopIds, tokenizer, template),
    stop_ids: stopIds.map((id) => ({
      id,
      token: tokenizer?.tokenOf(id) ?? null,
    })),
  };
}

function notesOf(
  { vocabSize, score }: Qwen2Config,
  stopIds: readonly number[],
  tokenizer: Tokenizer | undefined,
  template: ChatTemplate | undefined,
): readonly string[] {
  const notes: string[] = [];
  if (tokenizer !== undefined && tokenizer.size > vocabSize) {
    notes.push(
      `the tokenizer has ${count(tokenizer.size)} tokens, the embedding ${count(vocabSize)} rows: text with a token from id ${vocabSize} on is refused`,
    );
  }
  const outside = stopIds.filter((id) => id >= vocabSize);
  if (outside.length > 0) {
    notes.push(
      `${outside.join(", ")} among the ids where generation stops is outside the vocabulary, and never drawn`,
    );
  }
  if (tokenizer !== undefined && tokenizer.unknownTokens.length > 0) {
    notes.push(
      `tokenizer_config.json names ${tokenizer.unknownTokens.join(", ")}, which is no token of tokenizer.json: it is split like a word`,
    );
  }
  if (template?.passedOver !== undefined) {
    notes.push(`${template.path} counts; ${template.passedOver} has another chat_template`);
  }
  const writes = score === null;
  const unstopped =
    writes && tokenizer && template && unstoppedTemplate({ tokenizer, template }, stopIds, []);
  if (unstopped) notes.push(unstopped);
  return notes;
}

/** A file that a model may lack; one that is broken is an error. */
async function orNone<T>(codes: readonly string[], load: () => Promise<T>): Promise<T | undefined> {
  try {
    return await load();
  } catch (error) {
    if (error instanceof UserError && codes.includes(error.code)) return undefined;
    throw error;
  }
}

function modelLines(model: Described): readonly Line[] {
  const { config, ignored } = model.folder;
  const { training_bytes: training, tokenizer } = model;
  const dtypes = Object.entries(model.dtypes).map(([dtype, tensors]) => `${dtype} ${count(tensors)}`);
  const stops = model.stop_ids.map(({ id, token }) => `${token ?? "a token it does not know"} (${id})`);
  const yarn = config.yarn === null ? "" : `, YaRN by ${plainNumber(config.yarn.factor)}`;
  return [
    [
      "model",
      `${model.dir}: ${config.score === null ? "Qwen2ForCausalLM" : "Qwen2ForSequenceClassification"}, ${millions(model.parameters)} parameters (${count(model.parameters)})`,
    ],
    [
      "layers",
      `${count(config.layers)} of width ${count(config.hiddenSize)}, inside ${count(config.intermediateSize)}; ${count(config.heads)} heads of ${count(config.headDim)}, ${count(config.kvHeads)} for keys and values; vocabulary of ${count(config.vocabSize)}${config.score === null ? `, head ${config.tieWordEmbeddings ? "tied to the embedding" : "of its own"}` : ""}`,
    ],
    ...(config.score === null ? [] : [["scores", scoreText(config.score, config.padTokenId)] as const]),
    [
      "context",
      `${count(config.maxPositionEmbeddings)} tokens, rotary base ${count(config.ropeTheta)}${yarn}`,
    ],
    [
      "weights",
      `${plural(model.folder.tensors.size, "tensor")}, ${dtypes.join(", ")}; ${byteText(model.weight_bytes)}`,
    ],
    ...(ignored.length > 0 ? [["ignored", `stored but not used: ${ignored.join(", ")}`] as const] : []),
    [
      "training",
      `in fp32: weights ${byteText(training.weights)}, gradients ${byteText(training.gradients)}, moments ${byteText(training.moments)}, together ${byteText(training.weights + training.gradients + training.moments)}; ` +
        `with bf16 the weights are masters of as much and ${byteText(model.training_bytes_bf16.weights)} beside them; ` +
        `activations of 1,024 tokens ${byteText(training.activations_1024_tokens)}, with gradient_checkpointing ${byteText(training.activations_1024_tokens_checkpointing)}`,
    ],
    [
      "tokenizer",
      tokenizer === null
        ? "none: no tokenizer.json"
        : `${plural(tokenizer.tokens, "token")}, a text ends with ${tokenizer.eos_token ?? "no token (no eos_token is named)"}`,
    ],
    [
      "template",
      model.chat_template === null
        ? "none: it cannot be given messages"
        : `SHA-256 ${model.chat_template.sha256.slice(0, 16)}`,
    ],
    ...(config.score === null
      ? [["stops at", stops.join(", ") || "nothing: the model names no end token"] as const]
      : []),
    ...model.notes.map((note, i): Line => [i === 0 ? "note" : "", note]),
    ["digest", model.sha256],
  ];
}

function scoreText({ labels, heads }: ScoreHead, pad: number | null): string {
  const sum = heads.map(({ name, weight }) => `${plainNumber(weight)} x ${name}`).join(" + ");
  const what = labels.length === 1 ? "one score" : `${labels.length} scores (${labels.join(", ")})`;
  return `${what} of a sequence, at its last token${sum === "" ? "" : `: ${sum}`}; padding is ${pad === null ? "not named: transformers scores one sequence at a time" : `id ${pad}`}`;
}

async function filesOf(dir: string): Promise<readonly { name: string; bytes: number; sha256: string }[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(dir, "/").length))
    .sort();
  const files: { name: string; bytes: number; sha256: string }[] = [];
  for (const name of names) {
    const path = join(dir, name);
    const stats = await stat(path);
    if (stats.isFile()) files.push({ name, bytes: stats.size, sha256: await fileDigest(path) });
  }
  return files;
}

type Inspected = Checkpoint["manifest"] | { readonly damage: string };

/** undefined: no checkpoint, just a model. */
async function checkpointAt(dir: string): Promise<Inspected | undefined> {
  if ((await stat(join(dir, "manifest.json")).catch(() => undefined)) === undefined) return undefined;
  try {
    return (await verifyCheckpoint(dir)).manifest;
  } catch (error) {
    if (error instanceof UserError) return { damage: error.message };
    throw error;
  }
}

function checkpointLines(checkpoint: Inspected): readonly Line[] {
  if ("damage" in checkpoint) return [["damaged", checkpoint.damage]];
  const { step, created, identity, accepted, parents, files } = checkpoint;
  const show = (value: unknown): string => (typeof value === "string" ? short(value) : JSON.stringify(value));
  return [
    [
      "checkpoint",
      `after step ${count(step)}, written ${created}; all ${plural(Object.keys(files).length, "file")} agree with the manifest`,
    ],
    [
      "identity",
      Object.entries(identity)
        .map(([key, value]) => `${key}${glue}${show(value)}`)
        .join(", "),
    ],
    [
      "accepted",
      accepted
        .map(
          ({ key, before, now, step }) =>
            `${key} was ${show(before)}, is ${show(now)} from step ${count(step)}`,
        )
        .join("; ") || "no changes",
    ],
    ...parents.map(
      ({ kind, path, sha256 }, i): Line => [
        i === 0 ? "made of" : "",
        `${kind} ${path}, SHA-256 ${sha256.slice(0, 16)}`,
      ],
    ),
  ];
}

/** A digest by its beginning. */
const short = (text: string): string => (/^[0-9a-f]{64}$/.test(text) ? text.slice(0, 16) : text);

interface Comparison {
  readonly with: string;
  readonly same_digest: boolean;
  readonly config: readonly { readonly key: string; readonly here: unknown; readonly there: unknown }[];
  readonly generation_config: Comparison["config"];
  readonly same_tokenizer: boolean;
  readonly same_template: boolean;
  readonly tensors: TensorComparison;
}

async function compare(here: Described, there: Described, output: Output): Promise<Comparison> {
  const keys = (before: object, now: object) =>
    differences({ ...before }, { ...now }).map(({ key, before: a, now: b }) => ({
      key,
      here: a ?? null,
      there: b ?? null,
    }));
  const progress = output.progress();
  const tensors = await compareTensors(here.folder.tensors, there.folder.tensors, (done, total) =>
    progress.show(() => `${count(done)} of ${plural(total, "tensor")} compared`),
  );
  progress.end();
  return {
    with: there.dir,
    same_digest: here.sha256 === there.sha256,
    config: keys(here.folder.config.raw, there.folder.config.raw),
    generation_config: keys(here.folder.generationConfig.raw, there.folder.generationConfig.raw),
    same_tokenizer: here.tokenizer?.sha256 === there.tokenizer?.sha256,
    same_template: here.chat_template?.sha256 === there.chat_template?.sha256,
    tensors,
  };
}

function comparisonLines(other: string, comparison: Comparison): readonly Line[] {
  const { tensors, config, generation_config, same_tokenizer, same_template } = comparison;
  const { same, different, otherShape, onlyHere, onlyThere, otherType } = tensors;
  const keys = (list: Comparison["config"]): string =>
    list
      .map(({ key, here, there }) => `${key} ${JSON.stringify(here)}, there ${JSON.stringify(there)}`)
      .join("; ");
  const [first] = different;
  const largest = different.reduce((a, b) => (b.largest > a.largest ? b : a), first!);
  const names = (what: string, list: readonly string[]): readonly string[] =>
    list.length === 0 ? [] : [`${count(list.length)} ${what} (the first: ${list[0]})`];
  const total = same + different.length;
  const weights = [
    different.length === 0
      ? `all ${plural(total, "tensor")} of the same shape are equal`
      : `${count(different.length)} of ${plural(total, "tensor")} differ, the largest absolute difference is ${largest.largest.toPrecision(4)} in ${largest.name}; the first by name: ${first!.name}, ${plural(first!.values, "value")}, at most ${first!.largest.toPrecision(4)}`,
    ...names("of another shape", otherShape),
    ...names("only here", onlyHere),
    ...names("only there", onlyThere),
    ...(otherType > 0 ? [`${count(otherType)} stored in another type`] : []),
  ];
  return [
    [
      "compared",
      `with ${other}${comparison.same_digest ? ": the same config and weights, byte for byte" : ""}`,
    ],
    ["config", keys(config) || "the same keys and values"],
    ...(generation_config.length > 0 ? [["generation", keys(generation_config)] as const] : []),
    [
      "text",
      `tokenizer ${same_tokenizer ? "the same" : "another"}, chat template ${same_template ? "the same" : "another"}`,
    ],
    ["weights", weights.join("; ")],
  ];
}
