// npm run expect:gpu: what a step is expected to take on an A100 and an H100, into docs/gpu.md between its two marks. Shapes of tiles and threads are read from
// the kernels, registers from bench/cuda-resources.csv where npm run build:cuda has written it (else what the sums alone take), memory from the training step itself, run dry. What is
// typed here are facts of the chips and of the models, each with its source.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./command.mjs";

/**
 * @typedef {{ name: string, sms: number, clock: number, tensorClock: number, fma: number, tensor: number, mma: number, bandwidth: number, shared: number }} Chip
 *   clock in GHz (boost), and of the tensor cores; fma: fp32 multiply-adds a clock of an SM; tensor: bf16 ones, dense; mma: share of those that mma.sync reaches; bandwidth in GB/s;
 *   shared: KiB of an SM
 * @typedef {{ name: string, hidden: number, layers: number, heads: number, kvHeads: number, headDim: number, ffn: number, vocabulary: number, tied: boolean }} Shape
 */

/** NVIDIA A100 and H100 Tensor Core GPU Architecture (white papers, 2020 and 2022); mma.sync on sm_90: Luo et al., arXiv 2402.13499. @type {readonly Chip[]} */
const chips = [
  {
    name: "A100 80 GB",
    sms: 108,
    clock: 1.41,
    tensorClock: 1.41,
    fma: 64,
    tensor: 1024,
    mma: 1,
    bandwidth: 2039,
    shared: 164,
  },
  {
    name: "H100 SXM",
    sms: 132,
    clock: 1.98,
    tensorClock: 1.83,
    fma: 128,
    tensor: 2048,
    mma: 0.62,
    bandwidth: 3350,
    shared: 228,
  },
];
/** Of every SM since sm_80 (CUDA Programming Guide): registers, threads, blocks, bytes a clock from shared memory, warp instructions a clock. */
const sm = { registers: 65536, threads: 2048, blocks: 32, sharedBytes: 128, issues: 4 };

/** config.json of Qwen/Qwen2.5-0.5B and Qwen/Qwen2.5-7B. @type {readonly Shape[]} */
const models = [
  {
    name: "Qwen2.5-0.5B",
    hidden: 896,
    layers: 24,
    heads: 14,
    kvHeads: 2,
    headDim: 64,
    ffn: 4864,
    vocabulary: 151936,
    tied: true,
  },
  {
    name: "Qwen2.5-7B",
    hidden: 3584,
    layers: 28,
    heads: 28,
    kvHeads: 4,
    headDim: 128,
    ffn: 18944,
    vocabulary: 152064,
    tied: false,
  },
];
const [rows, length] = [4, 1024];
const tokens = rows * length;

const native = join(root, "packages/kernels/native/cuda");
/** @param {string} file */
const source = (file) => readFileSync(join(native, file), "utf8");
/** The numbers that a pattern finds in a file: it must be there. @param {string} file @param {RegExp} pattern @returns {number[]} */
function numbers(file, pattern) {
  const found = pattern.exec(source(file));
  if (found === null) throw new Error(`${file} has no ${pattern}: its shapes are written otherwise now`);
  return found.slice(1).map(Number);
}

