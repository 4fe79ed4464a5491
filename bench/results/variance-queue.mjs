// npm run results:queue -- --output DIR: what `order: variance` buys over `order: uniform` when both sample the same number of tokens, on the quickstart's
// model, with three mixes of difficulty and three seeds, by the product's own commands. Each part is kept in OUTPUT when it is done, so the same command
// goes on after a stop; OUTPUT/results.md has tables, curves, commands, date and machine. For docs/variance-queue.md. Needs a build (npm test or npm start).
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pairedGain } from "@posttrain/data";
import { arithmeticQuestion, distinctArithmeticProblems, longOperands, shortOperands } from "@posttrain/sft";
import { columnsOf, curve } from "../../packages/cli/dist/curve.js";
import { keptReport, rowsOf } from "./kept-reports.mjs";

const string = /** @type {const} */ ("string");
const { values: flags } = parseArgs({
  options: {
    output: { type: string },
    seeds: { type: string, default: "1,2,3" },
    sft_steps: { type: string, default: "300" },
    prompts: { type: string, default: "128" },
    held_out: { type: string, default: "250" },
    steps: { type: string, default: "64" },
    prompts_per_step: { type: string, default: "8" },
    eval_steps: { type: string, default: "8" },
    learning_rate: { type: string, default: "1e-4" },
  },
});
const { output } = flags;
if (output === undefined) {
  console.error("usage: npm run results:queue -- --output DIR [--FLAG VALUE ...]");
  process.exit(1);
}
const at = (/** @type {readonly string[]} */ ...names) => join(output, ...names);
mkdirSync(output, { recursive: true });

/** @typedef {Record<string, any>} Json */
/** @typedef {"variance" | "uniform"} Order */
/** @typedef {import("@posttrain/sft").ArithmeticProblem} Problem */
const orders = /** @type {const} */ (["variance", "uniform"]);
const evalSteps = Number(flags.eval_steps);

/** @param {string} name @param {readonly string[]} args */
const posttrain = (name, args) => keptReport(output, name, args);

/** @param {string} name @param {readonly Problem[]} problems */
function writeProblems(name, problems) {
  const rows = problems.map((problem) => ({
    prompt: arithmeticQuestion(problem),
    answer: String(problem.answer),
  }));
  writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return at(name);
}

// Problems by what the start model solves of them: sums and differences of one digit and one or two; those of fine-tuning; longer ones than those.
const short = /** @type {const} */ ([
  [1, 1],
  [1, 2],
  [2, 1],
]);
const kinds = /** @type {const} */ (["easy", "trained", "long"]);
const lengths = {
  easy: { ...shortOperands, addition: short, subtraction: short },
  trained: shortOperands,
  long: longOperands,
};
/** Quarters of each kind. @type {Readonly<Record<string, readonly [number, number, number]>>} */
const mixes = { "mostly easy": [3, 1, 0], even: [1, 2, 1], "mostly hard": [0, 1, 3] };

/** @param {string} mix @param {number} seed @returns {readonly Problem[]} */
function mixed(mix, seed) {
  const quarter = Number(flags.prompts) / 4;
  const all = kinds.map((kind, i) => {
    const wanted = quarter * (mixes[mix]?.[i] ?? 0);
    // Three kinds of sums in turn; of easy ones only two, and multiplication has no easier lengths.
    const asked = /** @type {const} */ ({ seed, split: "training", lengths: lengths[kind], first: 300_000 });
    const problems = distinctArithmeticProblems(kind === "easy" ? 2 * wanted : wanted, asked);
    return problems.filter((one) => kind !== "easy" || one.kind !== "multiplication").slice(0, wanted);
  });
  return all.flat();
}

