// A Qwen2.5 model on a device: its parameters as views into one flat arena, in the order of parameterShapes(config), each starting at a
// multiple of 64 values. What the forward pass reads is in the model's dtype; in bf16 that is the rounding of fp32 masters, which a
// model that is trained keeps beside it, laid out alike. Optimizers work on the masters; a shard of an arena is a range.
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

/** The names that torch, vLLM and lm-evaluation-harness give to these. */
export const dtypeNames = ["float32", "bfloat16"] as const;

export function computeDtype(name: (typeof dtypeNames)[number]): ComputeDtype {
  return name === "bfloat16" ? "bf16" : "f32";
}

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
  readonly dtype: ComputeDtype;
  /** All parameters as the forward pass reads them, in `dtype`; padding is zero. */
  readonly arena: Tensor;
  /** Their fp32 values, laid out alike: in f32 the arena itself; in bf16 an arena of its own, where it was asked for. */
  readonly masters: Tensor | undefined;
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

export interface ModelOptions {
  /** Default: f32. */
  readonly dtype?: ComputeDtype;
  /** Keep fp32 masters beside bf16 parameters, for training. */
  readonly masters?: boolean;
}

/** A model whose parameters are all zero. */
export function emptyModel(
  device: Device,
  config: Qwen2Config,
  options: ModelOptions & { readonly generationConfig?: GenerationConfig } = {},
): Model {
  const { dtype = "f32", generationConfig = generationConfigFrom(config) } = options;
  const scope = device.scope();
  const layout = parameterLayout(config);
  const arena = scope.empty([layout.length], dtype);
  fill(arena, 0);
  const masters =
    dtype === "f32" ? arena : options.masters === true ? scope.empty([layout.length]) : undefined;
  if (masters !== undefined && masters !== arena) fill(masters, 0);
  const parameters = viewsOf(scope, arena, layout);
  const { inverseFrequencies, scale } = ropeFrequencies(config);
  const rope = { frequencies: scope.from(inverseFrequencies), scale };
  return {
    ...{ config, generationConfig, device, layout, dtype, arena, masters, parameters, rope, scope },
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
    if (model.masters !== undefined) {
      const master = scope.view(model.masters, model.layout.places.get(name)?.offset ?? 0, target.shape);
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

/**
 * A fresh model: matrices approximately normal with the config's initializer_range (the sum of four 32-bit uniforms: whole-number
 * arithmetic, hence the same bits everywhere), biases zero, norms one.
 */
export function initialiseModel(
  device: Device,
  config: Qwen2Config,
  seed: number,
  options: ModelOptions = {},
): Model {
  const model = emptyModel(device, config, options);
  let index = 0;
  for (const [name, { shape, size }] of model.layout.places) {
    index++;
    if (name.endsWith(".bias")) continue;
    const values = new Float32Array(size).fill(1);
    const factor = Math.sqrt(3) * config.initializerRange;
    for (let i = 0; i < size && shape.length > 1; i++) {
      const [a, b, c, d] = uniform4(seed, "initialisation", [i, index, 0, 0]);
      values[i] = (a + b + c + d - 2) * factor;
    }
    const scope = device.scope();
    setParameter(model, name, scope.from(values, shape));
    scope.end();
  }
  return model;
}

/** Gives every parameter a place for its gradient, fp32 whatever the model's dtype, zeroed. */
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
