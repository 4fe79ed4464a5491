// Maps of one x in one go have the bits of each alone, forward and backward, on every path: outputs, parameters' gradients, and the gradient of
// x as the tape adds it up from single maps. Tried: dx of the first map first; x of another product packed.
import {
  backward,
  fill,
  linear,
  linears,
  openDevice,
  type Scope,
  Tape,
  type Tensor,
} from "@posttrain/kernels";
import { describe, expect, it } from "vitest";
import { Random } from "./cases/case.js";
import { firstDifference, numbers, pathsOf } from "./cases/run.js";

// Up to four rows, up to 64, more; three maps and two; sums of one block along the outputs and of several.
const shapes = [1, 3, 16, 64, 150].flatMap((M) => [
  { M, K: 300, outputs: [600, 128, 128] },
  { M, K: 96, outputs: [700, 700] },
]);

describe.each(["f32", "bf16"] as const)("maps together in %s", (dtype) => {
  const paths = pathsOf(dtype === "bf16" ? { variant: "bf16" } : {});
  it.each(shapes)("have each one's bits: $M rows, $K to $outputs", async ({ M, K, outputs }) => {
    const random = new Random(M + K);
    const values = (shape: readonly number[], deviation = 1) =>
      dtype === "f32" ? random.normal(shape, deviation) : random.normalBf16(shape, deviation);
    const x = values([M, K]);
    const maps = outputs.map((N, i) => ({
      weight: values([N, K], K ** -0.5),
      bias: i < 3 ? values([N]) : undefined,
      dy: random.normal([M, N]),
      dtype: i === 2 ? dtype : ("f32" as const),
    }));
    for (const path of paths)
      for (const threads of [1, 2]) {
        const device = openDevice({ path, threads, guards: true });
        const run = async (together: boolean) => {
          const tape = new Tape();
          return device.run(async (scope: Scope) => {
            const tensor = ({ data, shape, dtype: of }: ReturnType<typeof values>) =>
              scope.from(data, shape, of);
            const input = tensor(x);
            const given = maps.map(({ weight, bias, dtype: of }) => ({
              weight: tensor(weight),
              ...(bias === undefined ? {} : { bias: tensor(bias) }),
              dtype: of,
            }));
            const parameters = given.flatMap(({ weight, bias }) =>
              bias === undefined ? [weight] : [weight, bias],
            );
            for (const parameter of parameters) {
              parameter.gradient = scope.empty(parameter.shape);
              fill(parameter.gradient, 0.125);
            }
            const ys = together
              ? linears(scope, input, given)
              : given.map(({ weight, bias, ...options }) => linear(scope, input, weight, bias, options));
            const outs: Float32Array[] = [];
            for (const y of ys) outs.push(numbers(await y.read(), y.dtype) as Float32Array);
            const seeds = ys.map((y, i) => ({
              tensor: y,
              gradient: scope.from((maps[i] as (typeof maps)[number]).dy.data, y.shape),
            }));
            const [dx] = backward(scope, tape, seeds, [input]);
            outs.push((await (dx as Tensor).read()) as Float32Array);
            for (const { gradient } of parameters)
              outs.push((await (gradient as Tensor).read()) as Float32Array);
            return outs;
          }, tape);
        };
        const [alone, together] = [await run(false), await run(true)];
        expect(together.length).toBe(alone.length);
        for (const [i, data] of alone.entries())
          expect(
            firstDifference(data, together[i] as Float32Array),
            `result ${i} on ${path}, ${threads}`,
          ).toBe(-1);
        expect(await device.checkGuards()).toBe(0);
        await device.close();
      }
  });
});
