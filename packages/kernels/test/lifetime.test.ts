// Who holds memory and when it returns: scopes, tapes, views, the arena's high-water mark, and the leak counter.
import { afterAll, describe, expect, it } from "vitest";
import {
  add,
  attention,
  backward,
  checkpoint,
  type Device,
  embedding,
  fill,
  linear,
  openDevice,
  RowGradient,
  reshape,
  rmsNorm,
  type Scope,
  sample,
  swiglu,
  Tape,
  type Tensor,
  tokenLogProbs,
} from "../src/index.js";
import { childTestLimit, runChild } from "./child/run.js";

const device = openDevice({ threads: 2 });
afterAll(() => device.close());

/** A small model's parameters with gradients, in a scope of their own. */
function parameters(scope: Scope) {
  const parameter = (...shape: number[]): Tensor => {
    const tensor = scope.empty(shape);
    fill(tensor, 0.01);
    tensor.gradient = scope.empty(shape);
    fill(tensor.gradient, 0);
    return tensor;
  };
  return {
    table: parameter(50, 32),
    norm: parameter(32),
    up: parameter(64, 32),
    gate: parameter(64, 32),
    down: parameter(32, 64),
  };
}

const ids = Int32Array.from({ length: 20 }, (_, i) => (i * 7) % 50);
function block(scope: Scope, x: Tensor, p: ReturnType<typeof parameters>): Tensor {
  const { y, sum } = rmsNorm(scope, x, p.norm, { eps: 1e-6, residual: x });
  const heads = reshape(scope, y, [20, 4, 8]);
  const starts = scope.from(Int32Array.of(0, 9, 20));
  const mixed = reshape(scope, attention(scope, heads, heads, heads, starts, 0.3), [20, 32]);
  const up = linear(scope, mixed, p.up);
  const gate = linear(scope, mixed, p.gate);
  return add(scope, sum, linear(scope, swiglu(scope, gate, up), p.down));
}
function loss(
  scope: Scope,
  p: ReturnType<typeof parameters>,
  rows: RowGradient,
  checkpointed: boolean,
): Tensor {
  const x = embedding(scope, p.table, ids, rows);
  const segment = (inner: Scope): Tensor => block(inner, x, p);
  const h = checkpointed ? checkpoint(scope, [x], segment) : segment(scope);
  return tokenLogProbs(scope, h, p.table, scope.from(ids), { inverseTemperature: 1 }).logProb;
}
function seedOf(scope: Scope, tensor: Tensor): { tensor: Tensor; gradient: Tensor } {
  const gradient = scope.empty(tensor.shape);
  fill(gradient, -1);
  return { tensor, gradient };
}
const used = (of: Device = device): readonly [number, number] => [
  of.status().bytesInUse,
  of.status().liveTensors,
];

