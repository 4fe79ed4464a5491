// What a wrong call says: a KernelError with a code, whose message names the op as it was called, the argument, what was
// expected and what came. Messages are compared whole: they are read by people.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import * as kernels from "../src/binding.generated.js";
import {
  adamw,
  add,
  attention,
  attentionCached,
  convert,
  cpuPaths,
  embedding,
  fill,
  gatherRows,
  KernelError,
  kvCacheCopy,
  kvCacheWrite,
  linear,
  MappedFile,
  openDevice,
  probeFmaPeak,
  rmsNorm,
  rope,
  type Scope,
  sample,
  swiglu,
  type Tensor,
  tokenLogProbs,
} from "../src/index.js";

const device = openDevice({ threads: 2, guards: true });
let scope: Scope;
beforeEach(() => {
  scope = device.scope();
  return async () => {
    scope.end();
    await device.recover();
  };
});
afterAll(() => device.close());

/** Ones: values that no op minds. */
function ones(shape: readonly number[], of: Scope = scope): Tensor {
  const y = of.empty(shape);
  fill(y, 1);
  return y;
}
const adamwStep = {
  learningRate: 1,
  beta1: 0.9,
  beta2: 0.9,
  eps: 1,
  weightDecay: 0,
  step: 1,
  gradientScale: 1,
};
const ids = (...values: number[]): Tensor => scope.from(Int32Array.from(values));

function thrown(body: () => unknown): { code: string; message: string } {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(KernelError);
    return { code: (error as KernelError).code, message: (error as KernelError).message };
  }
  throw new Error("nothing was thrown");
}

async function rejected(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(KernelError);
  return { code: (error as KernelError).code, message: (error as KernelError).message };
}

