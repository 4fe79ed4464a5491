// npm run measure:seeds -- [SEED...]: what DPO and GRPO gain over the fine-tuning that they start from, over several seeds (default 1 2 3), by the
// quickstart's own recipe: the same weights. For each seed a folder runs/seeds/N with answers.jsonl, every held-out problem and its answers; one that is
// there is not made again. Then the gains, paired by problem, and pooled. For docs/quickstart-seeds.md. Needs a build (npm test or npm start make one).
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { pairedGain } from "@posttrain/data";
import { openDevice } from "@posttrain/kernels";
import { distinctArithmeticProblems, runSft, shortOperands } from "@posttrain/sft";
import { gradeModel } from "../packages/cli/dist/quickstart/evaluate.js";
import { makePairs, optimizeOnPairs, reinforce } from "../packages/cli/dist/quickstart/later-stages.js";
import {
  branchStep,
  trainingConfig,
  trainingRows,
  writeLines,
  writeTrainingRows,
} from "../packages/cli/dist/quickstart/recipe.js";
import { writeTinyModel } from "../packages/cli/dist/quickstart/tiny-model.js";

const heldOutProblems = 500;
/** @typedef {{ sft: boolean, dpo: boolean, grpo: boolean }} Right of one problem */

const seeds = process.argv.slice(2).map(Number);
/** @type {Right[]} */
const pooled = [];
for (const seed of seeds.length > 0 ? seeds : [1, 2, 3]) {
  const run = join("runs", "seeds", String(seed));
  const file = join(run, "answers.jsonl");
  if (!existsSync(file)) await answer(seed, run, file);
  const rows = readFileSync(file, "utf8").trim().split("\n");
  const right = rows.map((row) => /** @type {Right} */ (JSON.parse(row)));
  tell(`seed ${seed}`, right);
  pooled.push(...right);
}
tell("pooled", pooled);

/**
 * @param {number} seed
 * @param {string} run
 * @param {string} file
 */
async function answer(seed, run, file) {
  await rm(run, { recursive: true, force: true });
  await mkdir(run, { recursive: true });
  const [base, data] = [join(run, "model"), join(run, "training.jsonl")];
  const asked = /** @type {const} */ ({ seed, split: "heldOut", lengths: shortOperands });
  const problems = distinctArithmeticProblems(heldOutProblems, asked);
  const device = openDevice();
  try {
    await writeTinyModel(device, base, seed);
    await writeTrainingRows(data, seed, trainingRows);
    const stop = new AbortController();
    const config = trainingConfig({ model: base, data, outputDir: join(run, "sft"), seed });
    const onStep = (/** @type {{ step: number }} */ { step }) => {
      if (step === branchStep) stop.abort();
    };
    const { checkpoint: start } = await runSft(config, device, { onStep }, stop.signal);
    const paths = { run, base, start, seed };
    await makePairs(device, paths, () => undefined);
    const dpo = await optimizeOnPairs(device, paths, () => undefined);
    const grpo = await reinforce(device, { ...paths, policy: dpo.checkpoint }, () => undefined);
    const graded = {
      sft: await gradeModel(device, start, problems),
      dpo: await gradeModel(device, dpo.checkpoint, problems),
      grpo: await gradeModel(device, grpo.checkpoint, problems),
    };
    const rows = problems.map((problem, i) => ({
      problem,
      sft: graded.sft[i]?.correct,
      dpo: graded.dpo[i]?.correct,
      grpo: graded.grpo[i]?.correct,
      texts: { sft: graded.sft[i]?.text, dpo: graded.dpo[i]?.text, grpo: graded.grpo[i]?.text },
    }));
    await writeLines(file, rows);
  } finally {
    await device.close();
  }
}

/**
 * @param {string} name
 * @param {readonly Right[]} right
 */
function tell(name, right) {
  const count = (/** @type {keyof Right} */ stage) => right.filter((one) => one[stage]).length;
  const stages = /** @type {const} */ (["sft", "dpo", "grpo"]);
  console.log(
    `${name}: right of ${right.length}: ${stages.map((stage) => `${stage} ${count(stage)}`).join(", ")}`,
  );
  for (const [before, after] of /** @type {const} */ ([
    ["sft", "dpo"],
    ["dpo", "grpo"],
    ["sft", "grpo"],
  ])) {
    const gained = right.filter((one) => one[after] && !one[before]).length;
    const lost = right.filter((one) => one[before] && !one[after]).length;
    const { gain, low, high } = pairedGain(gained, lost, right.length);
    const points = (/** @type {number} */ share) => (100 * share).toFixed(1);
    console.log(
      `  ${after} over ${before}: ${points(gain)} points (${points(low)} to ${points(high)}); ${gained} became right, ${lost} wrong`,
    );
  }
}