const seeds = flags.seeds.split(",").map(Number);
/** @typedef {{ mix: string, seed: number, order: Order, tokens: number[], accuracy: Map<number, number>, differing: number, drawn: number }} Run */
/** @type {Run[]} */
const runs = [];
/** @type {Map<string, { gained: number, lost: number, total: number }>} */
const pairs = new Map();
/** @type {string[]} */
const ends = [];
for (const seed of seeds) {
  const tiny = posttrain(`data-${seed}`, [
    "quickstart",
    "data",
    "--output_dir",
    at(`tiny-${seed}`),
    "--seed",
    String(seed),
  ]);
  // The quickstart's recipe, ended where it leaves room.
  const { checkpoint: start } = posttrain(`sft-${seed}`, [
    ...[
      "sft",
      "--model_name_or_path",
      tiny["model"],
      "--data",
      tiny["training"],
      "--output_dir",
      at(`sft-${seed}`),
    ],
    ...[
      "--learning_rate",
      "2e-3",
      "--lr_scheduler_type",
      "cosine",
      "--warmup_steps",
      "40",
      "--weight_decay",
      "0.01",
    ],
    ...["--adam_beta2", "0.95", "--per_device_train_batch_size", "32", "--gradient_checkpointing", "false"],
    ...["--max_steps", flags.sft_steps, "--seed", String(seed), "--resume_from_checkpoint"],
  ]);
  const heldOut = writeProblems(
    `held-out-${seed}.jsonl`,
    distinctArithmeticProblems(Number(flags.held_out), { seed, split: "heldOut", lengths: shortOperands }),
  );
  for (const mix of Object.keys(mixes)) {
    const name = `${mix.replaceAll(" ", "-")}-${seed}`;
    const data = writeProblems(`${name}.jsonl`, mixed(mix, seed));
    const both = orders.map((order) => train({ mix, seed, order }, name, { start, data, heldOut }));
    runs.push(...both);
    // Where the one that has sampled less ends, and the last evaluation of the other before it has sampled more.
    const budget = Math.min(...both.map(({ tokens }) => tokens.at(-1) ?? 0));
    const right = both.map((run) => {
      const step = within(run, budget);
      const checkpoint = at(`${name}-${run.order}`, `checkpoint-${step}`);
      ends.push(
        `| ${mix} | ${seed} | ${run.order} | ${step} | ${run.tokens[step - 1]} | ${percent(run.accuracy.get(0) ?? 0)} | ${percent(run.accuracy.get(step) ?? 0)} | ${percent(run.differing / run.drawn)} |`,
      );
      return passed(
        posttrain(`end-${name}-${run.order}`, [
          ...["evaluate", "--model_name_or_path", checkpoint, "--data", heldOut, "--extract", "answer"],
          ...["--max_new_tokens", "64", "--output_dir", at(`end-${name}-${run.order}`)],
        ]),
      );
    });
    const [variance, uniform] = /** @type {[boolean[], boolean[]]} */ (right);
    const gained = variance.filter((own, i) => own && !uniform[i]).length;
    const lost = variance.filter((own, i) => !own && uniform[i]).length;
    for (const of of [mix, "all"]) {
      const known = pairs.get(of) ?? { gained: 0, lost: 0, total: 0 };
      pairs.set(of, {
        gained: known.gained + gained,
        lost: known.lost + lost,
        total: known.total + variance.length,
      });
    }
  }
}

/** @param {Pick<Run, "mix" | "seed" | "order">} of @param {string} name @param {{ start: string, data: string, heldOut: string }} files @returns {Run} */
function train(of, name, { start, data, heldOut }) {
  const { seed, order } = of;
  const dir = at(`${name}-${order}`);
  const batch = 8 * Number(flags.prompts_per_step);
  // The first pass takes about as many tokens as so many steps: the uniform order, which needs none, gets them.
  const more =
    order === "uniform" ? Math.ceil((8 * Number(flags.prompts)) / batch / evalSteps) * evalSteps : 0;
  posttrain(`${name}-${order}`, [
    ...["grpo", "--model_name_or_path", start, "--data", data, "--eval_data", heldOut, "--output_dir", dir],
    ...[
      "--order",
      order,
      "--prepass",
      String(order === "variance"),
      "--max_steps",
      String(Number(flags.steps) + more),
    ],
    ...["--per_device_train_batch_size", String(batch), "--learning_rate", flags.learning_rate],
    ...[
      "--max_completion_length",
      "64",
      "--gradient_checkpointing",
      "false",
      "--least_entropy",
      "0",
      "--stop_on_alarm",
      "false",
    ],
    ...[
      "--eval_steps",
      flags.eval_steps,
      "--save_steps",
      flags.eval_steps,
      "--seed",
      String(seed),
      "--resume_from_checkpoint",
    ],
  ]);
  const lines = rowsOf(join(dir, "metrics.jsonl"));
  /** @type {Run} */
  const run = { ...of, tokens: [], accuracy: new Map(), differing: 0, drawn: 0 };
  for (const line of lines) {
    if (line["eval_accuracy"] !== undefined) run.accuracy.set(line["step"], line["eval_accuracy"]);
    if (line["loss"] === undefined) continue;
    run.tokens.push((run.tokens.at(-1) ?? 0) + line["queue/sampled_tokens"]);
    run.differing += Math.round((1 - line["frac_reward_zero_std"]) * Number(flags.prompts_per_step));
    run.drawn += Number(flags.prompts_per_step) + line["queue/refilled"];
  }
  return run;
}

