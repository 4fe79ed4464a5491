// npm run measure:sft -- MODEL_DIR ROWS.jsonl [STEPS [ROWS_PER_STEP]]: fine-tunes a real model and sets speed and memory against what the machine
// shows in the same run. For docs/benchmarks.md; takes minutes. Needs a build (npm test or npm start make one).
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDevice, probeFmaPeak } from "@posttrain/kernels";
import { runSft, sftConfig } from "@posttrain/sft";

const [model, data, steps = "20", rows = "20"] = process.argv.slice(2);
if (model === undefined || data === undefined) {
  console.error("usage: npm run measure:sft -- MODEL_DIR ROWS.jsonl [STEPS [ROWS_PER_STEP]]");
  process.exit(1);
}
const output = await mkdtemp(join(tmpdir(), "posttrain-measure-"));
const device = openDevice();
const baseline = process.memoryUsage().rss;
const peakBefore = await probeFmaPeak(device, 1);
const config = sftConfig.parse({
  model_name_or_path: model,
  data,
  output_dir: join(output, "run"),
  max_steps: Number(steps),
  per_device_train_batch_size: Number(rows),
});
/** @type {import("@posttrain/sft").SftStart | undefined} */
let started;
/** @type {{ tokens: number, time: number }[]} */
const timings = [];
let tokensBefore = 0;
try {
  await runSft(config, device, {
    onStart: (run) => {
      started = run;
    },
    onStep: (metrics) => {
      const tokens = metrics.num_tokens - tokensBefore;
      tokensBefore = metrics.num_tokens;
      timings.push({ tokens, time: metrics.step_time });
      console.log(
        `step ${metrics.step} loss ${metrics.loss.toFixed(4)} ${metrics.tokens_per_second.toFixed(0)} tokens/s`,
      );
    },
  });
  const peakAfter = await probeFmaPeak(device, 1);
  const peak = (peakBefore + peakAfter) / 2;
  if (started === undefined) throw new Error("the run ended without having started");
  const { model: trained, prediction } = started;
  const arena = 4 * trained.layout.length;
  const perToken = prediction.work.step / prediction.tokens.step;
  const rates = timings.map(({ tokens, time }) => tokens / time).sort((x, y) => x - y);
  const rate = rates[Math.floor(rates.length / 2)] ?? 0;
  const status = device.status();
  const rss = process.resourceUsage().maxRSS * 1024;
  /** @param {number} bytes */
  const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  console.log(
    `\n${device.path}, ${device.threads} threads; fp32 peak before and after ${(peakBefore / 1e9).toFixed(0)} and ${(peakAfter / 1e9).toFixed(0)} GFLOP/s`,
  );
  console.log(`tokens/s, median of steps: ${rate.toFixed(0)}`);
  console.log(
    `share of the fp32 peak: ${((perToken * rate) / peak).toFixed(3)} (useful work ${(perToken / 1e9).toFixed(3)} GFLOP a token; layers computed twice count once)`,
  );
  console.log(`peak resident ${mib(rss)}; accounted for:`);
  const parts = {
    "parameters, gradients, two moments": 4 * arena,
    "activations, batches, cached blocks": status.reservedBytes - 4 * arena,
    "scratch of the largest op": status.scratchPeakBytes,
    "process before the model": baseline,
  };
  for (const [name, bytes] of Object.entries(parts)) console.log(`  ${name}: ${mib(bytes)}`);
  console.log(`  sum ${mib(Object.values(parts).reduce((a, b) => a + b, 0))}`);
} finally {
  await device.close();
  await rm(output, { recursive: true, force: true });
}
