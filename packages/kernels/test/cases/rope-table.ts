import { ropeTable, type Tensor } from "@posttrain/kernels";
import { epsilon, type OpCase } from "./case.js";

export const ropeTableCase: OpCase = {
  stem: "rope_table",
  shapes: [
    { M: 1, A: 1 },
    { M: 9, A: 7 },
    { M: 300, A: 32 },
  ],
  benchmarks: [{ M: 4096, A: 32 }],
  inputs: ({ M = 0, A = 0 }, random) => ({
    positions: random.integers([M], 131_072),
    frequencies: {
      data: Float64Array.from({ length: A }, (_, p) => 1e6 ** (-p / A)),
      shape: [A],
      dtype: "f64",
    },
  }),
  run: (scope, inputs) => {
    const { positions, frequencies } = inputs as { positions: Tensor; frequencies: Tensor };
    const { cosines, sines } = ropeTable(scope, positions, frequencies, 1.25);
    return { cosines, sines };
  },
  reference: ({ positions, frequencies }, { M = 0, A = 0 }) => {
    const cosines = new Float64Array(M * A);
    const sines = new Float64Array(M * A);
    for (let m = 0; m < M; m++) {
      for (let p = 0; p < A; p++) {
        const angle = (positions?.data[m] as number) * (frequencies?.data[p] as number);
        cosines[m * A + p] = 1.25 * Math.cos(angle);
        sines[m * A + p] = 1.25 * Math.sin(angle);
      }
    }
    return { cosines: { data: cosines, shape: [M, A] }, sines: { data: sines, shape: [M, A] } };
  },
  tolerance: () => {
    const rounded = {
      bound: 2 * epsilon,
      reason: "computed in float64 (angles up to 131,072 leave 2e-11), rounded once",
    };
    return { cosines: rounded, sines: rounded };
  },
  rows: { dim: "M", inputs: ["positions"], outputs: ["cosines", "sines"] },
  cost: ({ M = 0, A = 0 }) => ({ flops: 40 * M * A, bytes: 8 * M * A }),
};