describe("a call that cannot be right", () => {
  const wrong: readonly (readonly [string, () => unknown, string])[] = [
    [
      "shape",
      () => linear(scope, ones([3, 5]), ones([4, 7])),
      "linear: weight is f32 [4, 7], expected f32 [4, 5] (K is 5 in x)",
    ],
    [
      "bias",
      () => linear(scope, ones([3, 5]), ones([4, 5]), ones([5])),
      "linear: bias is f32 [5], expected f32 [4] (N is 4 in weight)",
    ],
    [
      "twice a symbol",
      () => rope(scope, ones([2, 3, 8]), { cosines: ones([2, 3]), sines: ones([2, 4]) }),
      "rope: cosines is f32 [2, 3], expected f32 [2, 4] (A is 4 in x)",
    ],
    [
      "an odd head",
      () => rope(scope, ones([2, 3, 7]), { cosines: ones([2, 3]), sines: ones([2, 3]) }),
      "rope: x is f32 [2, 3, 7], expected f32 [2, 3, 2*A]: axis 2 must be a multiple of 2",
    ],
    [
      "no starts at all",
      () => attention(scope, ones([2, 2, 4]), ones([2, 1, 4]), ones([2, 1, 4]), ids(), 1),
      "attention: starts is i32 [0], expected i32 [S+1]: axis 0 must be at least 1",
    ],
    [
      "the number of elements",
      () => add(scope, ones([2, 3]), ones([5])),
      "add: b is f32 [5], expected 6 elements (N is 6 in a)",
    ],
    [
      "the number of elements of a step",
      () =>
        adamw(ones([4]), ones([4]), ones([5]), ones([4]), {
          ...adamwStep,
        }),
      "adamw: v is f32 [5], expected 4 elements (N is 4 in parameter)",
    ],
    [
      "dtype",
      () => linear(scope, scope.from(new Float64Array(6), [2, 3]), ones([4, 3])),
      "linear: x is f64 [2, 3], expected dtype f32 or bf16",
    ],
    [
      "dtype of what is f32 alone",
      () => add(scope, ones([3]), scope.empty([3], "bf16")),
      "add: b is bf16 [3], expected dtype f32",
    ],
    [
      "shape in bf16",
      () => linear(scope, scope.empty([3, 5], "bf16"), scope.empty([4, 7], "bf16")),
      "linear: weight is bf16 [4, 7], expected bf16 [4, 5] (K is 5 in x)",
    ],
    [
      "dtype of the rounded parameter",
      () =>
        adamw(ones([4]), ones([4]), ones([4]), ones([4]), {
          ...adamwStep,
          rounded: ones([4]),
        }),
      "adamw: rounded is f32 [4], expected dtype bf16",
    ],
    [
      "dtype of indices",
      () => gatherRows(scope, ones([2, 3]), ones([2])),
      "gatherRows: rows is f32 [2], expected dtype i32",
    ],
    [
      "rank",
      () => linear(scope, ones([2, 3, 4]), ones([4, 3])),
      "linear: x is f32 [2, 3, 4], expected 2 axes",
    ],
    [
      "rank, found by the addon",
      () => kernels.linearForward(ones([2, 4]), ones([3]), ones([4, 3]), null),
      "linear: x is f32 [3], expected 2 axes: f32 [M, K]",
    ],
    [
      "an output",
      () => kernels.linearForward(ones([2, 5]), ones([2, 3]), ones([4, 3]), null),
      "linear: y is f32 [2, 5], expected f32 [2, 4] (N is 4 in weight)",
    ],
    [
      "of a backward op",
      () =>
        kernels.rmsNormBackward(ones([2, 3]), null, ones([2, 4]), null, ones([2, 3]), ones([3]), ones([2])),
      "rmsNorm backward: x is f32 [2, 3], expected f32 [2, 4] (C is 4 in dy)",
    ],
    [
      "a missing tensor",
      () => linear(scope, undefined as never, ones([4, 3])),
      "linear: x is undefined, expected a tensor",
    ],
    ["a number", () => swiglu(scope, ones([2]), 3 as never), "swiglu: up is a number, expected a tensor"],
    ["an array", () => add(scope, [1, 2] as never, ones([2])), "add: a is an array, expected a tensor"],
    [
      "an optional tensor of another kind",
      () => linear(scope, ones([2, 3]), ones([4, 3]), "none" as never),
      "linear: bias is a string, expected a tensor or null",
    ],
    [
      "ids",
      () => embedding(scope, ones([4, 3]), [1, 2] as never),
      "embedding: ids is an array, expected an Int32Array or a tensor",
    ],
    [
      "a scalar",
      () => rmsNorm(scope, ones([2, 3]), ones([3]), {} as never),
      "rmsNorm: eps is undefined, expected a number",
    ],
    [
      "a whole number",
      () => kernels.probeFmaForward(ones([2]), 2.5),
      "probeFma: iterations is 2.5, expected a whole number",
    ],
    [
      "the first step",
      () =>
        adamw(ones([4]), ones([4]), ones([4]), ones([4]), {
          ...adamwStep,
          step: 0,
        }),
      "adamw: step is 0, expected a whole number from 1 on",
    ],
    [
      "an output that is an input",
      () => {
        const x = ones([3, 3]);
        kernels.linearForward(x, x, ones([3, 3]), null);
      },
      "linear: y f32 [3, 3] is written and shares memory with x f32 [3, 3], expected memory of its own",
    ],
    [
      "a gradient in two places",
      () => {
        const d = ones([4]);
        kernels.swigluBackward(d, d, ones([4]), ones([4]), ones([4]));
      },
      "swiglu backward: dgate f32 [4] is written and shares memory with dup f32 [4], expected memory of its own",
    ],
    [
      "dtype of a tensor",
      () => scope.empty([2], "f8" as never),
      'empty: dtype is "f8", expected one of f32, f64, bf16, f16, i32',
    ],
    [
      "half precision bits",
      () => scope.from(new Uint16Array(2)),
      "from: data is a Uint16Array, expected a dtype beside it: do its bits mean bf16 or f16?",
    ],
    [
      "data",
      () => scope.from([1, 2] as never),
      "from: data is an array, expected a Float32Array, Float64Array, Int32Array or Uint16Array",
    ],
    [
      "bytes",
      () => scope.from(new Uint8Array(4) as never),
      "from: data is a Uint8Array, expected a Float32Array, Float64Array, Int32Array or Uint16Array",
    ],
    [
      "the length of data",
      () => scope.from(new Float32Array(5), [2, 3]),
      "write: data has 5 elements, expected 6 for f32 [2, 3]",
    ],
    [
      "data of another kind",
      () => ones([4]).write(new Int32Array(4)),
      "write: data is another kind of typed array, expected a Float32Array for f32 [4]",
    ],
    [
      "a negative axis",
      () => scope.empty([2, -1]),
      "empty: axis 1 of the shape is not a whole number of at least 0",
    ],
    [
      "half an axis",
      () => scope.empty([1.5]),
      "empty: axis 0 of the shape is not a whole number of at least 0",
    ],
    [
      "too many axes",
      () => scope.empty([1, 1, 1, 1, 1]),
      "empty: shape is an array of 5, expected an array of at most 4 whole numbers",
    ],
    [
      "no shape",
      () => scope.empty(7 as never),
      "empty: shape is a number, expected an array of at most 4 whole numbers",
    ],
    [
      "a view beyond the end",
      () => scope.view(ones([2, 3]), 2, [5]),
      "view: f32 [5] at element 2 does not fit in the tensor f32 [2, 3]",
    ],
    [
      "a view before the start",
      () => scope.view(ones([2, 3]), -1, [2]),
      "view: offset is -1, expected a whole number of at least 0",
    ],
    [
      "a tensor that is none",
      () => scope.view({} as never, 0, [2]),
      "view: tensor is an object, expected a tensor",
    ],
    [
      "a promise in a child scope",
      () => scope.child((async () => undefined) as never),
      "child: body returned a promise, expected tensors: the inner scope ends when body returns; use device.run() to await",
    ],
  ];
  for (const [what, body, message] of wrong) {
    it(`names ${what}`, async () => {
      expect(thrown(body)).toEqual({ code: "kernel_argument", message });
      // Nothing went into the stream.
      await device.drain();
    });
  }
});