/** The last evaluated step until which a run has sampled at most `budget` tokens. @param {Run} run @param {number} budget */
function within({ tokens, accuracy }, budget) {
  return (
    [...accuracy.keys()].filter((step) => step > 0 && (tokens[step - 1] ?? 0) <= budget).at(-1) ?? evalSteps
  );
}

/** Accuracy after so many sampled tokens, on the line between two evaluations; from 0 tokens on. @param {Run} run @param {number} sampled */
function accuracyAt({ tokens, accuracy }, sampled) {
  const points = [...accuracy].map(
    ([step, share]) => /** @type {const} */ ([step === 0 ? 0 : (tokens[step - 1] ?? 0), share]),
  );
  const after = points.findIndex(([x]) => x >= sampled);
  const [x1, y1] = points[after === -1 ? points.length - 1 : after] ?? [0, 0];
  const [x0, y0] = points[Math.max(0, (after === -1 ? points.length : after) - 1)] ?? [0, 0];
  return x1 === x0 ? y1 : y0 + ((y1 - y0) * (sampled - x0)) / (x1 - x0);
}

/** @param {Json} report @returns {boolean[]} */
function passed({ files }) {
  return rowsOf(files.samples).map(({ verdict }) => verdict.outcome === "pass");
}
/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

const columns = 60;
const curves = Object.keys(mixes).flatMap((mix) =>
  orders.flatMap((order) => {
    const own = runs.filter((run) => run.mix === mix && run.order === order);
    const most = Math.min(...runs.filter((run) => run.mix === mix).map(({ tokens }) => tokens.at(-1) ?? 0));
    const means = Array.from({ length: columns }, (_, i) => {
      const sampled = (most * i) / (columns - 1);
      return own.reduce((sum, run) => sum + accuracyAt(run, sampled), 0) / own.length;
    });
    const [title, ...chart] = [
      `${mix}, order ${order}: held-out accuracy, mean of ${own.length} seeds, 0 to ${Math.round(most / 1000)} thousand sampled tokens`,
      ...curve(columnsOf(means), { rows: 6, first: 0, last: 0 }, percent).slice(0, -1),
    ];
    return ["```", title, ...chart, "```", ""];
  }),
);
const [cpu] = cpus();
const markdown = [
  `${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores of ${cpu?.model ?? "an unknown processor"}; ${Object.entries(
    flags,
  )
    .filter(([name]) => name !== "output")
    .map(([name, value]) => `--${name} ${value}`)
    .join(" ")}`,
  "",
  "| mix | variance over uniform, points [95 %] | right by variance alone | right by uniform alone | problems |",
  "|---|---|---|---|---|",
  ...[...pairs].map(([mix, { gained, lost, total }]) => {
    const { gain, low, high } = pairedGain(gained, lost, total);
    const points = (/** @type {number} */ share) => (100 * share).toFixed(1);
    return `| ${mix} | ${points(gain)} [${points(low)}, ${points(high)}] | ${gained} | ${lost} | ${total} |`;
  }),
  "",
  "| mix | seed | order | step | sampled tokens | accuracy at the start | accuracy | sampled groups that differ |",
  "|---|---|---|---|---|---|---|---|",
  ...ends,
  "",
  ...curves,
].join("\n");
writeFileSync(at("results.md"), markdown);
console.log(markdown);
