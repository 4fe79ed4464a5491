// posttrain reward data: preferences to learn a reward from, each label with its source.
import { openRedisJobs } from "@posttrain/jobs";
import {
  isWhole,
  makeRewardData,
  type RewardDataConfig,
  type RewardDataProgress,
  type RewardDataReport,
  rewardDataConfig,
} from "@posttrain/reward-model";
import { columns } from "../columns.js";
import { defineCommand } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, duration, plural } from "../format.js";
import { whileMaking } from "../making.js";
import { createOutput, type Output } from "../output.js";
import { gradedOn } from "../redis-option.js";
import { timeLeft } from "../speed.js";
import { visible } from "../visible.js";

export const command = defineCommand({
  options: rewardDataConfig.safeExtend(gradedOn),
  examples: [
    [
      "npx posttrain reward data --model_name_or_path runs/sft/checkpoint-800,runs/dpo/checkpoint-100 \\\n--data problems.jsonl --pairs pairs.jsonl --output preferences.jsonl",
      "two checkpoints at two temperatures, labelled by rules, with the pairs of DPO",
    ],
    [
      "npx posttrain reward data --responses samples.jsonl --judge_base_url http://127.0.0.1:8000/v1 \\\n--judge_model my-judge --output preferences.jsonl",
      "responses that are there already, compared by a judge in both orders",
    ],
  ],
  notes:
    'A row is {"schema", "id", "prompt", "chosen", "rejected", "source", "criteria", "parents", "evidence"}: TRL\'s columns, who decided (human, verifier, judge; merged rows keep theirs, else pairs), and by ' +
    "criterion (truthfulness, helpfulness, conciseness, relevance, harmlessness, debiasing) which side is better, chosen, rejected or tie. evidence has every label with its source and what it found, and both responses' " +
    "origins. People decide before verifiers, these before the judge; a tie decides nothing. Ties and comparisons without a label are in OUTPUT.progress, beside the journal: the same command goes on where it was killed, and asks nobody " +
    `twice. --to_label FILE writes the comparisons for people, --labels FILE takes them back. Exit code ${exitCodes.ungraded}: the judge gave no judgement of some, some responses could not be graded, or the server gave no reply: the same command tries these again.`,
  // Where Redis is may be a secret: no part of what is kept.
  run: async ({ redis, ...config }, context) => {
    const output = createOutput(context, process.stderr);
    await using workers = redis === undefined ? undefined : await openRedisJobs(redis);
    const made = await whileMaking(context, config, output, progressParts, (making) =>
      makeRewardData(config, { ...making, workers }),
    );
    if (made !== undefined) conclude(made.report, config, context, output, made.seconds);
  },
});

const progressParts = ({ doing, done, total }: RewardDataProgress, started: number): readonly string[] => [
  `${doing}: ${count(done)} of ${count(total)}`,
  timeLeft(started, done, total),
];

function conclude(
  report: RewardDataReport,
  { output: file }: RewardDataConfig,
  context: { readonly json: boolean },
  output: Output,
  seconds: number,
): void {
  const { preferences, verdicts } = report;
  if (report.end === "nothing") output.say(`These preferences were made before: ${file}`);
  else output.print(`${plural(report.rows, "preference")} in ${duration(seconds)}\n`);
  const graded = Object.entries(verdicts).map(([outcome, responses]) => `${outcome} ${count(responses)}`);
  output.table([
    [
      "queries",
      `${count(report.queries)}, ${plural(report.responses, "response")}${report.repeated_queries > 0 ? `; ${plural(report.repeated_queries, "row")} repeat one before them` : ""}`,
    ],
    ["verdicts", graded.join(", ") || "none"],
    ["compared", plural(report.comparisons, "comparison")],
    [
      "decided by",
      Object.entries(preferences)
        .map(([source, rows]) => `${source} ${count(rows)}`)
        .join(", "),
    ],
    [
      "not decided",
      `ties ${count(report.ties)} (${report.ties_file}), no label ${count(report.unlabelled)} (${report.unlabelled_file})`,
    ],
  ]);
  if (report.judge_consistency !== null) {
    output.table([
      [
        "judge",
        `the same in both orders in ${(100 * report.judge_consistency).toFixed(1)} % of its judgements`,
      ],
    ]);
  }
  if (report.repeated_pairs + report.contradicting_pairs > 0) {
    output.table([
      [
        "merged",
        `left out: there already ${count(report.repeated_pairs)}, the other way round here ${count(report.contradicting_pairs)}`,
      ],
    ]);
  }
  if (report.agreement.length > 0 && !context.json) {
    const rows = report.agreement.map(({ between, on, comparisons, share, kappa }) => [
      between.join(", "),
      on,
      count(comparisons),
      `${(100 * share).toFixed(1)} %`,
      kappa === null ? "N/A" : kappa.toFixed(3),
    ]);
    output.print(`\n${columns([["agreement", "on", "comparisons", "share", "kappa"], ...rows], 2)}`);
  }
  const missing = [
    ...(report.unanswered > 0 ? [`${plural(report.unanswered, "response")} without a reply`] : []),
    ...(report.judge_failures > 0
      ? [`${plural(report.judge_failures, "comparison")} without a judgement`]
      : []),
  ];
  if (missing.length > 0) {
    console.error(
      visible(
        `${missing.join(", ")}: the same command asks for these again. The first: ${report.reasons.join("; ")}`,
      ),
    );
  }
  output.result({ quiet: file, json: { ...report, seconds, output: file } });
  output.print(`\nPreferences: ${file}`);
  if (!isWhole(report)) process.exitCode = exitCodes.ungraded;
  else if (report.end === "nothing") process.exitCode = exitCodes.nothing;
}
