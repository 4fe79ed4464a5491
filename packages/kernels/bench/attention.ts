// Attention over packed sequences, grouped heads: 4 x 1,024 and 1 x 8,192 tokens, heads as in Qwen2.5-0.5B and the 135 M model.
import type { Device, FloatDtype } from "@posttrain/kernels";
import { attentionBackward, attentionForward } from "@posttrain/kernels/binding";
import { type Measured, measure } from "./measure.js";
import { report, rowOf } from "./results.js";
import { filled } from "./tensors.js";

const heads = [
  { name: "0.5B, 14/2 heads", h: 14, g: 2 },
  { name: "135M, 9/3 heads", h: 9, g: 3 },
];
const headSize = 64;
const batches = [
  [4, 1024],
  [1, 8192],
] as const;

export async function attentionRows(device: Device, dtypes: readonly FloatDtype[]): Promise<void> {
  for (const { name, h, g } of heads) {
    for (const [sequences, length] of batches) {
      const found = new Map<string, Measured>();
      for (const dtype of dtypes) {
        for (const [direction, measured] of await attentionOf(device, dtype, sequences, length, h, g)) {
          found.set(`${dtype} ${direction}`, measured);
          const row = rowOf(device, measured, {
            group: "attention",
            what: `attention, ${name}`,
            direction,
            dtype,
            shape: `${sequences} x ${length}`,
          });
          const fp32 = found.get(`f32 ${direction}`);
          if (dtype === "f32") report({ ...row, target: direction === "forward" ? 0.6 : 0.5 });
          else if (device.path !== "amx" || fp32 === undefined) report(row);
          else {
            // bf16 through AMX is held against fp32 of the same run.
            report({
              ...row,
              roof: "fp32's rate",
              roofRate: fp32.rate / 1e9,
              share: measured.share / fp32.share,
              cpuShare: measured.cpuShare / fp32.cpuShare,
              target: 2.5,
            });
          }
        }
      }
    }
  }
}

/** Forward counts two products of the causal half, backward the five that its definition has (scores are made again). */
export async function attentionOf(
  device: Device,
  dtype: FloatDtype,
  sequences: number,
  length: number,
  h: number,
  g: number,
): Promise<readonly (readonly ["forward" | "backward", Measured])[]> {
  const m = sequences * length;
  const product = sequences * length * (length + 1) * h * headSize;
  return device.run(async (scope) => {
    const [q, k, v] = [h, g, g].map((n) => filled(scope, [m, n, headSize], dtype)) as [never, never, never];
    const dy = filled(scope, [m, h, headSize]);
    const y = scope.empty([m, h, headSize], dtype);
    const lse = scope.empty([m, h]);
    const [dq, dk, dv] = [h, g, g].map((n) => scope.empty([m, n, headSize])) as [never, never, never];
    const starts = scope.from(Int32Array.from({ length: sequences + 1 }, (_, s) => s * length));
    const scale = headSize ** -0.5;
    const limit = "fp32 peak";
    const forward = await measure(device, {
      run: () => attentionForward(y, lse, q, k, v, starts, scale),
      cost: 2 * product,
      limit,
    });
    const backward = await measure(device, {
      run: () => attentionBackward(dq, dk, dv, dy, y, lse, q, k, v, starts, scale),
      cost: 5 * product,
      limit,
    });
    return [
      ["forward", forward],
      ["backward", backward],
    ] as const;
  });
}