describe("scopes free everything", () => {
  for (const checkpointed of [false, true]) {
    it(`after forward and backward, ${checkpointed ? "checkpointed" : "recorded whole"}`, async () => {
      await device.run(async (owner) => {
        const p = parameters(owner);
        const rows = new RowGradient(owner, 32);
        const start = used();
        for (let step = 0; step < 3; step++) {
          const tape = new Tape();
          await device.run((scope) => {
            const output = scope.child((inner) => loss(inner, p, rows, checkpointed), tape);
            backward(scope, tape, [seedOf(scope, output)]);
          });
          rows.fold(p.table.gradient as Tensor);
          expect(used()).toEqual(start);
        }
        expect((await (p.down.gradient as Tensor).read()).some((x) => x !== 0)).toBe(true);
      });
      expect(used()).toEqual([0, 0]);
    });
  }

  it("of a child but what it returns, in records and lists", () => {
    const scope = device.scope();
    const kept = scope.child((inner) => {
      inner.empty([1000]);
      return { a: inner.empty([1]), list: [inner.empty([2]), undefined] };
    });
    expect(device.status().liveTensors).toBe(2);
    expect(kept.a.freed).toBe(false);
    scope.end();
    expect(kept.a.freed).toBe(true);
    expect(used()).toEqual([0, 0]);
  });

  it("after an exception in run, in child, in a backward rule and in a checkpointed segment", async () => {
    const broken = new Error("broken");
    const fail = (): never => {
      throw broken;
    };
    await expect(
      device.run((scope) => {
        scope.empty([100]);
        fail();
      }),
    ).rejects.toBe(broken);
    expect(used()).toEqual([0, 0]);

    const scope = device.scope();
    expect(() =>
      scope.child((inner) => {
        inner.child((innermost) => innermost.empty([5]));
        return fail();
      }),
    ).toThrow(broken);
    expect(used()).toEqual([0, 0]);

    const p = parameters(scope);
    const start = used();
    const tape = new Tape();
    const inner = device.scope(tape);
    const y = block(inner, embedding(inner, p.table, ids), p);
    tape.record({ outputs: [y], inputs: [y], saved: [y], backward: fail });
    const seed = seedOf(inner, y);
    expect(() => backward(inner, tape, [seed])).toThrow(broken);
    inner.end();
    expect(used()).toEqual(start);

    const again = new Tape();
    const second = device.scope(again);
    const x = embedding(second, p.table, ids);
    let calls = 0;
    const output = checkpoint(second, [x], (s) => {
      const made = block(s, x, p);
      return calls++ === 0 ? made : fail();
    });
    const from = seedOf(second, output);
    expect(() => backward(second, again, [from])).toThrow(broken);
    second.end();
    expect(used()).toEqual(start);
    scope.end();
    expect(used()).toEqual([0, 0]);
  });

  it("after an abandoned forward pass", async () => {
    const tape = new Tape();
    await device.run((scope) => {
      const p = parameters(scope);
      loss(scope, p, new RowGradient(scope, 32), false);
    }, tape);
    expect(used()).toEqual([0, 0]);

    const held = new Tape();
    const scope = device.scope(held);
    const p = parameters(scope);
    loss(scope, p, new RowGradient(scope, 32), true);
    scope.end();
    expect(device.status().liveTensors, "the tape holds what it saved").toBeGreaterThan(0);
    held.clear();
    expect(used()).toEqual([0, 0]);
  });

  it("with a tape that is walked twice: the second time there is nothing", () => {
    const tape = new Tape();
    const scope = device.scope(tape);
    const p = parameters(scope);
    const y = linear(scope, embedding(scope, p.table, ids), p.up);
    const seed = seedOf(scope, y);
    backward(scope, tape, [seed]);
    expect(backward(scope, tape, [seed], [y])).toEqual([seed.gradient]);
    scope.end();
    expect(used()).toEqual([0, 0]);
  });
});

describe("holding", () => {
  it("a view keeps the memory when the tensor it came from is let go", async () => {
    const scope = device.scope();
    const x = scope.from(Float32Array.of(1, 2, 3, 4));
    const view = scope.view(x, 2, [2]);
    const bytes = device.status().bytesInUse;
    scope.release(x);
    expect(x.freed).toBe(true);
    expect(device.status().bytesInUse).toBe(bytes);
    fill(scope.empty([4]), 9); // would take x's place if it were free
    expect([...(await view.read())]).toEqual([3, 4]);
    scope.end();
    expect(used()).toEqual([0, 0]);
  });

  it("a tensor in two scopes lives until both are done with it", () => {
    const a = device.scope();
    const b = device.scope();
    const x = a.empty([3]);
    b.keep(x);
    b.keep(x); // held once by each scope
    a.end();
    expect(x.freed).toBe(false);
    b.end();
    expect(x.freed).toBe(true);
  });

  it("frees the rest of a scope when one tensor in it cannot be freed", () => {
    const scope = device.scope();
    const x = scope.empty([3]);
    const forged = new (x.constructor as new (...args: unknown[]) => Tensor)(device, {}, "f32", [3]);
    const y = device.scope();
    y.own(forged);
    y.keep(x);
    scope.end();
    expect(() => y.end()).toThrow("free: tensor is an object, expected a tensor");
    expect(x.freed).toBe(true);
  });
});

