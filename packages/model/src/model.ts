// A Qwen2.5 model on a device: its parameters as views into one flat fp32 arena, in the order of parameterShapes(config), each
// starting at a multiple of 64 floats. Optimizers work on the arena; a shard of it is a range.

import { open } from "node:fs/promises";
import { UserError } from "@posttrain/data";
import {
  convert,
  type Device,
  fill,
  MappedFile,
  RowGradient,
  type Scope,
  sumSquares,
  type Tensor,
  uniform4,
} from "@posttrain/kernels";
import { parameterShapes, type Qwen2Config, ropeFrequencies } from "./config.js";
import { type GenerationConfig, generationConfigFrom } from "./generation-config.js";
import { openModelFolder, type StoredTensor } from "./model-folder.js";

/** Bytes of files that are in memory beside the model while it is read, or one tensor's if that is more. */
const readAtOnce = 1 << 26;
/** Floats to which each parameter's start is aligned in the arena. */
const alignment = 64;

export interface ParameterLayout {
  /** Name to place in the arena, in floats. */
  readonly places: ReadonlyMap<
    string,
    { readonly offset: number; readonly shape: readonly number[]; readonly size: number }
  >;
  /** Floats in all, padding included. */
  readonly length: number;
}

function parameterLayout(config: Qwen2Config): ParameterLayout {
  const places = new Map<string, { offset: number; shape: readonly number[]; size: number }>();
  let length = 0;
  for (const [name, shape] of parameterShapes(config)) {
    const size = shape.reduce((product, n) => product * n, 1);
    places.set(name, { offset: length, shape, size });
    length += Math.ceil(size / alignment) * alignment;
  }
  return { places, length };
}

export interface Model {
  readonly config: Qwen2Config;
  readonly generationConfig: GenerationConfig;
  readonly device: Device;
  readonly layout: ParameterLayout;
  /** All parameters, f32; padding is zero. */
  readonly arena: Tensor;
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly rope: { readonly frequencies: Tensor; readonly scale: number };
  /** Holds everything above; ending it frees the model. */
  readonly scope: Scope;
  gradients: Gradients | undefined;
}

/** Where backward passes add up: an arena like the parameters', and the looked-up rows of the embedding apart. */
export interface Gradients {
  readonly arena: Tensor;
  readonly lookups: RowGradient;
}

export function parameter(model: Model, name: string): Tensor {
  const tensor = model.parameters.get(name);
  if (tensor === undefined) throw new Error(`the model has no parameter ${name}`);
  return tensor;
}

