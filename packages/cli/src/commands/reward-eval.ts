// posttrain reward eval: a reward model held against benchmarks, pairs of one's own, and what is known to be right.
import { loadChatTemplate, loadTokenizer } from "@posttrain/data";
import { modelOptions } from "@posttrain/model";
import {
  type EvalItem,
  type EvalReport,
  evalFormats,
  givenScoresOf,
  readEvalSets,
  reportOf,
  scoreItems,
} from "@posttrain/reward-model";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { count, plural } from "../format.js";
import { createOutput, type Line, type Output } from "../output.js";
import { watchReading } from "../reading.js";
import { openResultFile } from "../result-file.js";
import { secondsSince, timeLeft } from "../speed.js";
import { withScorer } from "../with-scorer.js";

export const command = defineCommand({
  options: z.strictObject({
    data: z
      .array(z.string())
      .min(1)
      .describe("files or folders of rows: benchmarks, pairs, responses with verdicts"),
    model_name_or_path: modelOptions.model_name_or_path
      .optional()
      .describe("reward model: a folder, or an ONNX file; default: the rows' own scores"),
    dtype: modelOptions.dtype,
    format: z.enum(evalFormats).optional().describe("what the rows are; default: told by their columns"),
    output: z.string().optional().describe("new file for every response's score, JSONL"),
    seed: z.int().min(0).max(4294967295).default(0).describe("of the intervals of best-of-n"),
  }),
  examples: [
    [
      "npx posttrain reward eval --model_name_or_path runs/reward/checkpoint-100 \\\n--data rewardbench.jsonl --data verified.jsonl",
      "a benchmark, and what best-of-n gains where the truth is known",
    ],
    ["npx posttrain reward eval --data scored-pairs.jsonl", "scores that the rows bring"],
  ],
  notes:
    "Rows are of RewardBench, RewardBench 2, RMB (its JSON files or their folder), PPE (human preferences; correctness, whose benchmark is told by the file's name), plain pairs (prompt, chosen, rejected in any form that " +
    "dpo and reward read; source, subset and criteria, if there), or responses with verdicts as posttrain verify writes them. Scores of their own: reward_scores (one for each response), or score_chosen and score_rejected. " +
    "A pair is won where the better response scores higher; equal scores are lost. Best-of-n is the exact expectation over all subsets of n responses, its gain that over a response at random, with 95 % intervals by bootstrap over questions. " +
    'Lengths are in characters. --json prints {"reports": [...]} with shares from 0 to 1.',
  run: async (options, context) => {
    const output = createOutput(context, process.stdout);
    const reading = watchReading(output);
    const sets = await readEvalSets(options.data, { format: options.format, onProgress: reading.onProgress });
    reading.end();
    const results = options.output === undefined ? undefined : await openResultFile(options.output);
    try {
      const scores = await scoresOf([...sets.values()].flat(), options, context, output);
      const reports: EvalReport[] = [];
      let next = 0;
      for (const [format, items] of sets) {
        const own = scores.slice(next, next + items.length);
        next += items.length;
        reports.push(reportOf(format, items, own, options.seed));
        for (const [i, { place }] of items.entries()) {
          await results?.write({ file: place.path, line: place.line, format, scores: own[i] });
        }
      }
      await results?.commit();
      for (const report of reports) tell(report, output);
      if (!sets.has("verified") && !sets.has("ppe_correctness")) {
        output.say(
          "\nBenchmarks do not predict what reinforcement learning makes of a reward model. Responses with verdicts (posttrain verify) beside them show what best-of-n gains under it.",
        );
      }
      output.result({
        quiet: reports.map(({ title, score }) => `${title} ${percent(score)}`).join("\n"),
        json: { reports },
      });
    } finally {
      await results?.discard();
    }
  },
});

type Scores = readonly (readonly (number | null)[])[];

