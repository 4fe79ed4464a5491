// npm run results:preferences -- --model DIR --output DIR [--word_problems 2000 ...]: what preference learning does to a real model, by the product's own
// commands. Each part is kept in OUTPUT when it is done, so the same command goes on after a stop; OUTPUT/results.md has the table, the commands, date and
// machine. Files of data are given by flags; a part without its file is left out and named. For docs/results.md. Needs a build (npm test or npm start).
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { keptReport, rowsOf } from "./kept-reports.mjs";
import { wordProblems } from "./word-problems.mjs";

const string = /** @type {const} */ ("string");
const { values: flags } = parseArgs({
  options: {
    model: { type: string },
    base_model: { type: string },
    output: { type: string },
    word_problems: { type: string, default: "2000" },
    held_out: { type: string, default: "500" },
    num_samples: { type: string, default: "8" },
    max_new_tokens: { type: string, default: "256" },
    steps: { type: string, default: "100" },
    pairs_per_step: { type: string, default: "16" },
    reward_steps: { type: string, default: "100" },
    seed: { type: string, default: "1" },
    humaneval: { type: string },
    humaneval_candidates: { type: string },
    gsm8k: { type: string },
    mbpp: { type: string },
    ultrafeedback: { type: string },
    ifeval: { type: string },
    general_rows: { type: string, default: "500" },
  },
});
const { model, output, seed } = flags;
if (model === undefined || output === undefined) {
  console.error("usage: npm run results:preferences -- --model DIR --output DIR [--FLAG VALUE ...]");
  process.exit(1);
}
const at = (/** @type {string} */ name) => join(output, name);
mkdirSync(output, { recursive: true });

/** @typedef {Record<string, any>} Json */
/** @type {string[]} */
const commands = [];
/** @type {[part: string, result: string][]} */
const table = [];

/** A command's report; 5: not everything could be graded, which the report counts. @param {string} name @param {readonly string[]} args */
function posttrain(name, args) {
  commands.push(`npx posttrain ${args.join(" ")}`);
  return keptReport(output, name, args, [0, 4, 5]);
}

/** @param {string} name @param {readonly Json[]} rows */
function writeRows(name, rows) {
  writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return at(name);
}
const percent = (/** @type {number} */ share) => `${(100 * share).toFixed(1)} %`;

/** The mean of differences of the same items and its 95 % interval. @param {readonly number[]} before @param {readonly number[]} after */
function paired(before, after, digits = 4) {
  const differences = after.map((value, i) => value - (before[i] ?? 0));
  const mean = differences.reduce((sum, one) => sum + one, 0) / differences.length;
  const spread = differences.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (differences.length - 1);
  const half = 1.96 * Math.sqrt(spread / differences.length);
  return `${mean.toFixed(digits)} [${(mean - half).toFixed(digits)}, ${(mean + half).toFixed(digits)}], ${differences.length} items`;
}

/** @param {string} name @param {readonly string[]} args */
function makePairs(name, args) {
  const report = posttrain(name, ["dpo", "pairs", ...args, "--output", at(`${name}.jsonl`)]);
  for (const { verifier, queries, responses, outcomes, paired: with_, pairs } of report["yields"]) {
    const judged = responses - outcomes["infrastructure-error"];
    table.push([
      name,
      `${pairs} pairs of ${queries} queries (${with_} with a pair), ${responses} responses, ${verifier}: ${percent(outcomes.pass / judged)} passed, ${outcomes["infrastructure-error"]} not graded`,
    ]);
  }
}

const sampling = [
  "--num_samples",
  flags.num_samples,
  "--max_new_tokens",
  flags.max_new_tokens,
  "--seed",
  seed,
];
if (flags.humaneval_candidates !== undefined && flags.humaneval !== undefined)
  makePairs("humaneval-pairs", [
    "--responses",
    flags.humaneval_candidates,
    "--data",
    flags.humaneval,
    "--raw",
  ]);
else table.push(["humaneval-pairs", "not run: --humaneval, --humaneval_candidates"]);
if (flags.gsm8k !== undefined)
  makePairs("gsm8k-pairs", ["--responses", flags.gsm8k, "--extraction", "lenient"]);
else table.push(["gsm8k-pairs", "not run: --gsm8k"]);