describe("lifetime", () => {
  it("refuses a freed tensor", () => {
    const inner = device.scope();
    const x = ones([2, 3], inner);
    inner.end();
    expect(thrown(() => linear(scope, x, ones([4, 3]))).message).toBe(
      "linear: x f32 [2, 3] was freed (its scope ended), expected a live tensor",
    );
    expect(thrown(() => x.write(new Float32Array(6))).message).toBe(
      "write: the tensor f32 [2, 3] was freed (its scope ended)",
    );
    expect(thrown(() => scope.view(x, 0, [1])).message).toBe(
      "view: the tensor f32 [2, 3] was freed (its scope ended)",
    );
    expect(thrown(() => scope.keep(x)).message).toBe("hold: the tensor f32 [2, 3] was freed");
  });

  it("refuses to read a freed tensor", async () => {
    const x = ones([2]);
    scope.release(x);
    expect((await rejected(x.read())).message).toBe("read: the tensor f32 [2] was freed (its scope ended)");
  });

  it("refuses a scope that has ended, in the name of the op", () => {
    const x = ones([2, 3]);
    const ended = device.scope();
    ended.end();
    ended.end();
    const message = (op: string) => `${op}: the scope has ended, expected one that is still open`;
    expect(thrown(() => ended.empty([1])).message).toBe(message("empty"));
    expect(thrown(() => linear(ended, x, x)).message).toBe(message("linear"));
    expect(thrown(() => add(ended, x, x)).message).toBe(message("add"));
    expect(thrown(() => tokenLogProbs(ended, x, x, ids(0, 0), { inverseTemperature: 1 })).message).toBe(
      message("tokenLogProbs"),
    );
    expect(thrown(() => sample(ended, x, x, [], 1)).message).toBe(message("sample"));
    expect(thrown(() => ended.child(() => undefined)).message).toBe(message("child"));
    expect(thrown(() => ended.view(x, 0, [1])).message).toBe(message("view"));
  });

  it("refuses a closed device and what belonged to it", async () => {
    const other = openDevice({ threads: 1 });
    const open = other.scope();
    const x = ones([2, 3], open);
    await other.close();
    expect(thrown(() => open.empty([1])).message).toBe("empty: the device was closed");
    expect(thrown(() => x.write(new Float32Array(6))).message).toBe(
      "write: the tensor f32 [2, 3] belongs to a device that was closed",
    );
    expect((await rejected(x.read())).message).toBe(
      "read: the tensor f32 [2, 3] belongs to a device that was closed",
    );
    expect(thrown(() => add(scope, ones([2, 3]), x)).message).toBe(
      "add: b f32 [2, 3] belongs to a device that was closed, expected a live tensor",
    );
    expect(thrown(() => other.status()).message).toBe("status: the device was closed");
    expect((await rejected(Promise.resolve().then(() => other.drain()))).message).toBe(
      "drain: the device was closed",
    );
    open.end();
  });

  it("refuses tensors of two devices", async () => {
    const path = cpuPaths().at(-1) as string;
    const other = openDevice({ threads: 1, path });
    const open = other.scope();
    const x = ones([2, 3], open);
    expect(thrown(() => linear(scope, ones([1, 3]), x)).message).toMatch(
      new RegExp(
        `^linear: weight f32 \\[2, 3\\] is on device \\d+ \\(cpu, ${path}\\), expected device \\d+ \\(cpu, ${device.path}\\) as y$`,
      ),
    );
    open.end();
    await other.close();
  });
});

