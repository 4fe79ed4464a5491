// Elementwise ops in bf16 are the fp32 ops on the widened inputs, rounded where they store: bit by bit, for every combination of dtypes
// that an op takes, on every path, with infinities, NaNs, subnormals and numbers at the end of the range among the inputs.
import { convert, cpuPaths, type Dtype, openDevice, type Scope, Tape, type Tensor } from "@posttrain/kernels";
import * as binding from "@posttrain/kernels/binding";
import { describe, expect, it } from "vitest";
import { Random } from "./cases/case.js";
import { firstDifference } from "./cases/run.js";
import { bf16Bits, toBf16 } from "./float32.js";

type Tensors = Readonly<Record<string, Tensor>>;

interface Op {
  readonly name: string;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  /** Parameters that are f32 or bf16, those of one dtype together. */
  readonly floats: readonly (readonly string[])[];
  readonly run: (tensors: Tensors, scope: Scope) => void;
}

const [M, C, H, A, N] = [37, 83, 3, 21, 5003];
const rows = Int32Array.from({ length: 50 }, (_, i) => (i * 29) % M);
/** A cache of two pages of two heads. */
const slots = Int32Array.from({ length: M }, (_, i) => (i * 7) % 128);
const of = (tensors: Tensors, name: string): Tensor => tensors[name] as Tensor;

const ops: readonly Op[] = [
  {
    name: "fill",
    inputs: {},
    outputs: { y: [N] },
    floats: [["y"]],
    run: (t) => binding.fillForward(of(t, "y"), 0.3),
  },
  {
    name: "embedding",
    inputs: { table: [M, C] },
    outputs: { y: [50, C] },
    floats: [["table"]],
    run: (t, scope) => binding.embeddingForward(of(t, "y"), of(t, "table"), scope.from(rows)),
  },
  {
    name: "gather_rows",
    inputs: { x: [M, C] },
    outputs: { y: [50, C] },
    floats: [["x", "y"]],
    run: (t, scope) => binding.gatherRowsForward(of(t, "y"), of(t, "x"), scope.from(rows)),
  },
  {
    name: "rms_norm",
    inputs: { x: [M, C], residual: [M, C], weight: [C] },
    outputs: { y: [M, C], sum: [M, C], rstd: [M] },
    floats: [["y"], ["weight"]],
    run: (t) =>
      binding.rmsNormForward(
        of(t, "y"),
        of(t, "rstd"),
        of(t, "sum"),
        of(t, "x"),
        of(t, "residual"),
        of(t, "weight"),
        1e-6,
      ),
  },
  {
    name: "rms_norm backward",
    inputs: { dy: [M, C], dsum: [M, C], x: [M, C], weight: [C], rstd: [M] },
    outputs: { dx: [M, C], dweight: [C] },
    floats: [["dy"], ["weight"]],
    run: (t) => {
      binding.fillForward(of(t, "dweight"), 0.5);
      binding.rmsNormBackward(
        of(t, "dx"),
        of(t, "dweight"),
        of(t, "dy"),
        of(t, "dsum"),
        of(t, "x"),
        of(t, "weight"),
        of(t, "rstd"),
      );
    },
  },
  ...[binding.ropeForward, binding.ropeBackward].map((rotate) => ({
    name: rotate.name,
    inputs: { x: [M, H, 2 * A], cosines: [M, A], sines: [M, A] },
    outputs: { y: [M, H, 2 * A] },
    floats: [["x"], ["y"]],
    run: (t: Tensors) => rotate(of(t, "y"), of(t, "x"), of(t, "cosines"), of(t, "sines")),
  })),
  {
    name: "swiglu",
    inputs: { gate: [N], up: [N] },
    outputs: { y: [N] },
    floats: [["gate", "up"], ["y"]],
    run: (t) => binding.swigluForward(of(t, "y"), of(t, "gate"), of(t, "up")),
  },
  {
    name: "swiglu backward",
    inputs: { dy: [N], gate: [N], up: [N] },
    outputs: { dgate: [N], dup: [N] },
    floats: [["gate", "up"], ["dgate", "dup"], ["dy"]],
    run: (t) => binding.swigluBackward(of(t, "dgate"), of(t, "dup"), of(t, "dy"), of(t, "gate"), of(t, "up")),
  },
  {
    name: "kv_cache_write",
    inputs: { k: [M, 2, 24], v: [M, 2, 24] },
    outputs: { keys: [2, 2, 24, 64], values: [2, 2, 64, 24] },
    floats: [
      ["keys", "values"],
      ["k", "v"],
    ],
    run: (t, scope) => {
      // What was there before.
      for (const name of ["keys", "values"]) binding.fillForward(of(t, name), 0);
      binding.kvCacheWriteForward(of(t, "keys"), of(t, "values"), of(t, "k"), of(t, "v"), scope.from(slots));
      const [one, two] = [scope.from(Int32Array.of(1)), scope.from(Int32Array.of(0))];
      binding.kvCacheCopyForward(of(t, "keys"), of(t, "values"), one, two);
    },
  },
  {
    name: "sum_squares",
    inputs: { x: [4096 * 9 + 77] },
    outputs: { total: [1] },
    floats: [["x"]],
    run: (t) => {
      of(t, "total").write(Float64Array.of(0)); // it is added to
      binding.sumSquaresForward(of(t, "total"), of(t, "x"));
    },
  },
];