// Word problems of the level that the model solves in 20 to 60 % of its tries, nearest to 40 %.
const levels = [
  { steps: 1, largest: 10 },
  { steps: 1, largest: 50 },
  { steps: 2, largest: 20 },
  { steps: 3, largest: 50 },
  { steps: 4, largest: 100 },
];
const solved = levels.map((level, i) => {
  const data = writeRows(
    `level-${i}.jsonl`,
    wordProblems({ ...level, count: Math.min(50, Number(flags.held_out)), seed: Number(seed) + i }),
  );
  const report = posttrain(`level-${i}`, [
    ...["evaluate", "--model_name_or_path", model, "--data", data, "--verifier", "math"],
    ...["--max_new_tokens", flags.max_new_tokens, "--output_dir", at(`level-${i}`)],
  ]);
  return passed(report);
});
const level = solved.reduce((best, own, i) => (gap(own) < gap(solved[best] ?? 0) ? i : best), 0);
table.push([
  "levels",
  `solved ${solved.map((own) => percent(share(own))).join(", ")}; taken: ${JSON.stringify(levels[level])}`,
]);
const shape = levels[level] ?? { steps: 1, largest: 10 };
/** @type {Set<string>} */
const taken = new Set();
const heldOut = writeRows(
  "held-out.jsonl",
  wordProblems({ ...shape, count: Number(flags.held_out), seed: Number(seed) + 1000 }, taken),
);
const training = writeRows(
  "problems.jsonl",
  wordProblems({ ...shape, count: Number(flags.word_problems), seed: Number(seed) + 2000 }, taken),
);
makePairs("word-pairs", ["--model_name_or_path", model, "--data", training, ...sampling]);
if (flags.mbpp !== undefined)
  makePairs("mbpp-pairs", ["--model_name_or_path", model, "--data", flags.mbpp, ...sampling]);
else table.push(["mbpp-pairs", "not run: --mbpp"]);