describe("data that an op refuses", () => {
  const cache = () => ({ keys: ones([3, 2, 4, 64]), values: ones([3, 2, 64, 4]) });
  const cached = (starts: number[], lengths: number[], pages: number[]) =>
    attentionCached(
      scope,
      ones([3, 4, 4]),
      cache(),
      {
        starts: ids(...starts),
        lengths: ids(...lengths),
        pages: scope.from(Int32Array.from(pages), [lengths.length, 2]),
      },
      1,
    );
  const settings = {
    temperature: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    repetitionPenalty: 1,
    seen: [] as number[],
    uniform: 0.5,
  };
  const refused: readonly (readonly [string, () => unknown, string])[] = [
    [
      "a token id",
      () => embedding(scope, ones([4, 3]), Int32Array.from([1, 4, 2])),
      "embedding(y f32 [3, 3], table f32 [4, 3], ids i32 [3]): ids[1] is 4, but the table has 4 rows",
    ],
    [
      "a negative token id",
      () => embedding(scope, ones([4, 3]), Int32Array.from([-1])),
      "embedding(y f32 [1, 3], table f32 [4, 3], ids i32 [1]): ids[0] is -1, but the table has 4 rows",
    ],
    [
      "a row",
      () => gatherRows(scope, ones([2, 3]), ids(2)),
      "gatherRows(y f32 [1, 3], x f32 [2, 3], rows i32 [1]): rows[0] is 2, but x has 2 rows",
    ],
    [
      "a target",
      () => tokenLogProbs(scope, ones([2, 3]), ones([5, 3]), ids(0, 7), { inverseTemperature: 1 }),
      "tokenLogProbs(logProb f32 [2], entropy f32 [2], logSumExp f32 [2], meanLogit f32 [2], argmax i32 [2], x f32 [2, 3], weight f32 [5, 3], targets i32 [2], inverseTemperature 1): targets[1] is 7, but weight has 5 rows",
    ],
    [
      "a slot",
      () => kvCacheWrite(cache(), ones([2, 2, 4]), ones([2, 2, 4]), ids(0, 192)),
      "kvCacheWrite(keys f32 [3, 2, 4, 64], values f32 [3, 2, 64, 4], k f32 [2, 2, 4], v f32 [2, 2, 4], slots i32 [2]): slots[1] is 192, but the cache has 192 slots",
    ],
    [
      "a page to copy",
      () => kvCacheCopy(cache(), ids(0, -2), ids(1, 2)),
      "kvCacheCopy(keys f32 [3, 2, 4, 64], values f32 [3, 2, 64, 4], sources i32 [2], targets i32 [2]): sources[1] is -2, but the cache has 3 pages",
    ],
    [
      "starts that fall",
      () => attention(scope, ones([3, 4, 4]), ones([3, 2, 4]), ones([3, 2, 4]), ids(0, 2, 1, 3), 1),
      "starts[2] is 1: starts must begin with 0, never fall and end with the 3 rows",
    ],
    [
      "starts that end early",
      () => attention(scope, ones([3, 4, 4]), ones([3, 2, 4]), ones([3, 2, 4]), ids(0, 2), 1),
      "starts[1] is 2: starts must begin with 0, never fall and end with the 3 rows",
    ],
    [
      "heads that do not divide",
      () => attention(scope, ones([3, 3, 4]), ones([3, 2, 4]), ones([3, 2, 4]), ids(0, 3), 1),
      "3 query heads cannot share 2 key-value heads evenly",
    ],
    [
      "no heads",
      () => attention(scope, ones([3, 0, 4]), ones([3, 2, 4]), ones([3, 2, 4]), ids(0, 3), 1),
      "0 query heads cannot share 2 key-value heads evenly",
    ],
    [
      "a length below the new keys",
      () => cached([0, 3], [2], [0, 1]),
      "lengths[0] is 2: expected the 3 new keys at least and 128, all its pages, at most",
    ],
    [
      "a length beyond the pages",
      () => cached([0, 3], [129], [0, 1]),
      "lengths[0] is 129: expected the 3 new keys at least and 128, all its pages, at most",
    ],
    ["a page", () => cached([0, 3], [66], [0, 3]), "pages[0, 1] is 3, but the cache has 3 pages"],
    [
      "a conversion",
      () => convert(scope.empty([2], "f16"), scope.empty([2], "bf16")),
      "convert(y f16 [2], x bf16 [2]): no conversion from bf16 to f16: one side must be f32, and f32 does not convert to i32",
    ],
    [
      "a seen id",
      () => sample(scope, ones([1, 3]), ones([5, 3]), [{ ...settings, seen: [5] }], 5),
      "seen[0] is 5, but weight has 5 rows",
    ],
    [
      "what may be drawn",
      () => sample(scope, ones([1, 3]), ones([5, 3]), [settings], 6),
      "drawable is 6, but weight has 5 rows",
    ],
    [
      "a probe without end",
      () => kernels.probeFmaForward(ones([2]), 2 ** 40),
      "iterations is 1099511627776, expected 0 to 1000000000",
    ],
  ];
  for (const [what, body, message] of refused) {
    it(`names ${what}; the error sticks until recover(), and later ops are right`, async () => {
      body();
      const later = add(scope, ones([2]), ones([2]));
      const error = await rejected(device.drain());
      expect(error.code).toBe("kernel_stream");
      expect(
        message.includes("(") && !message.startsWith("pages")
          ? error.message
          : error.message.split("): ").at(-1),
      ).toBe(message);
      expect(error.message).toMatch(/^[a-zA-Z]+\(.*\): /);
      expect(await rejected(later.read()), "the same error at every wait").toEqual(error);
      await device.recover();
      expect([...((await add(scope, ones([2]), ones([2])).read()) as Float32Array)]).toEqual([2, 2]);
      expect(await device.checkGuards()).toBe(0);
    });
  }

  it("reports the first error, not the last", async () => {
    embedding(scope, ones([4, 3]), Int32Array.from([9]));
    gatherRows(scope, ones([2, 3]), ids(8));
    expect((await rejected(device.drain())).message).toContain("ids[0] is 9");
  });
});

