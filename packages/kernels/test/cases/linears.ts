import { linears, type Tensor } from "@posttrain/kernels";
import type { OpCase, Reference, Values } from "./case.js";
import { linearBf16Case, linearCase } from "./linear.js";

const shapes = [
  { M: 1, N: 1, I: 1, J: 1, K: 1 },
  { M: 1, N: 70, I: 33, J: 17, K: 300 },
  { M: 3, N: 33, I: 5, J: 0, K: 17 },
  { M: 13, N: 100, I: 40, J: 40, K: 600 },
  { M: 29, N: 31, I: 300, J: 0, K: 1025 },
  { M: 65, N: 96, I: 20, J: 50, K: 70 },
  { M: 300, N: 64, I: 64, J: 0, K: 33 },
];
/** The maps of a case: its N, I and J outputs; no J, no third. */
const outputs = ({ N = 0, I = 0, J = 0 }: Readonly<Record<string, number>>): readonly number[] =>
  [N, I, J].filter((count) => count > 0);

function caseOf(single: OpCase): OpCase {
  const of = (i: number, tensors: Readonly<Record<string, unknown>>) => ({
    x: tensors["x"],
    weight: tensors[`weight${i + 1}`],
    bias: tensors[`bias${i + 1}`],
  });
  return {
    ...single,
    stem: "linears",
    shapes,
    benchmarks: [
      { M: 1, N: 896, I: 128, J: 128, K: 896 },
      { M: 16, N: 4864, I: 4864, J: 0, K: 896 },
      { M: 2048, N: 896, I: 128, J: 128, K: 896 },
    ],
    inputs: (dims, random) => {
      const made: Record<string, Values> = {};
      for (const [i, N] of outputs(dims).entries()) {
        const { x, weight, bias } = single.inputs({ ...dims, N }, random) as Record<string, Values>;
        made["x"] ??= x as Values;
        made[`weight${i + 1}`] = weight as Values;
        made[`bias${i + 1}`] = bias as Values;
      }
      return made;
    },
    run: (scope, tensors, dims) => {
      const maps = outputs(dims).map((_, i) => {
        const { weight, bias } = of(i, tensors) as { weight: Tensor; bias: Tensor };
        return { weight, bias };
      });
      const ys = linears(scope, tensors["x"] as Tensor, maps);
      return Object.fromEntries(ys.map((y, i) => [`y${i + 1}`, y]));
    },
    reference: (tensors, dims) =>
      Object.fromEntries(
        outputs(dims).map((N, i) => {
          const { y } = single.reference(of(i, tensors) as Record<string, Reference>, { ...dims, N });
          return [`y${i + 1}`, y as Reference];
        }),
      ),
    tolerance: (dims) =>
      Object.fromEntries(
        outputs(dims).map((N, i) => [`y${i + 1}`, single.tolerance({ ...dims, N })["y"] as never]),
      ),
    gradients: {
      outputs: ["y1", "y2"],
      activations: ["x"],
      parameters: ["weight1", "bias1", "weight2", "bias2"],
      tolerance: (dims) => {
        const all = { ...dims, N: outputs(dims).reduce((a, b) => a + b) };
        return (single.gradients as NonNullable<OpCase["gradients"]>).tolerance(all);
      },
    },
    rows: { dim: "M", inputs: ["x"], outputs: ["y1", "y2"] },
    cost: (dims) => {
      const costs = outputs(dims).map((N) => single.cost({ ...dims, N }));
      return {
        flops: costs.reduce((sum, { flops }) => sum + flops, 0),
        bytes: costs.reduce((sum, { bytes }) => sum + bytes, 0),
      };
    },
  };
}

export const linearsCase: OpCase = caseOf(linearCase);
export const linearsBf16Case: OpCase = caseOf(linearBf16Case);
