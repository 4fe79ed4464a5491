// npm run bench -- sft|generation --model DIR [--dtype f32|bf16] [--rows 4] [--length 1024] [--threads N]: an optimizer step and generation of a real
// model (a Hugging Face folder), held against what the machine shows in the same run. Each variant is a process of its own, so that its peak of
// resident memory is its own. bench/peers puts other programs beside it. Takes minutes.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const { report } = await import(`${root}packages/kernels/build/bench/bench/results.js`);
const measuring = await import(`${root}packages/kernels/build/bench/bench/measure.js`);

/**
 * @typedef {{ kind: "sft" | "generation", dtype: "f32" | "bf16", checkpointing?: boolean, sequences?: number }} Variant
 * @typedef {{ milliseconds: number, cpuSeconds: number, tokensPerSecond: number, share: number, cpuShare: number, roof: string, roofRate: number,
 *   residentMb: number, path: string, threads: number, rate: number, unit: "GFLOP/s" | "GB/s" }} Found
 */

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: "string" },
    dtype: { type: "string" },
    rows: { type: "string", default: "4" },
    length: { type: "string", default: "1024" },
    steps: { type: "string", default: "3" },
    threads: { type: "string" },
    sequences: { type: "string", default: "1,8,64,128" },
    checkpointing: { type: "string" },
    one: { type: "string" },
    peak: { type: "boolean", default: false },
    profile: { type: "boolean", default: false },
  },
});
/** @param {string} line */
const say = (line) => void process.stdout.write(`${line}\n`);
const [rows, length, steps] = [Number(values.rows), Number(values.length), Number(values.steps)];
const promptLength = 64;
const newTokens = 64;
const { openDevice } = await import("@posttrain/kernels");
const device = openDevice(values.threads === undefined ? {} : { threads: Number(values.threads) });
if (values.peak) {
  // For bench/peers: {wall, cpu}, fp32 operations a second.
  await measuring.probe(device, "fp32 peak"); // wakes the cores up
  const found = [];
  for (let i = 0; i < 5; i++) found.push(await measuring.probe(device, "fp32 peak"));
  const [wall, cpu] = [found.map((rate) => rate.wall), found.map((rate) => rate.cpu)].map(measuring.median);
  say(JSON.stringify({ wall, cpu }));
  await device.close();
  process.exit();
}
if (values.model === undefined) {
  process.stderr.write(
    "usage: npm run bench -- sft|generation --model DIR [--dtype f32|bf16] [--rows 4] [--length 1024] [--steps 3]",
  );
  process.exit(1);
}
const folder = values.model;

if (values.one !== undefined) {
  const found = await measureOne(JSON.parse(values.one));
  process.stdout.write(`${JSON.stringify(found)}\n`);
} else {
  for (const variant of variants()) {
    const found = await inOwnProcess(variant);
    if (found !== undefined) tell(variant, found);
  }
}
await device.close();

/** @returns {Variant[]} */
function variants() {
  const dtypes = /** @type {const} */ (["f32", "bf16"]).filter((dtype) =>
    [undefined, dtype].includes(/** @type {never} */ (values.dtype)),
  );
  const kinds = positionals.length > 0 ? positionals : ["sft", "generation"];
  return dtypes.flatMap((dtype) => [
    ...(kinds.includes("sft") ? [false, true] : [])
      .filter((checkpointing) => [undefined, String(checkpointing)].includes(values.checkpointing))
      .map((checkpointing) => /** @type {const} */ ({ kind: "sft", dtype, checkpointing })),
    ...(kinds.includes("generation") ? values.sequences.split(",").map(Number) : []).map(
      (sequences) => /** @type {const} */ ({ kind: "generation", dtype, sequences }),
    ),
  ]);
}