describe("memory", () => {
  it("refuses what does not fit in memoryLimit, in the name of the op, and goes on when room is made", async () => {
    const small = openDevice({ threads: 1, memoryLimit: 15_000_000 });
    const open = small.scope();
    const x = ones([1000, 1000], open);
    const w = ones([1500, 1000], open);
    expect(thrown(() => linear(open, x, w))).toEqual({
      code: "kernel_memory",
      message:
        "linear: out of memory: f32 [1000, 1500] needs 6000000 bytes, but 10000000 of the device's 15000000 (memoryLimit) are in use",
    });
    expect(thrown(() => open.empty([1e6, 1e6])).code).toBe("kernel_memory");
    open.release(w);
    expect((await linear(open, x, ones([10, 1000], open)).read())[9999]).toBe(1000);
    open.end();
    expect(small.status().bytesInUse).toBe(0);
    await small.close();
  });

  it("takes memory that is free in pieces back from between", async () => {
    const small = openDevice({ threads: 1, memoryLimit: 10_000_000 });
    const open = small.scope();
    const [first, second] = [ones([750_000], open), ones([750_000], open)];
    ones([750_000], open);
    open.release(first);
    const whole = ones([980_000], open); // neither between the others nor behind them
    expect(small.status().reservedBytes).toBeLessThanOrEqual(10_000_000);
    expect((await whole.read()).at(-1)).toBe(1);
    expect(thrown(() => open.empty([100_000])).message).toMatch(
      /^empty: out of memory: f32 \[100000\] needs 400000/,
    );
    open.release(second);
    const again = ones([750_000], open);
    expect(small.status().reservedBytes).toBeLessThanOrEqual(10_000_000);
    expect((await again.read())[0]).toBe(1);
    open.end();
    await small.close();
  });

  it("works below a page of the arena", async () => {
    const tiny = openDevice({ threads: 1, memoryLimit: 10_000 });
    const open = tiny.scope();
    expect([...((await add(open, ones([2], open), ones([2], open)).read()) as Float32Array)]).toEqual([2, 2]);
    expect(thrown(() => open.empty([2500])).message).toBe(
      "empty: out of memory: f32 [2500] needs 10000 bytes, but 192 of the device's 10000 (memoryLimit) are in use",
    );
    open.end();
    await tiny.close();
  });

  it("hands memory out again in another size behind the ops that use it", async () => {
    // 40 MB are used, freed and asked for again in another size while the op that uses them waits in the stream.
    const small = openDevice({ threads: 1, memoryLimit: 60 << 20 });
    const open = small.scope();
    const total = open.empty([1], "f64");
    const x = ones([10, 1 << 20], open);
    await small.drain();
    kernels.probeFmaForward(open.empty([1]), 20_000_000);
    kernels.sumSquaresForward(total, x);
    open.release(x);
    const y = ones([12, 1 << 20], open);
    expect((await total.read())[0]).toBe(10 * 2 ** 20);
    expect((await y.read()).at(-1)).toBe(1);
    open.end();
    await small.close();
  });
});

