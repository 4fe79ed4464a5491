// The order of bf16 products, written down a second time (gemm_bf16.h, ARCHITECTURE.md) and compared bit for bit on every path: blocks of
// 32, even and odd chains from +0, the padding, the flushed subnormals, what is rounded and what is not. order.test.ts does it for fp32.
import { afterAll, describe, expect, it } from "vitest";
import { linearBackward, tokenLogProbsBackward, tokenLogProbsForward } from "../src/binding.generated.js";
import {
  type Device,
  linear,
  openDevice,
  type Scope,
  sample,
  type Tensor,
  tokenLogProbs,
} from "../src/index.js";
import { Random } from "./cases/case.js";
import { firstDifference, pathsOf } from "./cases/run.js";
import { add, bf16Bits, blocksOf32, byLanes, exp, flushedFma, mul, sub, toBf16 } from "./float32.js";
import * as rule from "./rule.js";
import { at, matrix } from "./rule.js";

const devices = pathsOf({ variant: "bf16" }).map((path) => openDevice({ path, threads: 2 }));
afterAll(async () => {
  for (const device of devices) await device.close();
});

const random = new Random(43);
const normal = (...shape: number[]): Float32Array => random.normal(shape).data as Float32Array;
const rounded = (values: Float32Array): Float32Array => values.map(toBf16);
const bits = (values: Float32Array): Uint16Array => Uint16Array.from(values, bf16Bits);
const expectBits = (
  expected: Readonly<Record<string, Float32Array>>,
  body: (scope: Scope, device: Device) => Readonly<Record<string, Tensor>>,
): Promise<void> => rule.expectBits(devices, expected, body);

/** x (M, K) f32 and w (N, K) bf16 with a bias; y by the rule, from x rounded. */
function product(x: Float32Array, w: Float32Array, bias: Float32Array | undefined, N: number, K: number) {
  const inputs = rounded(x);
  return matrix(x.length / K, N, (m, n) => {
    const total = blocksOf32(
      K,
      (k) => at(inputs, K, m, k),
      (k) => at(w, K, n, k),
    );
    return bias === undefined ? total : flushedFma(1, total, bias[n] as number);
  });
}