/** @param {Variant} variant @returns {Promise<Found | undefined>} */
function inOwnProcess(variant) {
  const flags = Object.entries({ ...values, one: JSON.stringify(variant) }).flatMap(([name, value]) =>
    typeof value === "boolean" ? (value ? [`--${name}`] : []) : [`--${name}`, String(value)],
  );
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), ...flags], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (part) => {
      output += part;
    });
    child.on("close", (code) => {
      const lines = output.trim().split("\n");
      for (const line of lines.slice(0, -1)) say(line);
      if (code === 0) resolve(JSON.parse(lines.at(-1) ?? ""));
      else {
        say(`${JSON.stringify(variant)}: ended with exit code ${code}`);
        resolve(undefined);
      }
    });
  });
}

/** @param {Variant} variant @param {Found} found */
function tell(variant, found) {
  const { kind, dtype, checkpointing, sequences } = variant;
  const amx = found.path === "amx";
  const remark = `${found.tokensPerSecond.toFixed(0)} tokens/s, ${found.residentMb.toFixed(0)} MiB resident at most`;
  const common = {
    group: kind,
    dtype,
    path: found.path,
    threads: found.threads,
    milliseconds: found.milliseconds,
    rate: found.rate,
    unit: found.unit,
    roof: found.roof,
    roofRate: found.roofRate,
    share: found.share,
    cpuShare: found.cpuShare,
    remark,
  };
  if (kind === "sft") {
    const target =
      dtype === "f32" ? (checkpointing ? 0.58 : 0.7) : amx ? (checkpointing ? 0.16 : 0.2) : undefined;
    report({
      ...common,
      what: `step${checkpointing ? ", checkpointing" : ""}`,
      shape: `${rows} x ${length}`,
      target,
    });
    return;
  }
  const target =
    sequences === 1
      ? dtype === "f32"
        ? 0.8
        : 0.75
      : sequences === 128 && dtype === "f32"
        ? 0.55
        : undefined;
  report({ ...common, what: `${sequences} sequences`, shape: `${promptLength} + ${newTokens}`, target });
}

/** Tokens that every program of the comparison is given. @param {number} count @param {number} vocabulary @param {number} row */
export function tokensOf(count, vocabulary, row) {
  return Int32Array.from({ length: count }, (_, i) => (i * 7919 + row * 104_729 + 13) % vocabulary);
}

/** @param {Variant} variant @returns {Promise<Found>} */
async function measureOne(variant) {
  const { loadModel } = await import("@posttrain/model");
  const model = await loadModel(device, folder, { dtype: variant.dtype, masters: variant.kind === "sft" });
  const found = variant.kind === "sft" ? await sft(model, variant) : await generation(model, variant);
  const residentMb = process.resourceUsage().maxRSS / 1024;
  const told = { ...found, residentMb, path: device.path, threads: device.threads };
  model.scope.end();
  return told;
}

/**
 * Runs what is measured; with --profile says how long each op took, a run of `count`.
 * @param {number} count @param {() => Promise<void>} body
 */
async function profiled(count, body) {
  const before = device.opTimes();
  const start = performance.now();
  await body();
  if (!values.profile) return;
  const whole = (performance.now() - start) / count;
  const times = device
    .opTimes()
    .map(({ op, calls, milliseconds }, i) => ({
      op,
      calls: (calls - (before[i]?.calls ?? 0)) / count,
      milliseconds: (milliseconds - (before[i]?.milliseconds ?? 0)) / count,
    }))
    .filter(({ op, calls }) => calls > 0 && !op.startsWith("probe_"));
  times.sort((x, y) => y.milliseconds - x.milliseconds);
  for (const { op, calls, milliseconds } of times) {
    say(`${op.padEnd(28)} ${calls.toFixed(0).padStart(7)} calls ${milliseconds.toFixed(1).padStart(10)} ms`);
  }
  const sum = times.reduce((total, { milliseconds }) => total + milliseconds, 0);
  say(`in ops ${sum.toFixed(1)} ms of ${whole.toFixed(1)} ms (probes of the machine among these)`);
}

