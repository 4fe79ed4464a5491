// npm run measure:preferences -- MODEL_DIR [PAIRS [TOKENS [STEPS]]]: what a step of dpo (with a kept reference) and of reward costs beside the same sequences
// in fine-tuning, steps in turn, update included; as processor time of the process, which other programs disturb little. TOKENS are those of a
// side, a quarter of it prompt. For docs/benchmarks.md. Needs a build (npm test or npm start make one).
import { openDevice } from "@posttrain/kernels";
import { openTrained, steps, workOf } from "../bench/steps.mjs";

const [folder, pairs = "4", tokens = "128", count = "15"] = process.argv.slice(2);
if (folder === undefined) {
  console.error("usage: npm run measure:preferences -- MODEL_DIR [PAIRS [TOKENS [STEPS]]]");
  process.exit(1);
}
const length = Number(tokens);
const shape = { rows: 2 * Number(pairs), length, asked: Math.floor(length / 4) };
const options = { learningRate: 0, maxGradNorm: 1, activationCheckpointing: false };
const device = openDevice();
console.log(
  `${device.path}, ${device.threads} threads; ${pairs} pairs, ${shape.rows * length} tokens a step, ${count} steps of each in turn; medians`,
);
const language = await openTrained(device, folder, "sft", "f32");
for (const stage of /** @type {const} */ (["dpo", "reward"])) {
  const own = stage === "reward" ? await openTrained(device, folder, stage, "f32") : language;
  const sft = await steps.sft(language.model, language.optimizer, shape, options);
  const step = await steps[stage](own.model, own.optimizer, shape, options);
  await timed(sft);
  await timed(step);
  /** @type {{ sft: number, own: number }[]} */
  const spans = [];
  for (let round = 0; round < Number(count); round++) {
    // Who goes first changes, so that neither always follows the other.
    if (round % 2 === 0) spans.push({ sft: await timed(sft), own: await timed(step) });
    else spans.push(await timed(step).then(async (first) => ({ own: first, sft: await timed(sft) })));
  }
  const middle = {
    sft: median(spans.map((span) => span.sft)),
    own: median(spans.map((span) => span.own)),
    ratio: median(spans.map((span) => span.own / span.sft)),
  };
  const asked = workOf(own.model, stage, shape) / workOf(language.model, "sft", shape);
  console.log(
    `${stage}: ${middle.own.toFixed(1)} ms of processor time, sft ${middle.sft.toFixed(1)} ms; ${stage} / sft ${middle.ratio.toFixed(3)}, of their arithmetic ${asked.toFixed(3)}`,
  );
}
await device.close();

/** @param {() => Promise<unknown>} step */
async function timed(step) {
  const started = process.cpuUsage();
  await step();
  await device.drain();
  const { user, system } = process.cpuUsage(started);
  return (user + system) / 1000;
}

/** @param {readonly number[]} values */
function median(values) {
  return [...values].sort((x, y) => x - y)[Math.floor(values.length / 2)] ?? 0;
}