describe("linear", () => {
  // One block and less; blocks of columns, of tiles; more than 64 rows are not streamed; then the inner dimension is cut at 1,024 or less.
  it.each([
    [1, 5, 3],
    [3, 70, 31],
    [2, 33, 64],
    [17, 40, 97],
    [5, 35, 600],
    [70, 20, 1100],
    [66, 3, 4200],
  ])("sums %s x %s outputs along %s inputs by blocks of 32, even and odd apart", async (M, N, K) => {
    const [x, w, bias] = [normal(M, K), rounded(normal(N, K)), rounded(normal(N))];
    const y = product(x, w, bias, N, K);
    await expectBits({ y, narrow: rounded(y), same: y, bare: product(x, w, undefined, N, K) }, (scope) => {
      const weight = scope.from(bits(w), [N, K], "bf16");
      const b = scope.from(bits(bias), [N], "bf16");
      const wide = scope.from(x, [M, K]);
      return {
        y: linear(scope, wide, weight, b),
        narrow: linear(scope, wide, weight, b, { dtype: "bf16" }),
        same: linear(scope, scope.from(bits(rounded(x)), [M, K], "bf16"), weight, b),
        bare: linear(scope, wide, weight),
      };
    });
  });

  it.each([
    [3, 70, 40],
    [70, 33, 45],
    [20, 1100, 19],
    [1060, 17, 5],
  ])(
    "sums gradients of %s rows, %s outputs, %s inputs: dx over outputs, dweight over tokens from the stored gradient",
    async (M, N, K) => {
      const [dy, x, w] = [normal(M, N), normal(M, K), rounded(normal(N, K))];
      const [g, inputs] = [rounded(dy), rounded(x)];
      const dx = matrix(M, K, (m, k) =>
        blocksOf32(
          N,
          (n) => at(g, N, m, n),
          (n) => at(w, K, n, k),
        ),
      );
      const start = matrix(N, K, (n, k) => (n % 3) * 0.37 - k);
      const dweight = matrix(N, K, (n, k) =>
        blocksOf32(
          M,
          (m) => at(g, N, m, n),
          (m) => at(inputs, K, m, k),
          at(start, K, n, k),
        ),
      );
      const sums = (values: Float32Array): Float32Array =>
        Float32Array.from({ length: N }, (_, n) =>
          Array.from({ length: M }, (_, m) => at(values, N, m, n)).reduce(add, 0.5),
        );
      await expectBits(
        { dx, dweight, dbias: sums(dy), narrowX: rounded(dx), sameWeight: dweight, roundedBias: sums(g) },
        (scope) => {
          const weight = scope.from(bits(w), [N, K], "bf16");
          const gradients = () => ({
            weight: scope.from(start, [N, K]),
            bias: scope.from(new Float32Array(N).fill(0.5)),
          });
          const [wide, narrow] = [gradients(), gradients()];
          const made = { dx: scope.empty([M, K]), narrowX: scope.empty([M, K], "bf16") };
          linearBackward(
            made.dx,
            wide.weight,
            wide.bias,
            scope.from(dy, [M, N]),
            scope.from(x, [M, K]),
            weight,
          );
          linearBackward(
            made.narrowX,
            narrow.weight,
            narrow.bias,
            scope.from(bits(g), [M, N], "bf16"),
            scope.from(bits(inputs), [M, K], "bf16"),
            weight,
          );
          return {
            ...made,
            dweight: wide.weight,
            dbias: wide.bias,
            sameWeight: narrow.weight,
            roundedBias: narrow.bias,
          };
        },
      );
    },
  );

  it("flushes subnormals that it reads or makes, in chains, sums of chains and totals", async () => {
    const [M, N, K] = [16, 48, 160];
    // Products around 2^-126, of either sign: sums fall below it and rise above it again.
    const scaled = (values: Float32Array, exponent: number): Float32Array =>
      values.map((value) => toBf16(value * 2 ** (exponent + Math.floor(random.uniform() * 6))));
    const x = scaled(normal(M, K), -68);
    const w = scaled(normal(N, K), -68);
    // And inputs that are subnormal themselves, with partners that would make them count.
    for (let k = 0; k < K; k += 7) {
      x[3 * K + k] = toBf16(random.uniform() * 2 ** -127);
      w[5 * K + k] = toBf16(-random.uniform() * 2 ** -127);
      for (let n = 6; n < N; n += 9) w[n * K + k] = 2 ** 100;
      for (let m = 8; m < M; m += 3) x[m * K + k] = -(2 ** 90);
    }
    const y = product(x, w, undefined, N, K);
    const kept = matrix(M, N, (m, n) =>
      Array.from({ length: K }, (_, k) => at(x, K, m, k) * at(w, K, n, k)).reduce((a, b) => a + b, 0),
    );
    const differ = y.filter((value, i) => value === 0 && Math.fround(kept[i] as number) !== 0).length;
    expect(differ, "outputs that flushing makes zero").toBeGreaterThan(20);
    expect(y.filter((value) => Math.abs(value) >= 2 ** -126).length).toBeGreaterThan(100);
    await expectBits({ y }, (scope) => ({
      y: linear(scope, scope.from(x, [M, K]), scope.from(bits(w), [N, K], "bf16")),
    }));
  });

  it("leaves subnormals alone in fp32 ops after a bf16 product, in every thread", async () => {
    for (const device of devices)
      await device.run(async (scope) => {
        const [M, K] = [600, 64];
        const tiny = new Float32Array(M * K).fill(2 ** -140);
        const weight = scope.from(bits(rounded(normal(64, K))), [64, K], "bf16");
        linear(scope, scope.from(normal(M, K), [M, K]), weight);
        const y = linear(
          scope,
          scope.from(tiny, [M, K]),
          scope.from(new Float32Array(K * K).fill(1), [K, K]),
        );
        const found = await y.read();
        expect(
          found.every((value) => value === K * 2 ** -140),
          device.path,
        ).toBe(true);
      });
  });

  it("takes infinities, overflow and NaN as IEEE 754 has them", async () => {
    const [M, N, K] = [6, 40, 70];
    const [x, w] = [rounded(normal(M, K)), rounded(normal(N, K))];
    x[0 * K + 33] = Number.POSITIVE_INFINITY;
    x[1 * K + 69] = Number.NaN;
    x[2 * K + 1] = Number.POSITIVE_INFINITY;
    x[2 * K + 2] = Number.NEGATIVE_INFINITY;
    for (let k = 0; k < K; k++) x[3 * K + k] = toBf16(2 ** 120 * (1 + k));
    for (let n = 0; n < N; n += 5) w[n * K + 33] = 0;
    for (let n = 0; n < N; n += 2) for (let k = 0; k < K; k++) w[n * K + k] = toBf16(2 ** (n - 30));
    const y = product(x, w, undefined, N, K);
    expect(y.filter(Number.isNaN).length).toBeGreaterThan(N);
    expect(y.filter((value) => Math.abs(value) === Number.POSITIVE_INFINITY).length).toBeGreaterThan(N);
    await expectBits({ y, narrow: y.map(toBf16) }, (scope) => {
      const [input, weight] = [scope.from(x, [M, K]), scope.from(bits(w), [N, K], "bf16")];
      return {
        y: linear(scope, input, weight),
        narrow: linear(scope, input, weight, undefined, { dtype: "bf16" }),
      };
    });
  });

  it("gives zeros and the bias without inputs", async () => {
    const bias = rounded(normal(3));
    await expectBits({ y: Float32Array.of(...bias, ...bias) }, (scope) => ({
      y: linear(scope, scope.empty([2, 0]), scope.empty([3, 0], "bf16"), scope.from(bits(bias), [3], "bf16")),
    }));
  });
});

