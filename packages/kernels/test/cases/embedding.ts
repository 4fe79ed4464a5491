// Called through the binding: the public function keeps looked-up rows apart until a step is complete (RowGradient), here they go to
// the table's gradient at once.
import type { Tensor } from "@posttrain/kernels";
import { embeddingBackward, embeddingForward } from "@posttrain/kernels/binding";
import type { OpCase } from "./case.js";

export const embeddingCase: OpCase = {
  stem: "embedding",
  shapes: [
    { M: 1, V: 1, C: 1 },
    { M: 9, V: 5, C: 17 },
    { M: 300, V: 40, C: 250 },
  ],
  benchmarks: [{ M: 4096, V: 49152, C: 896 }],
  inputs: ({ M = 0, V = 0, C = 0 }, random) => ({
    table: random.normal([V, C]),
    ids: random.integers([M], V),
  }),
  run: (scope, inputs, { M = 0, C = 0 }) => {
    const { table, ids } = inputs as { table: Tensor; ids: Tensor };
    const y = scope.empty([M, C]);
    embeddingForward(y, table, ids);
    scope.tape?.record({
      outputs: [y],
      inputs: [],
      saved: [],
      backward: (_, [dy]) => {
        embeddingBackward(table.gradient as Tensor, dy as Tensor, ids);
        return [];
      },
    });
    return { y };
  },
  reference: ({ table, ids }, { M = 0, C = 0 }) => {
    const y = new Float64Array(M * C);
    for (let m = 0; m < M; m++) {
      for (let c = 0; c < C; c++) y[m * C + c] = table?.data[(ids?.data[m] as number) * C + c] as number;
    }
    return { y: { data: y, shape: [M, C] } };
  },
  tolerance: () => ({ y: { bound: 0, reason: "a copy" } }),
  gradients: {
    outputs: ["y"],
    activations: [],
    parameters: ["table"],
    tolerance: ({ M = 0 }) => ({
      bound: Math.sqrt(M) * 2 ** -24,
      reason: "a chain of additions over the tokens of a row",
    }),
  },
  rows: { dim: "M", inputs: ["ids"], outputs: ["y"] },
  cost: ({ M = 0, C = 0 }) => ({ flops: 0, bytes: 8 * M * C }),
};

export const embeddingBf16Case: OpCase = {
  ...embeddingCase,
  variant: "bf16",
  inputs: ({ M = 0, V = 0, C = 0 }, random) => ({
    table: random.normalBf16([V, C]),
    ids: random.integers([M], V),
  }),
  cost: ({ M = 0, C = 0 }) => ({ flops: 0, bytes: 6 * M * C }),
};
