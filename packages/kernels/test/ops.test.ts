// Every op against its case file: float64 reference, finite differences, bits over cpu paths and threads, the row rule, guards.
//
// `npm run test:mutations` puts faults into the kernels; those that these tests are there for, and turn red on (README.md, "What the row
// tests catch", has all): vocabulary blocks and blocks along K that depend on the number of rows, token sums and sums of squares split
// where threads are, multiply-adds rounded twice on one path, and wrong mathematics of every kind.

import { type Device, openDevice } from "@posttrain/kernels";
import { opNames } from "@posttrain/kernels/binding";
import { afterAll, describe, expect, it } from "vitest";
import { type Dims, type OpCase, Random, type Reference } from "./cases/case.js";
import { cases } from "./cases/index.js";
import {
  firstDifference,
  type Inputs,
  lossWeights,
  pathsOf,
  references,
  relativeDeviation,
  runCase,
  sliceRows,
} from "./cases/run.js";

const devices = new Map<string, Device>();
function device(path: string, threads: number): Device {
  const key = `${path}/${threads}`;
  const open = devices.get(key) ?? openDevice({ path, threads, guards: true });
  devices.set(key, open);
  return open;
}
afterAll(async () => {
  for (const open of devices.values()) await open.close();
});

const label = (dims: Dims) =>
  Object.entries(dims)
    .map(([k, v]) => `${k}=${v}`)
    .join(" ");

/** d(sum of weights * outputs)/d(direction in one input), by central differences of the float64 reference (two points, Richardson). */
function directionalDerivative(
  opCase: OpCase,
  dims: Dims,
  inputs: Readonly<Record<string, Reference>>,
  name: string,
  direction: Float64Array,
  weights: Readonly<Record<string, Float32Array>>,
): number {
  const base = inputs[name] as Reference;
  const loss = (step: number): number => {
    const moved = { data: base.data.map((x, i) => x + step * (direction[i] as number)), shape: base.shape };
    const outputs = opCase.reference({ ...inputs, [name]: moved }, dims);
    let total = 0;
    for (const [output, w] of Object.entries(weights)) {
      const data = (outputs[output] as Reference).data;
      for (let i = 0; i < w.length; i++) total += (w[i] as number) * (data[i] as number);
    }
    return total;
  };
  const difference = (h: number) => (loss(h) - loss(-h)) / (2 * h);
  const h = 1e-3;
  return (4 * difference(h / 2) - difference(h)) / 3;
}

describe("the op table", () => {
  it("has a case for each op", () => {
    const stems = new Set(cases.flatMap((c) => [c.stem, ...(c.alsoCovers ?? [])]));
    const untested = opNames.filter((name) => !stems.has(name.replace(/_(forward|backward)$/, "")));
    expect(untested.filter((name) => !name.startsWith("probe_"))).toEqual([]);
  });
});

