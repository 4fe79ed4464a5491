// A Qwen2.5 model on a device: its parameters as views into one flat arena, in the order of parameterShapes(config), each starting at a multiple of 64 values. What the forward pass reads is in the model's dtype; in bf16 that is the rounding of fp32
// masters. What is trained (all of it, unless told otherwise) has a layout of its own, in which masters, gradients and moments lie: a
// shard of such an arena is a range.
import { uniform4 } from "@posttrain/data";
import {
  convert,
  type Device,
  type FloatDtype,
  fill,
  RowGradient,
  type Scope,
  type Tensor,
} from "@posttrain/kernels";
import { parameterShapes, type Qwen2Config, ropeFrequencies } from "./config.js";
import { type GenerationConfig, generationConfigFrom } from "./generation-config.js";

/**
 * What a model computes in. bf16: parameters and inputs of matrix products are rounded to bf16, sums and the residual stream are fp32
 * (ARCHITECTURE.md).
 */
export type ComputeDtype = FloatDtype;

/** Bytes of a parameter or a cached key as the forward pass reads it. */
export const computeBytes: Readonly<Record<ComputeDtype, number>> = { f32: 4, bf16: 2 };

/** Values to which each parameter's start is aligned in an arena. */
const alignment = 64;

export interface ParameterLayout {
  /** Name to place in an arena, in values. */
  readonly places: ReadonlyMap<
    string,
    { readonly offset: number; readonly shape: readonly number[]; readonly size: number }
  >;
  /** Values in all, padding included. */
  readonly length: number;
}

