// The tape beyond single ops (ops.test.ts has their gradients): several consumers, seeds and wanted activations, parameters,
// checkpoints. Numbers are small whole ones, so that every expectation is exact.
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import {
  add,
  backward,
  checkpoint,
  fill,
  linear,
  openDevice,
  reshape,
  rmsNorm,
  type Scope,
  swiglu,
  Tape,
  type Tensor,
} from "../src/index.js";

const device = openDevice({ threads: 2, guards: true });
afterAll(() => device.close());

let tape: Tape;
let scope: Scope;
let owner: Scope;
beforeEach(() => {
  tape = new Tape();
  owner = device.scope();
  scope = device.scope(tape);
  return async () => {
    tape.clear();
    scope.end();
    owner.end();
    await device.drain();
    expect(device.status().liveTensors).toBe(0);
  };
});

const vector = (...values: number[]): Tensor => owner.from(Float32Array.from(values));
const numbers = async (tensor: Tensor | undefined): Promise<readonly number[] | undefined> =>
  tensor === undefined ? undefined : [...(await tensor.read())];
function parameter(values: number[], shape: number[]): Tensor {
  const tensor = owner.from(Float32Array.from(values), shape);
  tensor.gradient = owner.empty(shape);
  fill(tensor.gradient, 0);
  return tensor;
}

describe("backward", () => {
  it("adds where an activation has several consumers, the same op twice among them", async () => {
    const x = vector(1, 2);
    const twice = add(scope, x, x);
    const thrice = add(scope, twice, x);
    const y = add(scope, thrice, twice); // 5 x
    const [dx] = backward(owner, tape, [{ tensor: y, gradient: vector(1, 10) }], [x]);
    expect(await numbers(dx)).toEqual([5, 50]);
  });

  it("starts from several seeds, one of them in the middle, one twice", async () => {
    const x = vector(1);
    const a = add(scope, x, x);
    const b = add(scope, a, a);
    const seeds = [
      { tensor: b, gradient: vector(1) },
      { tensor: a, gradient: vector(100) },
    ];
    const [dx, da] = backward(owner, tape, seeds, [x, a]);
    expect(await numbers(da)).toEqual([102]);
    expect(await numbers(dx)).toEqual([204]);
  });

  it("returns undefined for what the seeds do not reach, and leaves those records alone", async () => {
    const x = vector(1);
    const z = vector(1);
    const y = add(scope, x, x);
    add(scope, z, z);
    const [dx, dz] = backward(owner, tape, [{ tensor: y, gradient: vector(1) }], [x, z]);
    expect(await numbers(dx)).toEqual([2]);
    expect(dz).toBeUndefined();
  });

  it("adds to parameters' gradients, twice what is used twice, and again the next time", async () => {
    const w = parameter([1, 2, 3, 4], [2, 2]);
    const bias = parameter([0, 0], [2]);
    for (let step = 1; step <= 2; step++) {
      const x = owner.from(Float32Array.of(1, 1), [1, 2]);
      const y = linear(scope, linear(scope, x, w, bias), w, bias); // hidden: (3, 7)
      backward(owner, tape, [{ tensor: y, gradient: owner.from(Float32Array.of(1, 1), [1, 2]) }]);
      // d hidden = column sums of w: (4, 6); outer products with the inputs (3, 7) and (1, 1).
      expect(await numbers(w.gradient)).toEqual([3 + 4, 7 + 4, 3 + 6, 7 + 6].map((d) => d * step));
      expect(await numbers(bias.gradient)).toEqual([1 + 4, 1 + 6].map((d) => d * step));
    }
  });

  it("leaves parameters without a gradient alone", async () => {
    const w = owner.from(Float32Array.of(2), [1, 1]);
    const x = owner.from(Float32Array.of(3), [1, 1]);
    const y = linear(scope, x, w);
    const [dx] = backward(
      owner,
      tape,
      [{ tensor: y, gradient: owner.from(Float32Array.of(5), [1, 1]) }],
      [x],
    );
    expect(await numbers(dx)).toEqual([10]);
    expect(w.gradient).toBeUndefined();
  });

  it("goes through reshape, and keeps the seed's tensor as it was", async () => {
    const x = vector(1, 2, 3, 4);
    const y = reshape(scope, x, [2, 2]);
    const seed = owner.from(Float32Array.of(5, 6, 7, 8), [2, 2]);
    const [dx] = backward(owner, tape, [{ tensor: y, gradient: seed }], [x]);
    expect(dx?.shape).toEqual([4]);
    expect(await numbers(dx)).toEqual([5, 6, 7, 8]);
    expect(await numbers(seed)).toEqual([5, 6, 7, 8]);
  });

  it("passes a gradient that reaches only the residual sum", async () => {
    const x = owner.from(Float32Array.of(1, 2), [1, 2]);
    const { sum } = rmsNorm(scope, x, vector(1, 1), { eps: 0, residual: x });
    const [dx] = backward(
      owner,
      tape,
      [{ tensor: sum, gradient: owner.from(Float32Array.of(3, 4), [1, 2]) }],
      [x],
    );
    expect(await numbers(dx)).toEqual([6, 8]);
  });

  it("records nothing without a tape", async () => {
    const silent = device.scope();
    const x = vector(1);
    const y = add(silent, x, x);
    expect(backward(owner, tape, [{ tensor: y, gradient: vector(1) }], [x])).toEqual([undefined]);
    silent.end();
  });
});

