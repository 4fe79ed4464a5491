// npm run bench -- sft|dpo|reward|grpo|generation --model DIR [--dtype f32|bf16] [--rows 4] [--length 1024] [--threads N]: an optimizer step and generation of a real
// model (a Hugging Face folder), held against what the machine shows in the same run. In dpo and reward two rows make a pair, the first quarter of
// them its prompt; a step of grpo samples 8 responses of --length tokens to each of --rows prompts of 64 and learns from them. Each variant is a process of its own, so that its peak of resident memory is its own. bench/peers puts other programs beside
// it. Takes minutes.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openTrained, steps as stageSteps, tokensOf, workOf } from "./steps.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const { report } = await import(`${root}packages/kernels/build/bench/bench/results.js`);
const measuring = await import(`${root}packages/kernels/build/bench/bench/measure.js`);

/**
 * @typedef {import("./steps.mjs").Stage} Stage
 * @typedef {{ kind: Stage | "grpo" | "generation", dtype: "f32" | "bf16", checkpointing?: boolean, sequences?: number }} Variant
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
const trained = /** @type {const} */ (["sft", "dpo", "reward"]);
/** Least shares of the peak that a step of sft should reach. @type {Partial<Record<"f32" | "bf16" | "amx", { plain: number, recomputed: number }>>} */
const targets = { f32: { plain: 0.7, recomputed: 0.58 }, amx: { plain: 0.2, recomputed: 0.16 } };
const promptLength = 64;
const newTokens = 64;
/** Responses to a prompt of grpo. */
const samples = 8;
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
    "usage: npm run bench -- sft|dpo|reward|grpo|generation --model DIR [--dtype f32|bf16] [--rows 4] [--length 1024] [--steps 3]",
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
    ...[...trained, /** @type {const} */ ("grpo")]
      .filter((kind) => kinds.includes(kind))
      .flatMap((kind) => [false, true].map((checkpointing) => ({ kind, dtype, checkpointing })))
      .filter(({ checkpointing }) => [undefined, String(checkpointing)].includes(values.checkpointing)),
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
  if (kind !== "generation") {
    const { plain, recomputed } = (amx && dtype === "bf16" ? targets.amx : targets[dtype]) ?? {};
    const target = kind === "sft" ? (checkpointing ? recomputed : plain) : undefined;
    report({
      ...common,
      what: `step${checkpointing ? ", checkpointing" : ""}`,
      shape: kind === "grpo" ? `${rows} x ${samples} x ${length}` : `${rows} x ${length}`,
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

/** @param {Variant} variant @returns {Promise<Found>} */
async function measureOne(variant) {
  const { kind } = variant;
  const found =
    kind === "generation"
      ? await generation(variant)
      : kind === "grpo"
        ? await reinforcing(variant)
        : await training(kind, variant);
  const residentMb = process.resourceUsage().maxRSS / 1024;
  return { ...found, residentMb, path: device.path, threads: device.threads };
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

/** @param {Stage} stage @param {Variant} variant */
async function training(stage, { dtype, checkpointing = false }) {
  const { model, optimizer } = await openTrained(device, folder, stage, dtype);
  const shape = { rows, length, asked: stage === "sft" ? 0 : Math.floor(length / 4) };
  const options = { learningRate: 1e-5, maxGradNorm: 1, activationCheckpointing: checkpointing };
  const step = await stageSteps[stage](model, optimizer, shape, options);
  await step();
  const limit = dtype === "bf16" && device.path === "amx" ? "AMX peak" : "fp32 peak";
  const found = await measured(step, limit, workOf(model, stage, shape), rows * length);
  model.scope.end();
  return found;
}

/** A step of grpo, all but grading. @param {Variant} variant */
async function reinforcing({ dtype, checkpointing = false }) {
  const [{ policyStep }, { forwardWork, generate, policySampling }] = await Promise.all([
    import("@posttrain/grpo"),
    import("@posttrain/model"),
  ]);
  const { model, optimizer } = await openTrained(device, folder, "sft", dtype);
  const { config } = model;
  const requests = Array.from({ length: rows }, (_, row) => ({
    promptIds: tokensOf(promptLength, config.vocabSize, row),
    ...{ samples, row, visit: 0 },
    settings: { ...policySampling, maxNewTokens: length, stopIds: [] },
  }));
  /** @type {Omit<import("@posttrain/grpo").PolicyStepOptions, "learningRate" | "maxGradNorm" | "activationCheckpointing">} */
  const loss = {
    ...{ temperature: 1, epsilonLow: 0.2, epsilonHigh: 0.2, dualClip: undefined },
    ...{ beta: 0, klTimesRatio: false, onPolicy: true },
    ratio: "token",
    surrogate: "clip",
    kl: "k3",
  };
  const update = { learningRate: 1e-5, maxGradNorm: 1, activationCheckpointing: checkpointing };
  const once = async () => {
    const drawable = config.vocabSize;
    const responses = await generate(model, requests, { seed: 1, stream: "training", drawable });
    const batch = responses.map(({ request, sample, ids, logProbs }) => ({
      ...{ line: request + 1, completionIds: ids, oldLogProbs: logProbs },
      promptIds: requests[request]?.promptIds ?? new Int32Array(0),
      ...{ advantage: sample % 2 === 0 ? 1 : -1, weight: 1 / (rows * samples * length) },
    }));
    await policyStep(model, optimizer, [batch], { ...update, ...loss });
  };
  await once();
  const whole = forwardWork(
    config,
    Array(rows * samples).fill(promptLength + length),
    rows * samples * length,
  );
  const shared = (samples - 1) * forwardWork(config, Array(rows).fill(promptLength), 0).layers;
  const work = 4 * (whole.layers + whole.head) - shared;
  const limit = dtype === "bf16" && device.path === "amx" ? "AMX peak" : "fp32 peak";
  const found = await measured(once, limit, work, rows * samples * length);
  model.scope.end();
  return found;
}

/** @param {Variant} variant */
async function generation({ dtype, sequences = 1 }) {
  const { generate, loadModel, policySampling, parameterCount } = await import("@posttrain/model");
  const model = await loadModel(device, folder, { dtype });
  const { config } = model;
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
  const bytes = newTokens * parameterCount(config) * (dtype === "bf16" ? 2 : 4);
  const context = promptLength + newTokens;
  const operations =
    sequences *
    context *
    (2 * parameterCount(config) + 2 * config.layers * config.heads * config.headDim * context);
  const [limit, cost] =
    sequences <= 8
      ? /** @type {const} */ (["read", bytes])
      : /** @type {const} */ (["fp32 peak", operations]);
  const found = await measured(once, limit, cost, sequences * newTokens);
  model.scope.end();
  return found;
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