const wild = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  -0,
  1e-40,
  -3e-39,
  3.3e38,
  -2e38,
];
/** Normal values, those that may be bf16 rounded to it; in a tenth of the rows some that few ops survive. */
function values(op: Op, name: string, random: Random): Float32Array {
  const shape = op.inputs[name] as readonly number[];
  const narrowed = op.floats.flat().includes(name) ? toBf16 : (x: number) => x;
  const data = random.normal(shape).data as Float32Array;
  const width = shape.length === 1 ? 50 : (shape.at(-1) as number);
  return data.map((x, i) =>
    Math.floor(i / width) % 10 === 3 && random.uniform() < 0.1
      ? narrowed(Math.fround(wild[random.integer(8)] as number))
      : narrowed(x),
  );
}

async function run(op: Op, path: string, narrow: ReadonlySet<string>): Promise<Record<string, Float32Array>> {
  const device = openDevice({ path, threads: 2, guards: true });
  try {
    return await device.run(async (scope) => {
      const random = new Random(9);
      const dtype = (name: string): Dtype => (narrow.has(name) ? "bf16" : name === "total" ? "f64" : "f32");
      const tensors: Record<string, Tensor> = {};
      for (const [name, shape] of Object.entries(op.inputs)) {
        const data = values(op, name, random);
        tensors[name] = narrow.has(name)
          ? scope.from(Uint16Array.from(data, bf16Bits), shape, "bf16")
          : scope.from(data, shape);
      }
      for (const [name, shape] of Object.entries(op.outputs)) tensors[name] = scope.empty(shape, dtype(name));
      op.run(tensors, scope);
      const results: Record<string, Float32Array> = {};
      for (const name of Object.keys(op.outputs)) {
        const tensor = tensors[name] as Tensor;
        const wide = scope.empty(tensor.shape, dtype(name) === "f64" ? "f64" : "f32");
        if (tensor.dtype === "bf16") convert(wide, tensor);
        results[name] = (await (tensor.dtype === "bf16" ? wide : tensor).read()) as Float32Array;
      }
      expect(await device.checkGuards()).toBe(0);
      return results;
    });
  } finally {
    await device.close();
  }
}

for (const op of ops) {
  describe(op.name, () => {
    for (const path of cpuPaths()) {
      it(`rounds what it stores and nothing else, on ${path}`, async () => {
        const wide = await run(op, path, new Set());
        for (let choice = 1; choice < 2 ** op.floats.length; choice++) {
          const narrow = new Set(op.floats.filter((_, i) => (choice >> i) % 2 === 1).flat());
          const found = await run(op, path, narrow);
          for (const [name, expected] of Object.entries(wide)) {
            const rounded = narrow.has(name) ? expected.map(toBf16) : expected;
            expect(
              firstDifference(rounded, found[name] as Float32Array),
              `${name}, bf16: ${[...narrow].join(", ")}`,
            ).toBe(-1);
          }
        }
      });
    }
  });
}

describe("adamw", () => {
  it.each(cpuPaths())("writes the new parameter rounded and clears the gradient, on %s", async (path) => {
    const device = openDevice({ path, threads: 2, guards: true });
    await device.run(async (scope) => {
      const random = new Random(4);
      const make = () =>
        ["parameter", "m", "v", "gradient"].map((name) => {
          const { data } = random.normal([N], name === "parameter" ? 1 : 1e-2);
          return scope.from(name === "v" ? data.map(Math.abs) : data);
        });
      const [p, m, v, g] = make() as [Tensor, Tensor, Tensor, Tensor];
      const [p2, m2, v2, g2] = [scope.empty([N]), scope.empty([N]), scope.empty([N]), scope.empty([N])];
      for (const [to, from] of [
        [p2, p],
        [m2, m],
        [v2, v],
        [g2, g],
      ] as const)
        convert(to, from);
      const rounded = scope.empty([N], "bf16");
      const step = [0.01, 0.9, 0.95, 1e-8, 0.1, 0.271, 0.142625, 0.37] as const;
      binding.adamwForward(p, m, v, rounded, g, ...step, 1);
      binding.adamwForward(p2, m2, v2, null, g2, ...step, 0);
      for (const [a, b] of [
        [p, p2],
        [m, m2],
        [v, v2],
      ] as const)
        expect(firstDifference(await a.read(), await b.read())).toBe(-1);
      expect((await g.read()).every((x) => Object.is(x, 0))).toBe(true);
      expect((await g2.read()).some((x) => x !== 0)).toBe(true);
      const bits = Uint16Array.from(await p.read(), (x) => bf16Bits(toBf16(x)));
      expect(firstDifference(await rounded.read(), bits)).toBe(-1);
      expect(await device.checkGuards()).toBe(0);
    });
    await device.close();
  });
});

describe("dtypes that do not go together", () => {
  const device = openDevice({ threads: 1 });
  const wrong: readonly (readonly [string, (scope: Scope) => void, string])[] = [
    [
      "swiglu",
      (s) => binding.swigluForward(s.empty([3]), s.empty([3]), s.empty([3], "bf16")),
      "gate is f32 and up is bf16, expected one dtype",
    ],
    [
      "gatherRows",
      (s) => binding.gatherRowsForward(s.empty([1, 3]), s.empty([2, 3], "bf16"), s.from(Int32Array.of(0))),
      "y is f32 and x is bf16, expected one dtype",
    ],
    [
      "kvCacheCopy",
      (s) =>
        binding.kvCacheCopyForward(
          s.empty([2, 1, 4, 64]),
          s.empty([2, 1, 64, 4], "bf16"),
          s.from(Int32Array.of(0)),
          s.from(Int32Array.of(1)),
        ),
      "keys is f32 and values is bf16, expected one dtype",
    ],
  ];
  it.each(wrong)("%s says so", async (_, call, message) => {
    const scope = device.scope(new Tape());
    call(scope);
    await expect(device.drain()).rejects.toThrow(message);
    scope.end();
    await device.recover();
  });
});