for (const opCase of cases) {
  const paths = pathsOf(opCase);
  describe([opCase.stem, opCase.variant].filter(Boolean).join(" "), () => {
    for (const [s, dims] of opCase.shapes.entries()) {
      const inputs: Inputs = opCase.inputs(dims, new Random(1000 + s));
      const first = device(paths[0] as string, 2);

      it(`is within its tolerance of the float64 reference at ${label(dims)}`, async () => {
        const { outputs } = await runCase(first, opCase, dims, inputs);
        const expected = opCase.reference(references(inputs), dims);
        for (const [name, { bound, reason }] of Object.entries(opCase.tolerance(dims))) {
          const deviation = relativeDeviation(
            outputs[name] as Float32Array,
            (expected[name] as Reference).data,
          );
          expect(deviation, `${name}: ${reason}`).toBeLessThanOrEqual(bound);
        }
        expect(await first.checkGuards(), "tensors whose surroundings were overwritten").toBe(0);
      });

      const spec = opCase.gradients;
      if (spec !== undefined) {
        it(`has the gradients of finite differences at ${label(dims)}`, async () => {
          const { outputs, gradients } = await runCase(first, opCase, dims, inputs, 7);
          const sizes = Object.fromEntries(
            spec.outputs.map((name) => [name, (outputs[name] as Float32Array).length]),
          );
          const weights = lossWeights(sizes, 7);
          const exact = references(inputs);
          const { bound, reason } = spec.tolerance(dims);
          const random = new Random(77);
          for (const name of [...spec.activations, ...spec.parameters]) {
            const gradient = gradients[name] as Float32Array;
            expect(gradient, `gradient of ${name}`).toBeDefined();
            // Small tensors, where the reference is quick: every element alone. Others: random directions.
            const directions: Float64Array[] = [];
            if (gradient.length <= 64 && cost(opCase, dims) < 2e6) {
              for (let i = 0; i < gradient.length; i++) {
                const unit = new Float64Array(gradient.length);
                unit[i] = 1;
                directions.push(unit);
              }
            } else {
              for (let k = 0; k < 3; k++)
                directions.push(
                  Float64Array.from(random.normal([gradient.length], 1 / Math.sqrt(gradient.length)).data),
                );
            }
            const norm = Math.sqrt(gradient.reduce((sum, x) => sum + x * x, 0)) || 1;
            for (const direction of directions) {
              const expected = directionalDerivative(opCase, dims, exact, name, direction, weights);
              let actual = 0;
              for (let i = 0; i < gradient.length; i++)
                actual += (gradient[i] as number) * (direction[i] as number);
              // 1e-8: what Richardson's rule leaves in float64.
              expect(Math.abs(actual - expected) / norm, `${name}: ${reason}`).toBeLessThanOrEqual(
                bound + 1e-8,
              );
            }
          }
          expect(await first.checkGuards(), "tensors whose surroundings were overwritten").toBe(0);
        });
      }

      it(`gives the same bits on every path and any number of threads at ${label(dims)}`, async () => {
        const expected = await runCase(device(paths[0] as string, 1), opCase, dims, inputs, 7);
        for (const path of paths) {
          for (const threads of path === paths[0] ? [2, 3] : [1, 3]) {
            const on = device(path, threads);
            const result = await runCase(on, opCase, dims, inputs, 7);
            expect(await on.checkGuards(), `overwritten surroundings, ${path}, ${threads} threads`).toBe(0);
            for (const kind of ["outputs", "gradients"] as const) {
              for (const [name, values] of Object.entries(expected[kind])) {
                expect(
                  firstDifference(values, result[kind][name] as Float32Array),
                  `${kind} ${name}, ${path}, ${threads} threads`,
                ).toBe(-1);
              }
            }
          }
        }
      });
    }

    const { rows } = opCase;
    if (rows !== undefined) {
      it("gives a row the same bits alone, in a batch of 7, of 300, and at another place", async () => {
        const widest = opCase.shapes.reduce((a, b) => (cost(opCase, a) > cost(opCase, b) ? a : b));
        const dims = { ...widest, [rows.dim]: 300 };
        const inputs = opCase.inputs(dims, new Random(5));
        const whole = await runCase(device(paths[0] as string, 2), opCase, dims, inputs);
        for (const path of paths) {
          for (const [at, count] of [
            [0, 1],
            [299, 1],
            [5, 7],
            [131, 7],
            [17, 100],
          ] as const) {
            const part = sliceRows(inputs, rows.inputs, at, count);
            const { outputs } = await runCase(device(path, 2), opCase, { ...dims, [rows.dim]: count }, part);
            for (const name of rows.outputs) {
              const all = whole.outputs[name] as Float32Array;
              const width = all.length / 300;
              expect(
                firstDifference(all.slice(at * width, (at + count) * width), outputs[name] as Float32Array),
                `${name}: rows ${at}..${at + count - 1}, ${path}`,
              ).toBe(-1);
            }
          }
        }
      });
    }
  });
}

function cost(opCase: OpCase, dims: Dims): number {
  return opCase.cost(dims).flops;
}