async function scoresOf(
  items: readonly EvalItem[],
  {
    model_name_or_path: path,
    dtype,
  }: { readonly model_name_or_path?: string | undefined; readonly dtype: "float32" | "bfloat16" },
  machine: Parameters<typeof withScorer>[1],
  output: Output,
): Promise<Scores> {
  if (path === undefined) return givenScoresOf(items);
  const given = items.filter((item) => item.given !== undefined).length;
  if (given > 0) output.say(`${plural(given, "row")} bring scores of their own: the model's count.`);
  return withScorer({ model_name_or_path: path, dtype }, machine, async ({ scorer, dir, description }) => {
    output.say(`${path}: ${description}`);
    const progress = output.progress();
    const started = performance.now();
    const [tokenizer, template] = [once(() => loadTokenizer(dir)), once(() => loadChatTemplate(dir))];
    try {
      return await scoreItems(items, scorer, { tokenizer, template }, (done) =>
        progress.show(
          () =>
            `${count(done)} of ${plural(items.length, "row")}, ${(done / secondsSince(started)).toFixed(1)} rows/s, ${timeLeft(started, done, items.length)}`,
        ),
      );
    } finally {
      progress.end();
    }
  });
}

function once<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined;
  return () => {
    loaded ??= load();
    return loaded;
  };
}

const percent = (share: number): string => (Number.isNaN(share) ? "N/A" : `${(100 * share).toFixed(2)} %`);
const decimal = (value: number | null): string => (value === null ? "N/A" : value.toFixed(3));

function tell(report: EvalReport, output: Output): void {
  const lost = [
    report.unscored > 0
      ? `${plural(report.unscored, "row")} left out: a response has no score (empty, or longer than the model's context)`
      : "",
    report.ties > 0 ? `${plural(report.ties, "tie")} say nothing` : "",
    report.ungraded > 0 ? `${plural(report.ungraded, "response")} could not be graded` : "",
  ].filter((text) => text !== "");
  output.print(`\n${report.title}: ${percent(report.score)} over ${plural(report.rows, "row")}`);
  for (const text of lost) output.print(`  ${text}`);
  if ((report.missing ?? []).length > 0) {
    output.print(`  without ${report.missing?.join(", ")}: no score of the whole benchmark`);
  }
  const width = Math.max(
    ...[...report.parts, ...report.by_length, ...report.by_source, ...report.by_criterion].map(
      ({ name }) => name.length,
    ),
    24,
  );
  for (const { name, value, rows } of report.parts) {
    output.print(`  ${name.padEnd(width)} ${percent(value).padStart(9)}  ${plural(rows, "row")}`);
  }
  const groups = [
    ["pairs", report.pairs === null ? [] : [{ name: "all", ...report.pairs }]],
    ["by source", report.by_source],
    ["by criterion", report.by_criterion],
    ["by difference of lengths", report.by_length],
  ] as const;
  for (const [title, own] of groups) {
    if (own.length === 0) continue;
    output.print(` ${title}`);
    for (const { name, share, low, high, total } of own) {
      output.print(
        `  ${name.padEnd(width)} ${percent(share).padStart(9)}  [${percent(low)}, ${percent(high)}], ${plural(total, "pair")}`,
      );
    }
  }
  const { pearson, spearman, within_prompts: within, longer_wins: longer } = report.length;
  const lines: Line[] = [
    [
      "length",
      `correlation with the score: Pearson ${decimal(pearson)}, Spearman ${decimal(spearman)}, within prompts ${decimal(within)}; the longer one is the better one in ${longer === null ? "N/A" : percent(longer)} of pairs`,
    ],
  ];
  output.table(lines);
  if (report.best_of_n.length === 0) return;
  output.print(` best of n (${plural(report.uniform_questions, "question")} all right or all wrong)`);
  for (const { n, questions, value, oracle, gain, low, high } of report.best_of_n) {
    output.print(
      `  n ${String(n).padStart(2)} ${percent(value).padStart(9)}  gain ${percent(gain)} [${percent(low)}, ${percent(high)}], a perfect choice ${percent(oracle)}, ${plural(questions, "question")}`,
    );
  }
}
