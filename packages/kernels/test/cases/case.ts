// One description of an op drives its correctness test, its finite-difference test, its row and thread tests and its benchmark.
//
// A case says how to make inputs for some dimensions, how to call the op through the public face, what a float64 reference gives,
// and how far fp32 may be from it, with the reason. Errors are measured relative to the largest |reference| of an output.
import type { Dtype, Scope, Tensor, TensorData } from "@posttrain/kernels";
import { bf16Bits, toBf16 } from "../float32.js";

export type Dims = Readonly<Record<string, number>>;

export interface Values {
  readonly data: TensorData;
  readonly shape: readonly number[];
  readonly dtype: Dtype;
}

/** An input or output as numbers of full precision, row-major. */
export interface Reference {
  readonly data: Float64Array;
  readonly shape: readonly number[];
}

export interface Tolerance {
  /** Largest allowed |value - reference| / max |reference|. */
  readonly bound: number;
  /** Where the bound comes from: which reduction over how many terms. */
  readonly reason: string;
}

export interface OpCase {
  /** The op's stem in the table, e.g. "rms_norm". */
  readonly stem: string;
  /** What sets this case apart from another one of the same op: "bf16". */
  readonly variant?: string;
  /** Stems of ops that only make sense together with this one and run here too. */
  readonly alsoCovers?: readonly string[];
  /** Sizes to test: 1, odd, no multiple of 16 or of a tile, large. Kept small enough for a float64 reference in TypeScript. */
  readonly shapes: readonly Dims[];
  /** Sizes to time. */
  readonly benchmarks: readonly Dims[];
  readonly inputs: (dims: Dims, random: Random) => Readonly<Record<string, Values>>;
  /** Calls the op; parameters among the inputs have .gradient set when gradients are wanted. */
  readonly run: (
    scope: Scope,
    inputs: Readonly<Record<string, Tensor>>,
    dims: Dims,
  ) => Readonly<Record<string, Tensor>>;
  /** The same function in float64. Integer inputs arrive as whole numbers. */
  readonly reference: (
    inputs: Readonly<Record<string, Reference>>,
    dims: Dims,
  ) => Readonly<Record<string, Reference>>;
  readonly tolerance: (dims: Dims) => Readonly<Record<string, Tolerance>>;
  /** Gradients: of which outputs the loss is made (a random weight for each element), and with respect to what. Absent: none. */
  readonly gradients?: {
    readonly outputs: readonly string[];
    readonly activations: readonly string[];
    readonly parameters: readonly string[];
    readonly tolerance: (dims: Dims) => Tolerance;
  };
  /** For the row rule: the dimension that counts rows, and which inputs and outputs have a row each. Absent: tested elsewhere. */
  readonly rows?: {
    readonly dim: string;
    readonly inputs: readonly string[];
    readonly outputs: readonly string[];
  };
  /** Floating-point operations and bytes moved by one forward call. */
  readonly cost: (dims: Dims) => { readonly flops: number; readonly bytes: number };
}

/** Half a unit in the last place of fp32, relative. */
export const epsilon = 2 ** -24;

/** What rounding an output to bf16 adds. */
export const bf16Rounding: Tolerance = {
  bound: 2 ** -8,
  reason: "rounded to bf16, whose 8 bits are at most half a unit, 2^-8, off",
};

/** Seeded numbers for tests and benchmarks: mulberry32 (public domain, T. Ettinger), quick rather than good. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  uniform(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) * 2 ** -32;
  }

  integer(below: number): number {
    return Math.floor(this.uniform() * below);
  }

  /** f32 values, normally distributed (Box-Muller) with this standard deviation around `mean`. */
  normal(shape: readonly number[], deviation = 1, mean = 0): Values {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    for (let i = 0; i < data.length; i++) {
      const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
      data[i] = mean + deviation * radius * Math.cos(2 * Math.PI * this.uniform());
    }
    return { data, shape, dtype: "f32" };
  }

  /** The same, rounded to bf16. */
  normalBf16(shape: readonly number[], deviation = 1): Values {
    const { data } = this.normal(shape, deviation);
    return { data: Uint16Array.from(data, (x) => bf16Bits(toBf16(x))), shape, dtype: "bf16" };
  }

  /** i32 values below `below`. */
  integers(shape: readonly number[], below: number): Values {
    const data = Int32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => this.integer(below));
    return { data, shape, dtype: "i32" };
  }
}
