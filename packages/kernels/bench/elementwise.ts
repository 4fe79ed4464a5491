// Ops that do little with each number, on tensors beyond the caches: bytes read and written, against what a copy, an update in place
// or a read moves on this machine.
import { adamw, type Device, type FloatDtype, type Scope, sumSquares } from "@posttrain/kernels";
import {
  addForward,
  convertForward,
  embeddingForward,
  rmsNormBackward,
  rmsNormForward,
  ropeBackward,
  ropeForward,
  swigluBackward,
  swigluForward,
} from "@posttrain/kernels/binding";
import { type Limit, measure } from "./measure.js";
import { report, rowOf } from "./results.js";
import { filled } from "./tensors.js";

interface Case {
  readonly what: string;
  readonly direction?: string;
  readonly shape: string;
  readonly bytes: number;
  readonly limit: Limit;
  readonly run: () => void;
}

const rows = 32_768;
const channels = 896;
const [heads, headSize] = [14, 64];
const vocabulary = 49_152;
const parameters = 2 ** 26;

export async function elementwise(device: Device, dtypes: readonly FloatDtype[]): Promise<void> {
  for (const dtype of dtypes) {
    for (const make of [elementary, norms, rotations, gates, lookups, optimizer]) {
      await device.run(async (scope) => {
        for (const { what, direction = "", shape, bytes, limit, run } of make(scope, dtype)) {
          const found = await measure(device, { run, cost: bytes, limit });
          const names = { group: "elementwise", what, direction, dtype, shape };
          report({ ...rowOf(device, found, names, limit), target: 0.9 });
        }
      });
    }
  }
}

const widthOf = (dtype: FloatDtype): number => (dtype === "bf16" ? 2 : 4);
const shape = `${rows} x ${channels}`;
const size = rows * channels;

function elementary(scope: Scope, dtype: FloatDtype): readonly Case[] {
  const [a, b] = [filled(scope, [rows, channels]), filled(scope, [rows, channels])];
  const y = scope.empty([rows, channels], dtype);
  if (dtype === "bf16") {
    return [
      {
        what: "convert to bf16",
        shape,
        bytes: 6 * size,
        limit: "copy",
        run: () => convertForward(y, a),
      },
    ];
  }
  return [
    { what: "add", shape, bytes: 12 * size, limit: "copy", run: () => addForward(y, a, b) },
    { what: "sum of squares", shape, bytes: 4 * size, limit: "read", run: () => void sumSquares(scope, a) },
  ];
}

function norms(scope: Scope, dtype: FloatDtype): readonly Case[] {
  const [x, residual, dsum] = [1, 2, 3].map(() => filled(scope, [rows, channels])) as [never, never, never];
  const dy = filled(scope, [rows, channels], dtype);
  const y = scope.empty([rows, channels], dtype);
  const [sum, dx] = [scope.empty([rows, channels]), scope.empty([rows, channels])];
  const weight = filled(scope, [channels], dtype);
  const dweight = filled(scope, [channels]);
  const rstd = filled(scope, [rows]);
  const width = widthOf(dtype);
  return [
    {
      what: "norm and residual",
      direction: "forward",
      shape,
      bytes: (12 + width) * size,
      limit: "copy",
      run: () => rmsNormForward(y, rstd, sum, x, residual, weight, 1e-6),
    },
    {
      what: "norm and residual",
      direction: "backward",
      shape,
      bytes: (12 + width) * size,
      limit: "copy",
      run: () => rmsNormBackward(dx, dweight, dy, dsum, x, weight, rstd),
    },
  ];
}

function rotations(scope: Scope, dtype: FloatDtype): readonly Case[] {
  const x = filled(scope, [rows, heads, headSize], dtype);
  const y = scope.empty([rows, heads, headSize], dtype);
  const [cosines, sines] = [filled(scope, [rows, headSize / 2]), filled(scope, [rows, headSize / 2])];
  const bytes = 2 * widthOf(dtype) * rows * heads * headSize + 4 * rows * headSize;
  const [what, shape] = ["RoPE", `${rows} x ${heads} x ${headSize}`];
  return [
    { what, direction: "forward", shape, bytes, limit: "copy", run: () => ropeForward(y, x, cosines, sines) },
    {
      what,
      direction: "backward",
      shape,
      bytes,
      limit: "copy",
      run: () => ropeBackward(y, x, cosines, sines),
    },
  ];
}

function gates(scope: Scope, dtype: FloatDtype): readonly Case[] {
  const [gate, up, dy] = [1, 2, 3].map(() => filled(scope, [rows, channels], dtype)) as [never, never, never];
  const [y, dgate, dup] = [1, 2, 3].map(() => scope.empty([rows, channels], dtype)) as [never, never, never];
  const bytes = widthOf(dtype) * size;
  return [
    {
      what: "SwiGLU",
      direction: "forward",
      shape,
      bytes: 3 * bytes,
      limit: "copy",
      run: () => swigluForward(y, gate, up),
    },
    {
      what: "SwiGLU",
      direction: "backward",
      shape,
      bytes: 5 * bytes,
      limit: "copy",
      run: () => swigluBackward(dgate, dup, dy, gate, up),
    },
  ];
}

function lookups(scope: Scope, dtype: FloatDtype): readonly Case[] {
  const table = filled(scope, [vocabulary, channels], dtype);
  const ids = scope.from(Int32Array.from({ length: rows }, (_, i) => (i * 7919) % vocabulary));
  const y = scope.empty([rows, channels]);
  return [
    {
      what: "embedding",
      direction: "forward",
      shape,
      bytes: (4 + widthOf(dtype)) * size,
      limit: "copy",
      run: () => embeddingForward(y, table, ids),
    },
  ];
}

function optimizer(scope: Scope, dtype: FloatDtype): readonly Case[] {
  const [parameter, m, v, gradient] = [1, 2, 3, 4].map(() => filled(scope, [parameters])) as [
    never,
    never,
    never,
    never,
  ];
  const rounded = dtype === "bf16" ? { rounded: scope.empty([parameters], "bf16") } : {};
  const step = {
    learningRate: 1e-5,
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-8,
    weightDecay: 0.01,
    step: 10,
    gradientScale: 1,
    ...rounded,
  };
  return [
    {
      what: "AdamW",
      shape: String(parameters),
      // Three arrays changed in place, the gradient read; in bf16 the rounded parameter written.
      bytes: (28 + (dtype === "bf16" ? 2 : 0)) * parameters,
      limit: "update",
      run: () => adamw(parameter, m, v, gradient, step),
    },
  ];
}
