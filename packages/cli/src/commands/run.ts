// posttrain run: the steps of a pipeline, each by its own command, in the order of what they read from each other.
import { mkdir } from "node:fs/promises";
import { UserError } from "@posttrain/data";
import { openRedisJobs } from "@posttrain/jobs";
import { lockProgressFolder } from "@posttrain/run";
import { z } from "zod";
import { columns } from "../columns.js";
import { defineCommand } from "../command.js";
import { exitCodes } from "../failure.js";
import { shellQuote } from "../format.js";
import { nearest } from "../nearest.js";
import { createOutput, type Output } from "../output.js";
import { type Decision, decide } from "../pipeline/decide.js";
import { Books, missingInputs } from "../pipeline/made.js";
import { readManifest, type StepRecord } from "../pipeline/manifest.js";
import { performSteps, takeEarlier } from "../pipeline/perform.js";
import { badPipeline, openPipeline, type Pipeline, type Step } from "../pipeline/pipeline.js";
import { redisUrl, workersSentence } from "../redis-option.js";
import { version } from "../version.js";

const options = z.strictObject({
  pipeline: z.string().describe("YAML file of the steps"),
  from: z
    .string()
    .optional()
    .describe(
      "begin with this step, even where nothing has changed; what steps before it made is taken as it is",
    ),
  to: z.string().optional().describe("end after this step"),
  redis: redisUrl
    .optional()
    .describe(
      "URL of Redis, whose workers of kind stage do the steps (docs/workers.md); paths are relative to their folder",
    ),
  dry_run: z.boolean().default(false).describe("say what would be run, and why; run and write nothing"),
});
type Options = z.output<typeof options>;

export const command = defineCommand({
  options,
  argument: "pipeline",
  examples: [
    [
      "npx posttrain run examples/pipeline.yaml",
      "what npm start does, as a user would write it; killed, the same command goes on",
    ],
    ["npx posttrain run examples/pipeline.yaml --dry_run", "which steps would run, and why"],
    [
      "npx posttrain run examples/pipeline.yaml --from dpo",
      "DPO once more, and after it what depends on what has changed",
    ],
  ],
  notes:
    "The file has output_dir, the pipeline's folder, and under steps a mapping for each step: run names a posttrain command, all else is that command's own options. " +
    `\${step.checkpoint}, \${step.output} and the like stand for ` +
    "what another step makes (docs/pipeline.md lists them); a step that gives no output_dir or output writes into the pipeline's folder, under its name. All of it is checked before anything runs. A step is skipped where its options, what it " +
    "reads and posttrain's version are what they were; what it made may not have been changed by hand. A step that was interrupted goes on where it was, with the same bits; one whose options have changed is run again, with its old result beside it, as " +
    "PATH.superseded-1. pipeline.json keeps the books. A step's exit code is that of the run: an alarm of grpo ends it with " +
    `${exitCodes.alarm}; after ${exitCodes.ungraded} (done, but some could not be graded) it goes on and ends with that. --json prints {"end", "steps"}: of each what was done and what it made.`,
  run: async (given, context) => {
    const pipeline = await openPipeline(given.pipeline, context.commands);
    const output = createOutput(context, process.stdout);
    const range = rangeOf(pipeline, given);
    const missing = await missingInputs(pipeline, range);
    if (missing.length > 0) throw badPipeline(pipeline.path, missing);
    if (given.dry_run) {
      await rehearse(pipeline, range, given, output);
      return;
    }
    await mkdir(pipeline.outputDir, { recursive: true });
    const lock = await lockProgressFolder(pipeline.outputDir, pipeline.outputDir);
    try {
      await using workers = given.redis === undefined ? undefined : await openRedisJobs(given.redis);
      if (workers !== undefined) output.say(workersSentence("do the steps"));
      const again = `npx posttrain run ${shellQuote(given.pipeline)}${given.to === undefined ? "" : ` --to ${given.to}`}`;
      await performSteps(pipeline, range, { from: given.from, again, workers }, context, output);
    } finally {
      await lock.release();
    }
  },
});

/** From --from to --to. UserError `bad_option`. */
function rangeOf({ steps, path }: Pipeline, { from, to }: Options): readonly Step[] {
  const place = (option: string, name: string): number => {
    const at = steps.findIndex((step) => step.name === name);
    if (at >= 0) return at;
    const names = steps.map((step) => step.name);
    const near = nearest(name, names);
    throw new UserError(
      "bad_option",
      `posttrain run: --${option} is ${JSON.stringify(name)}, and ${path} has no such step.${near === undefined ? "" : ` Did you mean ${near}?`} Its steps: ${names.join(", ")}.`,
    );
  };
  const first = from === undefined ? 0 : place("from", from);
  const last = to === undefined ? steps.length - 1 : place("to", to);
  if (first > last)
    throw new UserError(
      "bad_option",
      `posttrain run: --from ${from} comes after --to ${to}: the steps run in the order ${steps.map(({ name }) => name).join(", ")}.`,
    );
  return steps.slice(first, last + 1);
}

/** --dry_run: what would be done, as far as it can be known before anything has run. */
async function rehearse(
  pipeline: Pipeline,
  range: readonly Step[],
  given: Options,
  output: Output,
): Promise<void> {
  const manifest = await readManifest(pipeline.outputDir);
  const books = new Books();
  await takeEarlier(pipeline, range, books);
  const plans: { step: string; would: string; why: string }[] = [];
  for (const step of range) {
    const of = await books.identityOf(step, version());
    const decision =
      of && (await decide(pipeline.path, step, manifest?.steps[step.name], of, step.name === given.from));
    if (decision?.do === "skip") books.note(step.name, decision.made);
    const [would, why] = forecast(step, manifest?.steps[step.name], decision, books);
    plans.push({ step: step.name, would, why });
  }
  output.print(
    columns(
      plans.map(({ step, would, why }) => [step, would, why]),
      3,
    ),
  );
  output.result({
    quiet: plans
      .filter(({ would }) => would !== "skip")
      .map(({ step }) => step)
      .join("\n"),
    json: { steps: plans },
  });
}

function forecast(
  step: Step,
  record: StepRecord | undefined,
  decision: Decision | undefined,
  books: Books,
): readonly [would: string, why: string] {
  if (decision === undefined) {
    const open = [
      ...new Set(
        step.inputs.flatMap(({ references }) =>
          references.filter((one) => books.of(one) === undefined).map((one) => one.step),
        ),
      ),
    ];
    if (record === undefined) return ["run", "not run yet"];
    return ["run", `unless ${open.join(", ")} ${open.length === 1 ? "makes" : "make"} what was there before`];
  }
  switch (decision.do) {
    case "skip":
      return ["skip", "unchanged"];
    case "settle":
      return ["skip", "its result is whole"];
    case "go on":
      return ["go on", decision.why];
    case "begin":
      return [
        "run",
        decision.aside.length === 0
          ? decision.why
          : `${decision.why}; set aside: ${decision.aside.join(", ")}`,
      ];
  }
}