/** @param {import("@posttrain/model").Model} model @param {Variant} variant */
async function sft(model, variant) {
  const { microBatch, sftStep } = await import("@posttrain/sft");
  const { adamwRule, createOptimizer } = await import("@posttrain/train");
  const { parameterCount } = await import("@posttrain/model");
  const { config } = model;
  const optimizer = createOptimizer(
    model,
    adamwRule({ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 }),
  );
  const micro = microBatch(
    Array.from({ length: rows }, (_, row) => {
      const inputIds = tokensOf(length, config.vocabSize, row);
      return { id: String(row), line: row + 1, inputIds, labels: inputIds };
    }),
  );
  const options = {
    learningRate: 1e-5,
    maxGradNorm: 1,
    activationCheckpointing: variant.checkpointing === true,
  };
  // 6 x parameters x tokens; attention: two products of the causal half, forward once and backward twice.
  const tokens = rows * length;
  const work =
    tokens * (6 * parameterCount(config) + 6 * config.layers * config.heads * config.headDim * length);
  const limit = variant.dtype === "bf16" && device.path === "amx" ? "AMX peak" : "fp32 peak";
  const step = () => sftStep(model, optimizer, [micro], options);
  await step();
  return measured(step, limit, work, tokens);
}

/** @param {import("@posttrain/model").Model} model @param {Variant} variant */
async function generation(model, variant) {
  const { generate, policySampling, parameterCount } = await import("@posttrain/model");
  const { config } = model;
  const sequences = variant.sequences ?? 1;
  const requests = Array.from({ length: sequences }, (_, row) => ({
    promptIds: tokensOf(promptLength, config.vocabSize, row),
    samples: 1,
    row,
    visit: 0,
    settings: { ...policySampling, maxNewTokens: newTokens, stopIds: [] },
  }));
  const once = () =>
    generate(model, requests, {
      seed: 1,
      stream: "training",
      drawable: config.vocabSize,
      maxSequences: sequences,
    });
  await once();
  // One sequence reads every weight once a token; many compute what they must, prompts included.
  const bytes = newTokens * parameterCount(config) * (variant.dtype === "bf16" ? 2 : 4);
  const context = promptLength + newTokens;
  const operations =
    sequences *
    context *
    (2 * parameterCount(config) + 2 * config.layers * config.heads * config.headDim * context);
  const [limit, cost] =
    sequences <= 8
      ? /** @type {const} */ (["read", bytes])
      : /** @type {const} */ (["fp32 peak", operations]);
  return measured(once, limit, cost, sequences * newTokens);
}

/**
 * `steps` runs of `body`, each against the limit probed before it. `cost` counts what the limit counts.
 * @param {() => Promise<unknown>} body @param {string} limit @param {number} cost @param {number} tokens
 */
async function measured(body, limit, cost, tokens) {
  /** @type {{ roof: { wall: number, cpu: number }, span: { wall: number, cpu: number } }[]} */
  const samples = [];
  await profiled(steps, async () => {
    for (let i = 0; i < steps; i++) {
      const roof = await measuring.probe(device, limit);
      samples.push({ roof, span: await measuring.timed(async () => void (await body())) });
    }
  });
  const middle = measuring.median;
  const milliseconds = 1000 * middle(samples.map(({ span }) => span.wall));
  return {
    milliseconds,
    cpuSeconds: middle(samples.map(({ span }) => span.cpu)),
    tokensPerSecond: (1000 * tokens) / milliseconds,
    rate: cost / milliseconds / 1e6,
    unit: limit === "read" ? /** @type {const} */ ("GB/s") : /** @type {const} */ ("GFLOP/s"),
    roof: limit,
    roofRate: middle(samples.map(({ roof }) => roof.wall)) / 1e9,
    share: middle(samples.map(({ roof, span }) => cost / span.wall / roof.wall)),
    cpuShare: middle(samples.map(({ roof, span }) => cost / span.cpu / roof.cpu)),
  };
}