function layoutOf(shapes: Iterable<readonly [string, readonly number[]]>): ParameterLayout {
  const places = new Map<string, { offset: number; shape: readonly number[]; size: number }>();
  let length = 0;
  for (const [name, shape] of shapes) {
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
  /** Of the parameters that are trained: where their masters, gradients and moments lie. `layout` itself where all are. */
  readonly trained: ParameterLayout;
  readonly dtype: ComputeDtype;
  /** All parameters as the forward pass reads them, in `dtype`; padding is zero. */
  readonly arena: Tensor;
  /** Fp32 values: in f32 the arena itself; in bf16 those of what is trained, an arena of their own, where it was asked for. */
  readonly masters: Tensor | undefined;
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly rope: { readonly frequencies: Tensor; readonly scale: number };
  /** Holds everything above; ending it frees the model. */
  readonly scope: Scope;
  gradients: Gradients | undefined;
}

/** Where backward passes add up: an arena for what is trained, and the looked-up rows of the embedding apart, if that is among it. */
export interface Gradients {
  readonly arena: Tensor;
  readonly lookups: RowGradient | undefined;
}

export function parameter(model: Model, name: string): Tensor {
  const tensor = model.parameters.get(name);
  if (tensor === undefined) throw new Error(`the model has no parameter ${name}`);
  return tensor;
}

/** The output projection of a language model: the embedding itself when tied. */
export function head(model: Model): Tensor {
  return parameter(model, model.config.tieWordEmbeddings ? embeddingName : "lm_head.weight");
}

export interface ModelOptions {
  /** Default: f32. */
  readonly dtype?: ComputeDtype;
  /** Keep fp32 masters beside bf16 parameters, for training. */
  readonly masters?: boolean;
  /** Which parameters are trained. Default: all. */
  readonly trainable?: (name: string) => boolean;
}

/** A model whose parameters are all zero. */
export function emptyModel(
  device: Device,
  config: Qwen2Config,
  options: ModelOptions & { readonly generationConfig?: GenerationConfig } = {},
): Model {
  const { dtype = "f32", generationConfig = generationConfigFrom(config) } = options;
  const scope = device.scope();
  const shapes = [...parameterShapes(config)];
  const layout = layoutOf(shapes);
  const { trainable } = options;
  const trained = trainable === undefined ? layout : layoutOf(shapes.filter(([name]) => trainable(name)));
  const arena = scope.empty([layout.length], dtype);
  fill(arena, 0);
  const masters =
    dtype === "f32" ? arena : options.masters === true ? scope.empty([trained.length]) : undefined;
  if (masters !== undefined && masters !== arena) fill(masters, 0);
  const parameters = viewsOf(scope, arena, layout);
  const { inverseFrequencies, scale } = ropeFrequencies(config);
  const rope = { frequencies: scope.from(inverseFrequencies), scale };
  return {
    ...{ config, generationConfig, device, layout, trained, dtype, arena, masters, parameters, rope, scope },
    gradients: undefined,
  };
}

/** Values that are converted through fp32 at a time. */
const chunk = 1 << 22;

/** Sets a parameter to `values` (f32, bf16 or f16): its master exactly, what the forward pass reads rounded to the model's dtype. */
export function setParameter(model: Model, name: string, values: Tensor): void {
  const target = parameter(model, name);
  if (model.dtype === "f32") {
    convert(target, values);
    return;
  }
  const scope = model.device.scope();
  try {
    const place = model.trained.places.get(name);
    if (model.masters !== undefined && place !== undefined) {
      const master = scope.view(model.masters, place.offset, place.shape);
      convert(master, values);
      convert(target, master);
    } else if (values.dtype === "f32") convert(target, values);
    else {
      const wide = scope.empty([Math.min(chunk, target.size)]);
      for (let start = 0; start < target.size; start += chunk) {
        const count = Math.min(chunk, target.size - start);
        const part = scope.view(wide, 0, [count]);
        convert(part, scope.view(values, start, [count]));
        convert(scope.view(target, start, [count]), part);
      }
    }
  } finally {
    scope.end();
  }
}

function viewsOf(scope: Scope, arena: Tensor, layout: ParameterLayout): Map<string, Tensor> {
  return new Map(
    [...layout.places].map(([name, { offset, shape }]) => [name, scope.view(arena, offset, shape)]),
  );
}

/** A fresh model: every parameter as initialiseParameter() makes it. */
export function initialiseModel(
  device: Device,
  config: Qwen2Config,
  seed: number,
  options: ModelOptions = {},
): Model {
  const model = emptyModel(device, config, options);
  for (const name of model.layout.places.keys()) initialiseParameter(model, name, seed);
  return model;
}

/**
 * Sets a parameter as a fresh model has it: matrices approximately normal with the config's initializer_range (the sum of four 32-bit
 * uniforms: whole-number arithmetic, hence the same bits everywhere), biases zero, norms one. A function of its place in the model and `seed`.
 */
export function initialiseParameter(model: Model, name: string, seed: number): void {
  const names = [...model.layout.places.keys()];
  const { shape } = parameter(model, name);
  const values = new Float32Array(shape.reduce((product, n) => product * n, 1)).fill(
    name.endsWith(".bias") ? 0 : 1,
  );
  const factor = Math.sqrt(3) * model.config.initializerRange;
  const index = names.indexOf(name) + 1;
  for (let i = 0; i < values.length && shape.length > 1; i++) {
    const [a, b, c, d] = uniform4(seed, "initialisation", [i, index, 0, 0]);
    values[i] = (a + b + c + d - 2) * factor;
  }
  const scope = model.device.scope();
  setParameter(model, name, scope.from(values, shape));
  scope.end();
}

const embeddingName = "model.embed_tokens.weight";

/** Gives every parameter that is trained a place for its gradient, fp32 whatever the model's dtype, zeroed. */
export function enableGradients(model: Model): Gradients {
  if (model.gradients !== undefined) return model.gradients;
  const { scope, trained, config } = model;
  const arena = scope.empty([trained.length]);
  for (const [name, view] of viewsOf(scope, arena, trained)) parameter(model, name).gradient = view;
  const lookups = trained.places.has(embeddingName) ? new RowGradient(scope, config.hiddenSize) : undefined;
  model.gradients = { arena, lookups };
  zeroGradients(model.gradients);
  return model.gradients;
}

export function zeroGradients({ arena, lookups }: Gradients): void {
  fill(arena, 0);
  lookups?.clear();
}

/** Adds the looked-up rows to the embedding's gradient; once, after the last backward pass of a step. */
export function foldLookups(model: Model): void {
  const table = parameter(model, embeddingName);
  if (table.gradient !== undefined) model.gradients?.lookups?.fold(table.gradient);
}
