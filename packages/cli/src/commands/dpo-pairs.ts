// posttrain dpo pairs: responses sampled or taken from files, graded by rules, made into pairs of a passing and a failing one.

import {
  type MakeProgress,
  type PairsConfig,
  type PairsPlan,
  type PairsReport,
  pairsConfig,
  runPairs,
} from "@posttrain/dpo";
import { unfitError } from "@posttrain/verify";
import { columns } from "../columns.js";
import { defineCommand, type RunContext } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, duration, percent, plural, shellQuote } from "../format.js";
import { whileMaking } from "../making.js";
import { createOutput, type Output } from "../output.js";
import { gradedOn, sampledBy, workersSentence } from "../redis-option.js";
import { foldersOnWorkers, openWorkers } from "../sampling-workers.js";
import { timeLeft } from "../speed.js";

export const command = defineCommand({
  options: pairsConfig.safeExtend({ ...gradedOn, ...sampledBy }),
  examples: [
    [
      "npx posttrain dpo pairs --model_name_or_path runs/my-sft/checkpoint-800 \\\n--data problems.jsonl --output pairs.jsonl",
      "eight responses to each problem, a pair of a right and a wrong one; killed, the same command goes on where it was",
    ],
    [
      "npx posttrain dpo pairs --responses samples.jsonl --data HumanEval.jsonl --raw --output pairs.jsonl",
      "responses that are there already, {task_id, completion}, run against the benchmark's tests",
    ],
  ],
  notes:
    "A query has what is asked (prompt, question, problem or messages) and what responses are graded with, as posttrain verify reads it (docs/verify.md). A pair is " +
    '{"schema", "id", "prompt", "chosen", "rejected", "parents", "evidence"}: the columns are TRL\'s; evidence has of both sides the verdict with what was found, and the origin ' +
    "(checkpoint, its digest, temperature, seed, sample; or file and line); parents are ids of rows. Chosen passed; rejected failed, crashed, timed out or gave no answer. What could " +
    `not be graded is on neither side, and the exit code is ${exitCodes.ungraded}. OUTPUT.progress keeps what was sampled and graded (other choices of pairs cost nothing) and skipped.jsonl, the queries without a pair.`,
  // Where Redis is may be a secret: no part of what is kept.
  run: async ({ redis, weights_dir, serve_weights, ...config }, context) => {
    const output = createOutput(context, process.stderr);
    await using workers = await openWorkers({ redis, weights_dir, serve_weights }, config.output);
    const sampled = workers?.sampling && foldersOnWorkers(workers.sampling, config, context);
    const made = await whileMaking(context, config, output, progressParts, (making) =>
      runPairs(config, {
        ...making,
        ...(sampled && { withModel: async (dir, body) => body(await sampled(dir)) }),
        workers: workers?.jobs,
        onStart: (plan) => {
          making.onStart();
          describePlan(plan, output);
          if (workers !== undefined)
            output.say(workersSentence(sampled ? "sample and grade" : "grade", workers.place));
        },
      }),
    );
    if (made !== undefined) conclude(made.report, config, context, output, made.seconds);
  },
});

function describePlan(plan: PairsPlan, output: Output): void {
  const kinds = [...plan.verifiers].map(([name, queries]) => `${name} ${count(queries)}`);
  output.say(
    `${plan.queries === 1 ? "1 query" : `${count(plan.queries)} queries`} (${kinds.join(", ")}), ${plural(plan.responses, "response")} from ${plan.sources.join(", ")}`,
  );
  if (plan.repeated > 0)
    output.say(`${plural(plan.repeated, "row")} repeat one before them, and are asked once.`);
  const [first] = plan.unfit;
  if (first === undefined) return;
  output.say(
    `${plural(plan.unfit.length, "row")} cannot be asked or graded as they are, the first on line ${first.line}: ${first.problem}`,
  );
}

function progressParts(
  { pairs, target, graded, responses, fromJournal, yields }: MakeProgress,
  started: number,
): readonly string[] {
  const own = graded - fromJournal;
  // Whichever ends it first: the queries, or the target at this yield.
  const share = Math.max(responses === fromJournal ? 1 : own / (responses - fromJournal), pairs / target);
  const by = yields.map((one) => `${one.verifier} ${percent(one.paired, one.queries)}`);
  return [
    `${count(pairs)} of at most ${plural(target, "pair")}`,
    `${count(graded)} of ${plural(responses, "response")} graded`,
    ...(by.length > 0 ? [`queries with a pair: ${by.join(", ")}`] : []),
    ...(own > 0 ? [timeLeft(started, share, 1)] : []),
  ];
}

function conclude(
  report: PairsReport,
  { output: file, data, responses, review }: PairsConfig,
  context: RunContext,
  output: Output,
  seconds: number,
): void {
  const { end, pairs, ungraded, unanswered, unfit } = report;
  if (end === "nothing") output.say(`These pairs were made before: ${file}`);
  else output.print(`${plural(pairs, "pair")} in ${duration(seconds)}\n`);
  if (!context.json) console.error(yieldTable(report));
  output.print("");
  for (const note of notesOf(report)) output.say(note);
  output.result({ quiet: file, json: { ...report, seconds, output: file } });
  if (end !== "nothing") output.print(`\nPairs: ${file}`);
  if (review !== undefined && pairs > 0) {
    output.print(`To judge: npx posttrain dpo review ${shellQuote(review)}`);
  }
  if (unfit.length > 0) {
    throw unfitError(
      responses?.join(", ") ?? data!,
      report.rows,
      unfit,
      `Of the others pairs were made: ${file}`,
    );
  }
  if (ungraded + unanswered > 0) process.exitCode = exitCodes.ungraded;
  else if (end === "nothing") process.exitCode = exitCodes.nothing;
}

function yieldTable({ yields }: PairsReport): string {
  const head = ["", "queries", "responses", "passed", "not graded", "queries with a pair", "pairs"];
  const rows = yields.map(({ verifier, queries, responses, outcomes, paired, pairs }) => [
    verifier,
    count(queries),
    count(responses),
    percent(outcomes.pass, responses - outcomes["infrastructure-error"]),
    count(outcomes["infrastructure-error"]),
    `${count(paired)} (${percent(paired, queries)})`,
    count(pairs),
  ]);
  return columns([head, ...rows]);
}

function notesOf(report: PairsReport): readonly string[] {
  const { skipped, skipped_file, duplicates, ungraded, unanswered, reasons, fromJournal, end } = report;
  const why = Object.entries(skipped)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, queries]) => `${reason} ${count(queries)}`);
  const without = Object.values(skipped).reduce((sum, queries) => sum + queries, 0);
  return [
    ...(end === "target" ? ["The target is reached; the queries left were not asked."] : []),
    ...(without > 0
      ? [
          `${count(without)} ${without === 1 ? "query has" : "queries have"} no pair: ${why.join(", ")} (${skipped_file})`,
        ]
      : []),
    ...(duplicates > 0
      ? [`${plural(duplicates, "response")} nearly repeat another of their side, and were left out.`]
      : []),
    ...(fromJournal > 0
      ? [`${plural(fromJournal, "verdict")} taken from the journal of an earlier run.`]
      : []),
    ...(ungraded > 0
      ? [
          `${plural(ungraded, "response")} could not be graded: on neither side; the same command tries them again.`,
        ]
      : []),
    ...(unanswered > 0
      ? [
          `${plural(unanswered, "request")} got no reply, the same command asks again. The first: ${reasons.join("; ")}`,
        ]
      : []),
  ];
}
