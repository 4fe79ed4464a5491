// posttrain data build: conversations to fine-tune on, made by area, each with its evidence.
import { onnxFileAt } from "@posttrain/model";
import {
  type BuildConfig,
  type BuildProgress,
  type BuildReport,
  build,
  buildConfig,
  isWholeBuild,
} from "@posttrain/sft";
import { columns } from "../columns.js";
import { defineCommand, type RunContext } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, duration, percent, plural } from "../format.js";
import { whileMaking } from "../making.js";
import { createOutput, type Output } from "../output.js";
import { conversationScorer } from "../score-conversation.js";
import { timeLeft } from "../speed.js";
import { visible } from "../visible.js";
import { withScorer } from "../with-scorer.js";

export const command = defineCommand({
  options: buildConfig,
  argument: "area",
  examples: [
    [
      "npx posttrain data build logic --rows 70000 --output logic.jsonl",
      "puzzles of five kinds of reasoning in three formats, without a teacher; killed, the same command goes on",
    ],
    [
      "npx posttrain data build mathematics --seeds gsm8k_train.jsonl --num_samples 8 \\\n--base_url http://127.0.0.1:8000/v1 --model my-teacher --output solutions.jsonl",
      "right and different solutions of a teacher to problems with known answers",
    ],
    [
      "npx posttrain data build all --areas logic=3,structured=1 --rows 10000 --output mix.jsonl",
      "a mix of areas by weight",
    ],
  ],
  notes:
    'A row is {"schema", "id", "messages", "area", "task", "difficulty", "answer", "parents", "evidence"}: what posttrain sft trains on, and what a question is asked again with. evidence says how the row was made and checked, and who was asked with which prompt (file, version, SHA-256); parents are ' +
    "ids of the rows of --seeds. Roles (generator, critic, translator, judge) are servers or folders; one that is not given is the generator. Prompts are files of packages/sft/prompts, replaced by those of the same name in --prompts DIR. OUTPUT.progress keeps replies and verdicts (the same command pays for " +
    `nothing twice) and dropped.jsonl, what was left out and why. Exit code ${exitCodes.ungraded}: some requests got no reply; the same command asks again.`,
  run: async (config, context) => {
    const output = createOutput(context, process.stderr);
    const made = await whileMaking(context, config, output, progressParts, ({ device, ...making }) =>
      build(config, {
        ...making,
        withReward: async (path, body) => {
          const on = (await onnxFileAt(path)) === undefined ? device() : undefined;
          const reward = { ...config, model_name_or_path: path };
          return withScorer(reward, context, async (scorer) => body(await conversationScorer(scorer)), on);
        },
      }),
    );
    if (made !== undefined) conclude(made.report, config, context, output, made.seconds);
  },
});

function progressParts(
  { area, rows, target, steps, asked }: BuildProgress,
  started: number,
): readonly string[] {
  const tokens = tokensOf(asked);
  return [
    `${area}: ${count(rows)} of ${plural(target, "row")}`,
    `kept ${steps.map(({ step, kept, taken }) => `${step} ${percent(kept, taken)}`).join(", ")}`,
    ...(tokens > 0 ? [`${count(tokens)} tokens paid`] : []),
    ...(rows > 0 ? [timeLeft(started, rows, target)] : []),
  ];
}

const tokensOf = (asked: BuildReport["asked"]): number =>
  Object.values(asked).reduce(
    (sum, { promptTokens, completionTokens }) => sum + promptTokens + completionTokens,
    0,
  );

function conclude(
  report: BuildReport,
  { output: file, rows: target }: BuildConfig,
  context: RunContext,
  output: Output,
  seconds: number,
): void {
  const { end, rows, tasks, difficulty, steps, asked, unanswered } = report;
  if (end === "nothing") output.say(`These conversations were made before: ${file}`);
  else output.print(`${plural(rows, "conversation")} in ${duration(seconds)}\n`);
  const listed = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, number]) => `${name} ${count(number)}`)
      .join(", ");
  output.table([
    ["tasks", listed(tasks)],
    ...(Object.keys(difficulty).length > 0 ? [["difficulty", listed(difficulty)] as const] : []),
    ...Object.entries(asked).map(
      ([role, { asked: requests, cached, failed, promptTokens, completionTokens }]) =>
        [
          role,
          `${plural(requests, "request")} (${count(promptTokens)} + ${count(completionTokens)} tokens), ${count(cached)} from the cache, ${count(failed)} without a reply`,
        ] as const,
    ),
  ]);
  if (!context.json && steps.length > 0) {
    const table = steps.map(({ step, taken, kept, dropped, unanswered: none }) => [
      step,
      count(taken),
      count(kept),
      listed({ ...dropped, ...(none > 0 && { "no reply": none }) }) || "nothing",
    ]);
    output.print(`\n${columns([["step", "taken", "kept", "dropped"], ...table])}`);
  }
  if (rows < target && end !== "nothing")
    output.say(`There are no more than these: ${count(target)} were asked for.`);
  if (unanswered > 0) {
    console.error(
      visible(
        `${plural(unanswered, "request")} got no reply, the same command asks again. The first: ${report.reasons.join("; ")}`,
      ),
    );
  }
  output.result({ quiet: file, json: { ...report, seconds, output: file } });
  if (report.review_file !== undefined) output.say(`To be looked at by somebody: ${report.review_file}`);
  output.print(`\nConversations: ${file}`);
  if (!isWholeBuild(report)) process.exitCode = exitCodes.ungraded;
  else if (end === "nothing") process.exitCode = exitCodes.nothing;
}