it("leaves the same gradients of 128 tokens in one call or in parts that meet at multiples of 32", async () => {
  const [M, N, K] = [128, 37, 45];
  const [dy, x, w] = [normal(M, N), normal(M, K), bits(rounded(normal(N, K)))];
  for (const device of devices)
    await device.run(async (scope) => {
      const weight = scope.from(w, [N, K], "bf16");
      const gradients = [[128], [64, 64], [32, 96], [32, 32, 32, 32]].map((parts) => {
        const [dweight, dbias] = [
          scope.from(new Float32Array(N * K).fill(0.1), [N, K]),
          scope.from(new Float32Array(N)),
        ];
        let first = 0;
        for (const count of parts) {
          const rows = (values: Float32Array, width: number) =>
            scope.from(values.slice(first * width, (first + count) * width), [count, width]);
          linearBackward(null, dweight, dbias, rows(dy, N), rows(x, K), weight);
          first += count;
        }
        return { dweight, dbias };
      });
      const results = await Promise.all(
        gradients.map(async ({ dweight, dbias }) => [await dweight.read(), await dbias.read()] as const),
      );
      const [whole] = results as [(typeof results)[number]];
      for (const other of results)
        for (const i of [0, 1] as const) expect(firstDifference(whole[i], other[i]), device.path).toBe(-1);
    });
});

it("samples with the log-probabilities that token_log_probs computes, rows alone or together", async () => {
  const [M, C, V] = [70, 72, 2500];
  const [x, w] = [bits(rounded(normal(M, C))), bits(rounded(normal(V, C)))];
  const settings = Array.from({ length: M }, (_, m) => ({
    temperature: 0.7,
    topK: 0,
    topP: 1,
    minP: 0,
    repetitionPenalty: 1,
    seen: [],
    uniform: (m + 0.5) / M,
  }));
  for (const device of devices)
    await device.run(async (scope) => {
      const weight = scope.from(w, [V, C], "bf16");
      const { tokens, logProb } = sample(scope, scope.from(x, [M, C], "bf16"), weight, settings, V);
      const drawn = await logProb.read();
      const together = tokenLogProbs(scope, scope.from(x, [M, C], "bf16"), weight, tokens, {
        inverseTemperature: 1 / 0.7,
      });
      expect(firstDifference(drawn, await together.logProb.read()), device.path).toBe(-1);
      const ids = await tokens.read();
      for (const m of [0, 33, 69]) {
        const alone = tokenLogProbs(
          scope,
          scope.from(x.slice(m * C, (m + 1) * C), [1, C], "bf16"),
          weight,
          scope.from(Int32Array.of(ids[m] as number)),
          { inverseTemperature: 1 / 0.7 },
        );
        expect((await alone.logProb.read())[0], `row ${m} on ${device.path}`).toBe(drawn[m]);
      }
    });
});