describe("memory returns at its place in the stream", () => {
  it("is reused while earlier ops still wait: the peak of 1,000 iterations is that of four", async () => {
    const fresh = openDevice({ threads: 2 });
    const scope = fresh.scope();
    const p = parameters(scope);
    const rows = new RowGradient(scope, 32);
    let peak = 0;
    for (let i = 0; i < 1000; i++) {
      await fresh.run((inner) => {
        const tape = new Tape();
        const output = inner.child((s) => loss(s, p, rows, i % 2 === 0), tape);
        backward(inner, tape, [seedOf(inner, output)]);
      });
      if (i === 3) peak = fresh.status().peakBytes;
      if (i % 16 === 0) await fresh.ready();
    }
    expect(fresh.status().peakBytes).toBe(peak);
    expect(fresh.status().reservedBytes).toBe(2 << 20);
    scope.end();
    await fresh.close();
  });

  it("has a high-water mark that does not depend on timing", async () => {
    const peaks: (readonly [number, number])[] = [];
    for (const wait of ["each op", "the end", "the end", "a slow start"]) {
      const fresh = openDevice({ threads: wait === "the end" ? 1 : 2 });
      await fresh.run(async (scope) => {
        let x = scope.empty([100, 64]);
        fill(x, 1);
        if (wait === "a slow start") fill(scope.empty([3_000_000]), 1);
        else scope.empty([3_000_000]);
        const w = scope.empty([64, 64]);
        fill(w, 0.01);
        for (let i = 0; i < 50; i++) {
          x = scope.child((inner) => {
            const wide = inner.empty([1 + ((i * 37) % 11), 50_000]);
            fill(wide, 0);
            return linear(inner, x, w);
          });
          if (wait === "each op") await fresh.drain();
        }
        await fresh.drain();
      });
      const { peakBytes, reservedBytes } = fresh.status();
      peaks.push([peakBytes, reservedBytes]);
      await fresh.close();
    }
    expect(new Set(peaks.map(String)).size, peaks.join(" / ")).toBe(1);
  });

  it("takes no more for steps of many sizes than the largest needs", async () => {
    const fresh = openDevice({ threads: 1, dry: true });
    const kept = fresh.scope();
    let largest = 0;
    for (let step = 0; step < 30; step++) {
      const rows = 1000 + ((step * 7919) % 500);
      await fresh.run(async (scope) => {
        // As a forward pass does: some of what is made stays, in many sizes.
        for (let layer = 0; layer < 20; layer++) {
          scope.child((inner) => {
            inner.empty([3 * rows, 64]);
            return [inner.empty([rows, 64]), inner.empty([rows, 9])];
          });
        }
      });
      largest = Math.max(largest, rows);
      if (step % 10 === 0) kept.empty([64]); // and something that outlives the step
    }
    const { peakBytes, reservedBytes } = fresh.status();
    expect(peakBytes).toBeGreaterThan(20 * largest * 73 * 4);
    expect(reservedBytes / peakBytes).toBeLessThan(1.12);
    kept.end();
    await fresh.close();
  });

  it("draws rows of every table on a dry device, whatever was in the memory before", async () => {
    const fresh = openDevice({ threads: 1, dry: true });
    const drawn = await fresh.run(async (scope) => {
      const [x, weight] = [scope.empty([64, 8]), scope.empty([16, 8])];
      scope.child((inner) => {
        inner.from(new Int32Array(64).fill(14_289));
        return undefined;
      });
      const off = { topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seen: [], uniform: 0 };
      const settings = Array.from({ length: 64 }, () => ({ temperature: 1, ...off }));
      const { tokens } = sample(scope, x, weight, settings, 16);
      // As the next step of generation looks them up.
      embedding(scope, weight, tokens);
      return tokens.read();
    });
    expect([...drawn]).toEqual(new Array(64).fill(0));
    await fresh.close();
  });

  it("keeps values apart when a freed tensor's memory goes to the next op at once", async () => {
    await device.run(async (scope) => {
      const sums: Tensor[] = [];
      for (let i = 0; i < 300; i++) {
        const x = scope.empty([1000]);
        fill(x, i);
        const y = scope.empty([1000]);
        fill(y, 1);
        sums.push(add(scope, x, y));
        scope.release(x);
        scope.release(y);
      }
      for (const [i, sum] of sums.entries()) {
        const values = await sum.read();
        expect(values[0]).toBe(i + 1);
        expect(values[999]).toBe(i + 1);
      }
    });
  });

  it("is read in pieces, one of them in memory at a time", async () => {
    await device.run(async (scope) => {
      const values = Float32Array.from({ length: 700_001 }, (_, i) => i);
      const x = scope.from(values);
      const read: number[] = [];
      let before: Uint8Array | undefined;
      for await (const piece of x.pieces(300_000)) {
        expect(before?.length ?? 0).toBe(0);
        before = piece;
        read.push(
          ...[0, -4].map((at) =>
            new DataView(piece.buffer).getFloat32((at + piece.length) % piece.length, true),
          ),
        );
      }
      expect(read).toEqual([0, 299_999, 300_000, 599_999, 600_000, 700_000]);
    });
  });

  it("gives a closed device's memory back to the system", async () => {
    const fresh = openDevice({ threads: 1 });
    const scope = fresh.scope();
    const before = process.memoryUsage.rss();
    fill(scope.empty([64, 1 << 20]), 1);
    await fresh.drain();
    const during = process.memoryUsage.rss();
    await fresh.close();
    expect(during - before).toBeGreaterThan(200 << 20);
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 << 20);
    scope.end();
  });
});

describe("the leak counter", () => {
  it("counts tensors that were collected before anybody freed them, and no others", {
    timeout: childTestLimit,
  }, async () => {
    const { end, output } = await runChild("leak.ts", [], { flags: ["--expose-gc"] });
    expect(end, output).toBe(0);
    expect(JSON.parse(output)).toEqual([3, 3, 5]);
  });
});