describe("opening", () => {
  it("refuses a path that is not there and settings that cannot be", () => {
    expect(thrown(() => openDevice({ path: "avx1024" }))).toEqual({
      code: "kernel_device",
      message: `The cpu path "avx1024" is not available here (asked for by the path option); this machine has: ${cpuPaths().join(", ")}.`,
    });
    expect(thrown(() => openDevice({ threads: 0 })).message).toBe(
      "openDevice: threads is 0, expected a whole number from 1 to 1024",
    );
    expect(thrown(() => openDevice({ threads: 1.5 })).code).toBe("kernel_argument");
    expect(thrown(() => openDevice({ memoryLimit: -1 })).message).toBe(
      "openDevice: memoryLimit is -1, expected a whole number of bytes of at least 1",
    );
  });

  it("refuses to measure for ever", async () => {
    expect((await rejected(probeFmaPeak(device, Number.POSITIVE_INFINITY))).message).toBe(
      "probeFmaPeak: seconds is Infinity, expected more than 0 and at most 10",
    );
  });
});

describe("mapped files", () => {
  const folder = mkdtempSync(join(tmpdir(), "posttrain-errors-"));
  const path = join(folder, "bytes");
  writeFileSync(path, new Uint8Array(64));
  afterAll(() => rmSync(folder, { recursive: true }));

  it("refuses what is no file, and what lies outside it", () => {
    expect(thrown(() => new MappedFile(join(folder, "none"))).code).toBe("kernel_file");
    expect(thrown(() => new MappedFile(folder)).message).toBe(
      `mapFile: cannot map ${folder}: not a regular file`,
    );
    expect(thrown(() => new MappedFile(`${path}\0.txt`)).code).toBe("kernel_argument");
    const file = new MappedFile(path);
    expect(thrown(() => file.tensor(scope, 32, "f32", [9])).message).toBe(
      "mapTensor: f32 [9] at byte 32 ends beyond the file's 64 bytes",
    );
    expect(thrown(() => file.tensor(scope, 2, "f32", [1])).message).toBe(
      "mapTensor: byte 2 is not aligned for f32",
    );
    expect(thrown(() => file.tensor(scope, 0, "q4" as never, [1])).message).toBe(
      'mapTensor: dtype is "q4", expected one of f32, f64, bf16, f16, i32',
    );
    const x = file.tensor(scope, 0, "f32", [16]);
    expect(thrown(() => fill(x, 1)).message).toBe(
      "fill: y f32 [16] is read-only memory of a file, expected a tensor that can be written",
    );
    expect(thrown(() => x.write(new Float32Array(16))).message).toBe(
      "write: the tensor f32 [16] is read-only memory of a file",
    );
  });
});
