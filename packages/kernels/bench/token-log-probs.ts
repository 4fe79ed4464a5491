// Log-probabilities of tokens against their matrix products alone: forward one product, backward three (the logits are made again,
// then both gradients), of linear's own speed in the same repetition.
import type { Device, FloatDtype } from "@posttrain/kernels";
import {
  linearBackward,
  linearForward,
  tokenLogProbsBackward,
  tokenLogProbsForward,
} from "@posttrain/kernels/binding";
import { compare } from "./measure.js";
import { report, rowOf } from "./results.js";
import { filled } from "./tensors.js";

const sizes = [
  { name: "0.5B", m: 512, v: 151_936, c: 896 },
  { name: "135M", m: 2048, v: 49_152, c: 576 },
];

export async function tokenLogProbs(device: Device, dtypes: readonly FloatDtype[]): Promise<void> {
  for (const dtype of dtypes) {
    for (const { name, m, v, c } of sizes) await timeOne(device, dtype, name, m, v, c);
  }
}

async function timeOne(
  device: Device,
  dtype: FloatDtype,
  name: string,
  m: number,
  v: number,
  c: number,
): Promise<void> {
  await device.run(async (scope) => {
    const x = filled(scope, [m, c], dtype);
    const weight = filled(scope, [v, c], dtype);
    const dweight = filled(scope, [v, c]);
    const dx = scope.empty([m, c]);
    const logits = scope.empty([m, v]);
    const targets = scope.from(Int32Array.from({ length: m }, (_, i) => (i * 7919) % v));
    const [logProb, entropy, lse, mean, dlogProb] = [1, 2, 3, 4, 5].map(() => filled(scope, [m])) as [
      never,
      never,
      never,
      never,
      never,
    ];
    const argmax = scope.empty([m], "i32");
    const forward = (): void => linearForward(logits, x, weight, null);
    const runs = [
      {
        direction: "forward",
        operations: 2 * m * v * c,
        base: forward,
        run: () => tokenLogProbsForward(logProb, entropy, lse, mean, argmax, x, weight, targets, 1),
      },
      {
        direction: "backward",
        operations: 6 * m * v * c,
        base: () => {
          forward();
          linearBackward(dx, null, null, logits, x, weight);
          linearBackward(null, dweight, null, logits, x, weight);
        },
        run: () => tokenLogProbsBackward(dx, dweight, dlogProb, x, weight, targets, lse, 1),
      },
    ];
    for (const { direction, operations, base, run } of runs) {
      const found = await compare(device, base, run);
      const [rate, roof] = [operations / found.seconds, operations / found.baseSeconds];
      const shape = `${m} x ${v} x ${c}`;
      const names = { group: "token_log_probs", what: `token_log_probs, ${name}`, direction, dtype, shape };
      report({ ...rowOf(device, { ...found, rate, roof }, names), roof: "its products", target: 1 / 1.2 });
    }
  });
}