describe("token_log_probs", () => {
  const [M, C, V] = [3, 40, 4500];
  const [x, w, dlogProb] = [normal(M, C), rounded(normal(V, C)), normal(M)];
  const targets = Int32Array.of(0, 4499, 2050);
  const factor = Math.fround(1 / 0.7);
  const z = product(x, w, undefined, V, C).map((value) => mul(value, factor));

  it("makes logits as bf16 products and sums them in fp32", async () => {
    const meanLogit = Float32Array.from({ length: M }, (_, m) => {
      let total = 0;
      for (let block = 0; block < V; block += 2048)
        total += byLanes(Math.min(2048, V - block), 0, (j, lane) => add(lane, at(z, V, m, block + j)));
      return total / V;
    });
    await expectBits({ meanLogit }, (scope) => {
      const mean = scope.empty([M]);
      tokenLogProbsForward(
        scope.empty([M]),
        scope.empty([M]),
        scope.empty([M]),
        mean,
        scope.empty([M], "i32"),
        scope.from(x, [M, C]),
        scope.from(bits(w), [V, C], "bf16"),
        scope.from(targets),
        1 / 0.7,
      );
      return { meanLogit: mean };
    });
  });

  it("rounds dz to bf16; sums dx over the vocabulary, dweight over rows from the stored gradient", async () => {
    const lse = Float32Array.of(5, 5.5, 6);
    const dz = matrix(M, V, (m, n) => {
      const rest = exp(sub(at(z, V, m, n), lse[m] as number));
      return toBf16(mul(mul(factor, dlogProb[m] as number), n === targets[m] ? sub(1, rest) : sub(0, rest)));
    });
    const inputs = rounded(x);
    const dx = matrix(M, C, (m, c) =>
      blocksOf32(
        V,
        (n) => at(dz, V, m, n),
        (n) => at(w, C, n, c),
      ),
    );
    const dweight = matrix(V, C, (n, c) =>
      blocksOf32(
        M,
        (m) => at(dz, V, m, n),
        (m) => at(inputs, C, m, c),
        0.25,
      ),
    );
    await expectBits({ dx, dweight }, (scope) => {
      const made = {
        dx: scope.empty([M, C]),
        dweight: scope.from(new Float32Array(V * C).fill(0.25), [V, C]),
      };
      tokenLogProbsBackward(
        made.dx,
        made.dweight,
        scope.from(dlogProb),
        scope.from(x, [M, C]),
        scope.from(bits(w), [V, C], "bf16"),
        scope.from(targets),
        scope.from(lse),
        1 / 0.7,
      );
      return made;
    });
  });
});

it("refuses bf16 beside an f32 weight, and an f32 bias beside a bf16 one", async () => {
  const device = devices[0] as Device;
  const cases: readonly [string, (scope: Scope) => unknown][] = [
    ["x is bf16, but weight is f32", (s) => linear(s, s.empty([2, 3], "bf16"), s.empty([4, 3]))],
    [
      "y is bf16, but weight is f32",
      (s) => linear(s, s.empty([2, 3]), s.empty([4, 3]), undefined, { dtype: "bf16" }),
    ],
    [
      "bias is f32, but weight is bf16",
      (s) => linear(s, s.empty([2, 3]), s.empty([4, 3], "bf16"), s.empty([4])),
    ],
    [
      "x is bf16, but weight is f32",
      (s) =>
        tokenLogProbs(s, s.empty([1, 3], "bf16"), s.empty([4, 3]), s.from(Int32Array.of(1)), {
          inverseTemperature: 1,
        }),
    ],
  ];
  for (const [message, body] of cases) {
    const scope = device.scope();
    body(scope);
    await expect(device.drain(), message).rejects.toThrow(message);
    await device.recover();
    scope.end();
  }
});