/** The large tiles of the products. */
function tiles() {
  const [bm = 0, bn = 0, tm = 0, tn = 0] = numbers("gemm.cu", /multiply_kernel<(\d+), (\d+), (\d+), (\d+)/);
  const [depth = 0] = numbers("gemm.cu", /DEPTH = (\d+)/);
  const fp32 = {
    ...{ bm, bn, threads: (bm / tm) * (bn / tn), bytes: 4 },
    shared: 2 * depth * (bm + 4 + (bn + 4)) * 4,
    // A step of a warp: its multiply-adds, the 16-byte loads of shared memory, which take four turns of 128 bytes each.
    macs: 32 * tm * tn,
    instructions: tm * tn + (tm + tn) / 4,
    sharedTurns: tm + tn,
    registers: registersOf("gemm.cu", /^"?multiply_kernel<128/),
    leastRegisters: 2 * tm * tn + tm + tn, // a sum and a total each, and a step's numbers
  };
  if (!existsSync(join(native, "gemm_bf16.cu"))) return { fp32, bf16: undefined };
  const [wbm = 0, wbn = 0, wm = 0, wn = 0] = numbers(
    "gemm_bf16.cu",
    /multiply_in<(\d+), (\d+), (\d+), (\d+)/,
  );
  const [deep = 0, stages = 0] = numbers("gemm_bf16.cu", /DEPTH = (\d+), STAGES = (\d+)/);
  const loads = wm / 16 + wn / 16; // ldmatrix.x4 of a step of 16
  const bf16 = {
    ...{ bm: wbm, bn: wbn, threads: (wbm / wm) * (wbn / wn) * 32, bytes: 2 },
    shared: stages * (wbm + wbn) * (deep + 8) * 2,
    macs: wm * wn * 16,
    instructions: (wm / 16) * (wn / 8) + loads,
    sharedTurns: 4 * loads,
    registers: registersOf("gemm_bf16.cu", /^"?multiply_bf16_kernel<128/),
    leastRegisters: (2 * wm * wn) / 32 + 4 * loads,
  };
  return { fp32, bf16 };
}

/** Of the kernel with most on any target; undefined where nothing was built. @param {string} file @param {RegExp} kernel */
function registersOf(file, kernel) {
  const table = join(root, "bench/cuda-resources.csv");
  if (!existsSync(table)) return undefined;
  const found = readFileSync(table, "utf8")
    .split("\n")
    .filter((line) => line.startsWith(`${file},`) && kernel.test(line.slice(file.length + 1)))
    .map((line) => Number(/,sm_\w+,(\d+),/.exec(line)?.[1]));
  return found.length === 0 ? undefined : Math.max(...found);
}

/** @typedef {NonNullable<ReturnType<typeof tiles>["bf16"]>} Tile */

/** Blocks of an SM at once. @param {Chip} chip @param {Tile} tile */
const blocksAtOnce = (chip, { threads, shared, leastRegisters, registers = leastRegisters }) =>
  Math.max(
    1,
    Math.floor(
      Math.min(
        sm.blocks,
        sm.threads / threads,
        (chip.shared * 1024) / (shared + 1024),
        sm.registers / (registers * threads),
      ),
    ),
  );

/** Peak of an SM in multiply-adds a clock. @param {Chip} chip @param {Tile} tile */
const peakOf = (chip, tile) => (tile.bytes === 4 ? chip.fma : chip.tensor);
/** @param {Chip} chip @param {Tile} tile */
const clockOf = (chip, tile) => (tile.bytes === 4 ? chip.clock : chip.tensorClock);

/** Of the peak that the inner loop leaves: multiply-adds, shared memory and instructions go on beside each other; the slowest says. @param {Chip} chip @param {Tile} tile */
function innerShare(chip, tile) {
  const peak = tile.macs / peakOf(chip, tile);
  const units = tile.bytes === 4 ? peak : peak / chip.mma;
  return peak / Math.max(units, tile.sharedTurns * (128 / sm.sharedBytes), tile.instructions / sm.issues);
}

/** Seconds of a product: waves of tiles at that share, or memory. @param {Chip} chip @param {Tile} tile @param {number} m @param {number} n @param {number} k */
function product(chip, tile, m, n, k) {
  const blocks = Math.ceil(m / tile.bm) * Math.ceil(n / tile.bn);
  const waves = Math.ceil(blocks / (chip.sms * blocksAtOnce(chip, tile)));
  const perWave = blocksAtOnce(chip, tile) * tile.bm * tile.bn * k;
  const compute =
    (waves * perWave) / (peakOf(chip, tile) * innerShare(chip, tile) * clockOf(chip, tile) * 1e9);
  const moved = tile.bytes * (m * k + n * k) + 4 * m * n;
  return Math.max(compute, moved / (chip.bandwidth * 1e9));
}

/** Multiply-adds of a product. @param {readonly [number, number, number]} mnk */
const macsOf = ([m, n, k]) => m * n * k;

/** A step of fine-tuning with checkpointing: forward, again, and the two products of the way back. @param {Chip} chip @param {Tile} tile @param {Shape} model */
function step(chip, tile, model) {
  const { hidden, layers, heads, kvHeads, headDim, ffn, vocabulary } = model;
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  /** @type {readonly (readonly [number, number])[]} outputs and inputs of a layer's maps */
  const maps = [
    [q, hidden],
    [kv, hidden],
    [kv, hidden],
    [hidden, q],
    [ffn, hidden],
    [ffn, hidden],
    [hidden, ffn],
  ];
  let products = 0;
  let macs = 0;
  /** @param {number} n @param {number} k @param {number} forwards */
  const add = (n, k, forwards) => {
    products +=
      forwards * product(chip, tile, tokens, n, k) +
      product(chip, tile, tokens, k, n) +
      product(chip, tile, n, k, tokens);
    macs += 3 * macsOf([tokens, n, k]); // what is done again is not counted as done
  };
  for (const [n, k] of maps) for (let i = 0; i < layers; i++) add(n, k, 2);
  add(vocabulary, hidden, 2);
  // Pairs of a query and a key, causal: two products forward, again, and seven on the way back, whose two kernels make the weights each. In fp32 at the share of a
  // product with 4 x 4 a thread; in bf16 a warp has 16 rows and 64 columns (attention_bf16.h). Beside them each of the four times some 25 instructions
  // a pair for the weight, of which exp_one (lanes.h) has 16.
  const pairs = (rows * length * (length + 1)) / 2;
  const attention =
    tile.bytes === 4
      ? { ...tile, macs: 32 * 16, instructions: 16 + 2, sharedTurns: 8 }
      : { ...tile, macs: 16 * 64 * 16, instructions: 8 + 5, sharedTurns: 4 * 5 };
  const attended = layers * heads * pairs * headDim;
  const attends =
    (attended * (2 + 2 + 7)) /
      (chip.sms * peakOf(chip, tile) * innerShare(chip, attention) * clockOf(chip, tile) * 1e9) +
    (layers * heads * pairs * 4 * 25) / (chip.sms * sm.issues * 32 * chip.clock * 1e9);
  macs += attended * 6;
  // Bytes of ops that do little with each number: norms, RoPE, SwiGLU, sums, twice forward and once back, read and written in fp32.
  const little = layers * tokens * 4 * (3 * (4 * hidden + 2 * (q + kv)) + 3 * 3 * ffn);
  const parameters = parametersOf(model);
  // AdamW reads and writes parameter, both moments and the gradient, which it clears.
  const updated = parameters * (tile.bytes === 4 ? 32 : 34);
  const seconds = {
    products,
    attention: attends,
    elementwise: little / (chip.bandwidth * 1e9),
    AdamW: updated / (chip.bandwidth * 1e9),
  };
  const total = Object.values(seconds).reduce((sum, one) => sum + one, 0);
  return {
    seconds,
    total,
    share: macs / (total * chip.sms * peakOf(chip, tile) * clockOf(chip, tile) * 1e9),
  };
}

/** @param {Shape} model */
function parametersOf({ hidden, layers, heads, kvHeads, headDim, ffn, vocabulary, tied }) {
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  const layer = q * hidden + q + 2 * (kv * hidden + kv) + hidden * q + 3 * ffn * hidden + 2 * hidden;
  return layers * layer + hidden + vocabulary * hidden * (tied ? 1 : 2);
}

/** @param {readonly (readonly (string | number)[])[]} lines */
function table(lines) {
  const [head = [], ...body] = lines;
  return [head, head.map(() => "---"), ...body].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
/** @param {number} seconds */
const ms = (seconds) =>
  seconds < 0.1 ? (seconds * 1000).toPrecision(3) : Math.round(seconds * 1000).toLocaleString("en");
/** @param {number} share */
const percent = (share) => `${(100 * share).toFixed(0)} %`;
/** @param {number} bytes */
const gib = (bytes) => (bytes / 2 ** 30).toFixed(2);

/** Memory by component, of the dry step on the ops of the cuda backend. */
async function memory() {
  const { trainingMemory, adamwRule } = await import("../packages/train/dist/index.js");
  const { sftSteps } = await import("../packages/sft/dist/plan.js");
  const { parseModelConfig } = await import("../packages/model/dist/index.js");
  const backend = join(root, "packages/kernels/build/release/test/cuda-on-fake.so");
  const lines = [["fp32, checkpointing; GiB", ...models.map(({ name }) => name)]];
  /** @type {Awaited<ReturnType<typeof trainingMemory>>[]} */
  const found = [];
  for (const model of models) {
    const config = parseModelConfig(
      {
        ...{
          architectures: ["Qwen2ForCausalLM"],
          model_type: "qwen2",
          hidden_act: "silu",
          rms_norm_eps: 1e-6,
          rope_theta: 1e6,
        },
        ...{
          hidden_size: model.hidden,
          num_hidden_layers: model.layers,
          num_attention_heads: model.heads,
          num_key_value_heads: model.kvHeads,
        },
        ...{
          intermediate_size: model.ffn,
          vocab_size: model.vocabulary,
          max_position_embeddings: 32768,
          tie_word_embeddings: model.tied,
        },
      },
      model.name,
    );
    const inputIds = Int32Array.from({ length }, (_, i) => i);
    const row = { id: "", line: 0, parents: [], inputIds, labels: inputIds };
    found.push(
      await trainingMemory(
        {
          model: config,
          activationCheckpointing: true,
          rule: adamwRule({ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 }),
          threads: 1,
          backend,
        },
        sftSteps,
        [Array.from({ length: rows }, () => row)],
      ),
    );
  }
  for (const part of /** @type {const} */ ([
    "weights",
    "gradients",
    "moments",
    "held",
    "working",
    "scratch",
    "arena",
  ]))
    lines.push([
      part === "arena" ? "all but scratch, with gaps" : part,
      ...found.map((one) => gib(one[part])),
    ]);
  return table(lines);
}

const { fp32, bf16 } = tiles();
/** @type {readonly (readonly [string, Tile])[]} */
const sorts = [["fp32", fp32], ...(bf16 === undefined ? [] : [/** @type {const} */ (["bf16", bf16])])];
const shapes = table([
  [
    "",
    "tile",
    "threads",
    "shared KiB",
    "registers",
    ...chips.flatMap(({ name }) => [`${name}: blocks an SM`, "share of peak, inner loop"]),
  ],
  ...sorts.map(([name, tile]) => [
    name,
    `${tile.bm} x ${tile.bn}`,
    tile.threads,
    (tile.shared / 1024).toFixed(1),
    tile.registers ?? `${tile.leastRegisters} at least`,
    ...chips.flatMap((chip) => [blocksAtOnce(chip, tile), percent(innerShare(chip, tile))]),
  ]),
]);
const steps = table([
  [
    "step of 4 x 1,024 tokens, ms",
    "dtype",
    "products",
    "attention",
    "elementwise",
    "AdamW",
    "in all",
    "tokens/s",
    "share of peak",
  ],
  ...models.flatMap((model) =>
    chips.flatMap((chip) =>
      sorts.map(([name, tile]) => {
        const { seconds, total, share } = step(chip, tile, model);
        return [
          `${model.name}, ${chip.name}`,
          name,
          ...Object.values(seconds).map(ms),
          ms(total),
          Math.round(tokens / total).toLocaleString("en"),
          percent(share),
        ];
      }),
    ),
  ),
]);
const decoding = table([
  ["decoding one sequence, ms a token", ...chips.map(({ name }) => name)],
  ...models.flatMap((model) =>
    sorts.map(([name, tile]) => [
      `${model.name}, ${name}`,
      ...chips.map((chip) => ms((tile.bytes * parametersOf(model)) / (chip.bandwidth * 1e9))),
    ]),
  ),
]);

const file = join(root, "docs/gpu.md");
const [begin, end] = ["<!-- expected: npm run expect:gpu -->", "<!-- end -->"];
const text = readFileSync(file, "utf8");
const [before = "", rest = ""] = text.split(begin);
const made = ["", shapes, "", steps, "", decoding, "", await memory(), ""].join("\n");
writeFileSync(file, `${before}${begin}\n${made}\n${end}${rest.split(end)[1] ?? ""}`);
console.log(made);