// DPO without and with online merging; before and after by the same problems.
/** @type {Record<string, string>} */
const policies = { before: model };
for (const [name, more] of /** @type {const} */ ([
  ["dpo", []],
  ["dpo-omo", ["--optim", "online_dare", "--base_model_name_or_path", flags.base_model ?? model]],
])) {
  const report = posttrain(name, [
    ...["dpo", "--model_name_or_path", model, "--data", at("word-pairs.jsonl"), "--output_dir", at(name)],
    ...[
      "--max_steps",
      flags.steps,
      "--per_device_train_batch_size",
      flags.pairs_per_step,
      "--learning_rate",
      "1e-6",
    ],
    ...["--gradient_accumulation_steps", "1", "--seed", seed, "--resume_from_checkpoint", ...more],
  ]);
  policies[name] = report["checkpoint"];
}
/** @param {string} part @param {(name: string, policy: string) => readonly number[]} measure @param {number} [digits] */
function compare(part, measure, digits) {
  /** @type {readonly number[]} */
  let before = [];
  for (const [name, policy] of Object.entries(policies)) {
    const own = measure(name, policy);
    if (name === "before") before = own;
    table.push([
      `${part}, ${name}`,
      name === "before"
        ? `${share(own).toFixed(4)}, ${own.length} items`
        : `${share(own).toFixed(4)}; change ${paired(before, own, digits)}`,
    ]);
  }
}
compare("held-out pass@1", (name, policy) =>
  passed(
    posttrain(`held-out-${name}`, [
      ...["evaluate", "--model_name_or_path", policy, "--data", heldOut, "--verifier", "math"],
      ...["--max_new_tokens", flags.max_new_tokens, "--output_dir", at(`held-out-${name}`)],
    ]),
  ),
);
if (flags.ifeval !== undefined) {
  const data = writeRows("ifeval.jsonl", rowsOf(flags.ifeval).slice(0, Number(flags.general_rows)));
  compare("IFEval, prompts followed", (name, policy) =>
    passed(
      posttrain(`ifeval-${name}`, [
        ...["evaluate", "--model_name_or_path", policy, "--data", data, "--task", "ifeval"],
        ...["--max_new_tokens", flags.max_new_tokens, "--output_dir", at(`ifeval-${name}`)],
      ]),
    ),
  );
} else table.push(["IFEval", "not run: --ifeval"]);
if (flags.ultrafeedback !== undefined) {
  const all = rowsOf(flags.ultrafeedback);
  const kept = all.slice(-Math.ceil(all.length / 5)); // the reward model is held against these
  const general = writeRows(
    "general.jsonl",
    kept.slice(0, Number(flags.general_rows)).map(({ prompt, chosen }) => ({
      messages: [
        { role: "user", content: prompt },
        { role: "assistant", content: chosen },
      ],
    })),
  );
  compare("UltraFeedback loss of chosen answers", (name, policy) => {
    const scores = at(`general-${name}.jsonl`);
    if (!existsSync(at(`general-${name}.json`))) rmSync(scores, { force: true });
    posttrain(`general-${name}`, [
      ...[
        "score",
        "--model_name_or_path",
        policy,
        "--data",
        general,
        "--loss_on",
        "assistant",
        "--output",
        scores,
      ],
    ]);
    return rowsOf(scores).map(({ loss }) => loss);
  });
  const reward = posttrain("reward", [
    ...[
      "reward",
      "--model_name_or_path",
      model,
      "--data",
      writeRows("preferences.jsonl", all.slice(0, -kept.length)),
    ],
    ...[
      "--output_dir",
      at("reward"),
      "--max_steps",
      flags.reward_steps,
      "--seed",
      seed,
      "--resume_from_checkpoint",
    ],
    ...[
      "--per_device_train_batch_size",
      flags.pairs_per_step,
      "--gradient_accumulation_steps",
      "1",
      "--on_overlong",
      "drop",
    ],
  ]);
  posttrain("samples", [
    ...["generate", "--model_name_or_path", model, "--data", heldOut, ...sampling, "--temperature", "1"],
    ...["--output", at("samples.jsonl")],
  ]);
  // A row of samples names its problem by the line.
  const problems = rowsOf(heldOut);
  const answered = problems.map((problem, i) => ({
    ...problem,
    responses: rowsOf(at("samples.jsonl"))
      .filter(({ line }) => line === i + 1)
      .map(({ text }) => text),
  }));
  const verified = at("verified.jsonl");
  if (!existsSync(at("verified.json"))) rmSync(verified, { force: true });
  posttrain("verified", [
    "verify",
    "--data",
    writeRows("answered.jsonl", answered),
    "--verifier",
    "math",
    "--output",
    verified,
  ]);
  const { reports } = posttrain("reward-eval", [
    ...[
      "reward",
      "eval",
      "--model_name_or_path",
      reward["checkpoint"],
      "--data",
      `${writeRows("kept.jsonl", kept)},${verified}`,
    ],
  ]);
  const named = (/** @type {Json} */ { share: own, low, high, total }) =>
    `${percent(own)} [${percent(low)}, ${percent(high)}], ${total} pairs`;
  for (const { title, pairs, by_length: byLength, best_of_n: bestOf } of reports) {
    if (pairs !== null) table.push([`reward model on ${title}`, named(pairs)]);
    for (const own of byLength) table.push([`reward model on ${title}, ${own.name}`, named(own)]);
    for (const { n, value, gain, low, high } of bestOf)
      table.push([
        `best of ${n}`,
        `${percent(value)}, gain ${percent(gain)} [${percent(low)}, ${percent(high)}]`,
      ]);
  }
} else table.push(["UltraFeedback, reward model, best of n", "not run: --ultrafeedback"]);

const [cpu] = cpus();
const markdown = [
  `${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores of ${cpu?.model ?? "an unknown processor"}; ${Object.entries(
    flags,
  )
    .map(([name, value]) => `--${name} ${value}`)
    .join(" ")}`,
  "",
  "| part | result |",
  "|---|---|",
  ...table.map(([part, result]) => `| ${part} | ${result} |`),
  "",
  "```",
  ...commands,
  "```",
  "",
].join("\n");
writeFileSync(at("results.md"), markdown);
console.log(markdown);

/** One a question: whether its first response passed. @param {Json} report @returns {number[]} */
function passed({ files }) {
  return rowsOf(files.samples).map((row) =>
    Number(row["verdict"]?.outcome === "pass" || row["verdicts"]?.[0]?.outcome === "pass"),
  );
}
/** @param {readonly number[]} values */
function share(values) {
  return values.reduce((sum, one) => sum + one, 0) / values.length;
}
/** @param {readonly number[]} values */
function gap(values) {
  return Math.abs(share(values) - 0.4);
}