/** The output projection: the embedding itself when tied. */
export function head(model: Model): Tensor {
  return parameter(model, model.config.tieWordEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight");
}

/** A model whose parameters are all zero. */
export function emptyModel(
  device: Device,
  config: Qwen2Config,
  generationConfig: GenerationConfig = generationConfigFrom(config),
): Model {
  const scope = device.scope();
  const layout = parameterLayout(config);
  const arena = scope.empty([layout.length]);
  fill(arena, 0);
  const parameters = viewsOf(scope, arena, layout);
  const { inverseFrequencies, scale } = ropeFrequencies(config);
  const rope = { frequencies: scope.from(inverseFrequencies), scale };
  return { config, generationConfig, device, layout, arena, parameters, rope, scope, gradients: undefined };
}

function viewsOf(scope: Scope, arena: Tensor, layout: ParameterLayout): Map<string, Tensor> {
  return new Map(
    [...layout.places].map(([name, { offset, shape }]) => [name, scope.view(arena, offset, shape)]),
  );
}

/** Reads a Hugging Face folder. UserError when it is not one, or a weight is not a finite number. */
export async function loadModel(device: Device, dir: string): Promise<Model> {
  const folder = await openModelFolder(dir);
  const model = emptyModel(device, folder.config, folder.generationConfig);
  try {
    await device.run(async (scope) => {
      const files = new Map<string, MappedFile>();
      let read = 0;
      const forget = async (): Promise<void> => {
        await device.drain();
        for (const file of files.values()) file.forget();
        read = 0;
      };
      for (const [name, stored] of folder.tensors) {
        const file = files.get(stored.file) ?? new MappedFile(stored.file);
        files.set(stored.file, file);
        convert(parameter(model, name), await storedTensor(scope, file, stored));
        read += stored.end - stored.begin;
        if (read >= readAtOnce) await forget();
      }
      await forget();
    });
    await checkFinite(model, dir);
    return model;
  } catch (error) {
    model.scope.end();
    throw error;
  }
}

const dtypes = { F32: "f32", BF16: "bf16", F16: "f16" } as const;
const dtypeBytes = { F32: 4, BF16: 2, F16: 2 } as const;

/** Mapped where the file's alignment allows it, else read. */
async function storedTensor(scope: Scope, file: MappedFile, stored: StoredTensor): Promise<Tensor> {
  const dtype = dtypes[stored.dtype];
  const { begin, end, shape } = stored;
  if (begin % dtypeBytes[stored.dtype] === 0) return file.tensor(scope, begin, dtype, shape);
  const handle = await open(stored.file);
  try {
    const bytes = new Uint8Array(end - begin);
    await handle.read(bytes, 0, bytes.length, begin);
    const data = dtype === "f32" ? new Float32Array(bytes.buffer) : new Uint16Array(bytes.buffer);
    return scope.from(data, shape, dtype);
  } finally {
    await handle.close();
  }
}

/** Names of the parameters that hold NaN or infinite values. Waits for what is enqueued. */
export async function brokenWeights(model: Model): Promise<readonly string[]> {
  return model.device.run(async (scope) => {
    const finite = async (tensor: Tensor): Promise<boolean> =>
      Number.isFinite((await sumSquares(scope, tensor).read())[0]);
    if (await finite(model.arena)) return [];
    const broken: string[] = [];
    for (const [name, tensor] of model.parameters) if (!(await finite(tensor))) broken.push(name);
    return broken;
  });
}

async function checkFinite(model: Model, dir: string): Promise<void> {
  const broken = await brokenWeights(model);
  if (broken.length === 0) return;
  throw new UserError(
    "broken_weights",
    `${dir}: ${broken.length} of ${model.parameters.size} weight tensors hold NaN or infinite values (${broken.slice(0, 5).join(", ")}${
      broken.length > 5 ? ", ..." : ""
    }). Nothing sensible can be computed from them: take the last checkpoint before the run diverged, or download the model again.`,
  );
}

/**
 * A fresh model: matrices approximately normal with the config's initializer_range (the sum of four 32-bit uniforms: whole-number
 * arithmetic, hence the same bits everywhere), biases zero, norms one.
 */
export function initialiseModel(device: Device, config: Qwen2Config, seed: number): Model {
  const model = emptyModel(device, config);
  let index = 0;
  for (const [name, { shape, size }] of model.layout.places) {
    index++;
    const tensor = parameter(model, name);
    if (name.endsWith(".bias")) continue;
    if (shape.length === 1) {
      fill(tensor, 1);
      continue;
    }
    const values = new Float32Array(size);
    const factor = Math.sqrt(3) * config.initializerRange;
    for (let i = 0; i < size; i++) {
      const [a, b, c, d] = uniform4(seed, "initialisation", [i, index, 0, 0]);
      values[i] = (a + b + c + d - 2) * factor;
    }
    tensor.write(values);
  }
  return model;
}

/** Gives every parameter a place for its gradient, zeroed. Bytes: as many as the parameters'. */
export function enableGradients(model: Model): Gradients {
  if (model.gradients !== undefined) return model.gradients;
  const arena = model.scope.empty(model.arena.shape);
  for (const [name, view] of viewsOf(model.scope, arena, model.layout))
    parameter(model, name).gradient = view;
  model.gradients = { arena, lookups: new RowGradient(model.scope, model.config.hiddenSize) };
  zeroGradients(model.gradients);
  return model.gradients;
}

export function zeroGradients({ arena, lookups }: Gradients): void {
  fill(arena, 0);
  lookups.clear();
}

/** Adds the looked-up rows to the embedding's gradient; once, after the last backward pass of a step. */
export function foldLookups(model: Model): void {
  const table = parameter(model, "model.embed_tokens.weight");
  if (table.gradient !== undefined) model.gradients?.lookups.fold(table.gradient);
}
