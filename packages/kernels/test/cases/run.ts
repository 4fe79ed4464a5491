// Runs a case on a device: forward, loss gradient, and the comparisons that the tests share.
import {
  backward,
  cpuPaths,
  type Device,
  type Dtype,
  fill,
  Tape,
  type Tensor,
  type TensorData,
} from "@posttrain/kernels";
import { type Dims, type OpCase, Random, type Reference, type Values } from "./case.js";

export interface CaseResult {
  readonly outputs: Readonly<Record<string, TensorData>>;
  readonly gradients: Readonly<Record<string, TensorData>>;
}

export type Inputs = Readonly<Record<string, Values>>;

/** Weights of the loss: one for each element of each differentiable output. */
export function lossWeights(
  outputs: Readonly<Record<string, number>>,
  seed: number,
): Record<string, Float32Array> {
  const random = new Random(seed);
  return Object.fromEntries(
    Object.entries(outputs).map(([name, size]) => [name, random.normal([size]).data as Float32Array]),
  );
}

/** The numbers of a tensor; those of bf16 widened, which is exact. */
export function numbers(data: TensorData, dtype: Dtype): TensorData {
  return dtype === "bf16" ? new Float32Array(Uint32Array.from(data, (half) => half << 16).buffer) : data;
}

/** The paths that a case is run on: this machine's, and for bf16 products that of AMX with its tiles in C++. */
export function pathsOf(opCase: Pick<OpCase, "variant">): readonly string[] {
  const paths = cpuPaths();
  return opCase.variant === "bf16" && paths.includes("avx512") ? [...paths, "amx_emulated"] : paths;
}

/** Outputs, and with `gradientSeed` the gradients of sum(weights * outputs) for the case's activations and parameters. */
export async function runCase(
  device: Device,
  opCase: OpCase,
  dims: Dims,
  inputs: Inputs,
  gradientSeed?: number,
): Promise<CaseResult> {
  return device.run(async (scope) => {
    const tensors: Record<string, Tensor> = {};
    for (const [name, { data, shape, dtype }] of Object.entries(inputs))
      tensors[name] = scope.from(data, shape, dtype);
    const spec = gradientSeed === undefined ? undefined : opCase.gradients;
    for (const name of spec?.parameters ?? []) {
      const parameter = tensors[name] as Tensor;
      parameter.gradient = scope.empty(parameter.shape);
      fill(parameter.gradient, 0);
    }
    const tape = new Tape();
    const made = scope.child((inner) => opCase.run(inner, tensors, dims), spec === undefined ? null : tape);
    const gradients: Record<string, TensorData> = {};
    if (spec !== undefined && gradientSeed !== undefined) {
      const sizes = Object.fromEntries(spec.outputs.map((name) => [name, (made[name] as Tensor).size]));
      const weights = lossWeights(sizes, gradientSeed);
      const seeds = spec.outputs.map((name) => {
        const tensor = made[name] as Tensor;
        return { tensor, gradient: scope.from(weights[name] as Float32Array, tensor.shape) };
      });
      const wanted = spec.activations.map((name) => tensors[name] as Tensor);
      const found = backward(scope, tape, seeds, wanted);
      for (const [i, name] of spec.activations.entries()) {
        const gradient = found[i];
        if (gradient !== undefined) gradients[name] = numbers(await gradient.read(), gradient.dtype);
      }
      for (const name of spec.parameters)
        gradients[name] = await ((tensors[name] as Tensor).gradient as Tensor).read();
    }
    const outputs: Record<string, TensorData> = {};
    for (const [name, tensor] of Object.entries(made))
      outputs[name] = numbers(await tensor.read(), tensor.dtype);
    return { outputs, gradients };
  });
}

function asReference({ data, shape, dtype }: Values): Reference {
  return { data: Float64Array.from(numbers(data, dtype)), shape };
}

export function references(inputs: Inputs): Record<string, Reference> {
  return Object.fromEntries(Object.entries(inputs).map(([name, values]) => [name, asReference(values)]));
}

/** Largest |value - reference| over the largest |reference| (1 where all are 0). NaN counts as infinitely far. */
export function relativeDeviation(values: TensorData, reference: Float64Array): number {
  if (values.length !== reference.length) return Number.POSITIVE_INFINITY;
  let scale = 0;
  let worst = 0;
  for (let i = 0; i < reference.length; i++) {
    const expected = reference[i] as number;
    const difference = Math.abs((values[i] as number) - expected);
    scale = Math.max(scale, Math.abs(expected));
    worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
  }
  return worst / (scale === 0 ? 1 : scale);
}

/** Same bits; two NaNs count as equal. Returns the first index that differs, or -1. */
export function firstDifference(a: TensorData, b: TensorData): number {
  if (a.length !== b.length) return Math.min(a.length, b.length);
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return i;
  return -1;
}

/** A small copy of inputs in which `rows` rows of the named inputs are taken from `at` on. */
export function sliceRows(inputs: Inputs, names: readonly string[], at: number, rows: number): Inputs {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, values]) => {
      if (!names.includes(name)) return [name, values];
      const width = values.shape.slice(1).reduce((a, b) => a * b, 1);
      return [
        name,
        {
          data: values.data.slice(at * width, (at + rows) * width),
          shape: [rows, ...values.shape.slice(1)],
          dtype: values.dtype,
        },
      ];
    }),
  );
}