describe("what can be made again", () => {
  const values = (count: number): Float32Array =>
    Float32Array.from({ length: count }, (_, i) => Math.sin(i + 1));

  /** As in a layer: a normed input with two readers, SwiGLU with one. */
  function forward(inner: Scope, x: Tensor, norm: Tensor, w: Tensor, v: Tensor): Tensor {
    const { y: normed, sum } = rmsNorm(inner, x, norm, { eps: 1e-6, residual: x });
    const gated = swiglu(inner, linear(inner, normed, w), linear(inner, normed, v));
    return add(inner, linear(inner, gated, w), sum);
  }

  it("is held by nobody, and gives the bits that holding it gives", async () => {
    const x = owner.from(values(6 * 32), [6, 32]);
    const results: (readonly number[] | undefined)[][] = [];
    const held: number[] = [];
    for (const remakes of [true, false]) {
      const norm = parameter([...values(32)], [32]);
      const w = parameter([...values(32 * 32)], [32, 32]);
      const v = parameter([...values(32 * 32)].reverse(), [32, 32]);
      const before = device.status().liveTensors;
      const own = new Tape(remakes);
      const outer = device.scope(own);
      const y = outer.child((inner) => forward(inner, x, norm, w, v));
      held.push(device.status().liveTensors - before);
      const seed = { tensor: y, gradient: owner.from(values(6 * 32), [6, 32]) };
      const [dx] = backward(owner, own, [seed], [x]);
      results.push([await numbers(dx), await numbers(norm.gradient), await numbers(w.gradient)]);
      outer.end();
    }
    expect(held).toEqual([5, 7]); // y, sum, rstd, gate, up; and normed, gated
    expect(results[0]).toEqual(results[1]);
    expect(results[0]?.[1]?.every((d) => d !== 0)).toBe(true);
  });

  it("is made once for all its readers, while the walk is among them", async () => {
    const x = vector(1, 2);
    const made: string[] = [];
    const y = vector(2, 4);
    tape.record({
      outputs: [y],
      inputs: [x],
      saved: [x],
      backward: (_, [dy]) => {
        made.push("let go");
        expect(again?.freed).toBe(true);
        return [dy];
      },
      remake: (inner) => {
        made.push("made");
        again = add(inner, x, x);
        return again;
      },
    });
    let again: Tensor | undefined;
    const reader = (name: string, from: Tensor): Tensor => {
      const z = vector(0, 0);
      tape.record({
        outputs: [z],
        inputs: [from],
        saved: [],
        replaceable: [y],
        backward: (_, [dz], [value]) => {
          made.push(name);
          expect(value).toBe(again);
          return [dz];
        },
      });
      return z;
    };
    const last = reader("third", reader("second", reader("first", y)));
    reader("without a gradient", y);
    const [dx] = backward(owner, tape, [{ tensor: last, gradient: vector(3, 5) }], [x]);
    expect(made).toEqual(["made", "third", "second", "first", "let go"]);
    expect(await numbers(dx)).toEqual([3, 5]);
  });
});

describe("checkpoint", () => {
  const gate = (inner: Scope, x: Tensor, w: Tensor): Tensor =>
    swiglu(inner, linear(inner, x, w), linear(inner, x, w));
  const values = (count: number): number[] => Array.from({ length: count }, (_, i) => Math.sin(i + 1));

  it("gives the bits that recording gives, for activations and parameters, nested too", async () => {
    const results: (readonly number[] | undefined)[][] = [];
    for (const mode of ["recorded", "checkpointed", "nested"]) {
      const w = parameter(values(25), [5, 5]);
      const x = owner.from(Float32Array.from(values(15)), [3, 5]);
      const two = (inner: Scope): Tensor => {
        const h = gate(inner, x, w);
        return mode === "nested" ? checkpoint(inner, [h], (s) => gate(s, h, w)) : gate(inner, h, w);
      };
      const y = mode === "recorded" ? two(scope) : checkpoint(scope, [x], two);
      const seed = { tensor: y, gradient: owner.from(Float32Array.from(values(15)), [3, 5]) };
      const [dx] = backward(owner, tape, [seed], [x]);
      results.push([await numbers(y), await numbers(dx), await numbers(w.gradient)]);
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    expect(results[0]?.[2]?.some((d) => d !== 0)).toBe(true);
  });

  it("holds only the inputs until backward", () => {
    const w = parameter(values(25), [5, 5]);
    const x = owner.from(Float32Array.from(values(15)), [3, 5]);
    const before = device.status().liveTensors;
    const y = checkpoint(scope, [x], (inner) => gate(inner, x, w));
    expect(device.status().liveTensors - before).toBe(1);
    expect(y.freed).toBe(false);
  });

  it("counts an input once that is listed twice", async () => {
    const x = vector(1, 2);
    const y = checkpoint(scope, [x, x], (inner) => add(inner, x, x));
    const [dx] = backward(owner, tape, [{ tensor: y, gradient: vector(1, 1) }], [x]);
    expect(await numbers(dx)).toEqual([2, 2]);
  });

  it("passes the gradient of a segment that does nothing", async () => {
    const x = vector(1, 2);
    const y = checkpoint(scope, [x], () => x);
    const z = add(scope, y, y);
    const [dx] = backward(owner, tape, [{ tensor: z, gradient: vector(1, 1) }], [x]);
    expect(await numbers(dx)).toEqual([2, 2]);
  });

  it("runs its segment once without a tape", () => {
    const silent = device.scope();
    let calls = 0;
    const y = checkpoint(silent, [], (inner) => {
      calls++;
      return inner.empty([1]);
    });
    expect(calls).toBe(1);
    expect(y.freed).toBe(false);
    silent.end();
  });
});
