// posttrain verify: responses in a file graded by rules: answers matched, programs run, instructions checked.
import { dataDigest, UserError } from "@posttrain/data";
import { openRedisJobs } from "@posttrain/jobs";
import { nativeSelfTest } from "@posttrain/sandbox";
import {
  type FileGrading,
  type GradingPlan,
  gradeFile,
  gradingOptions,
  openChosenVerifiers,
  readProblems,
  selfTest,
  unfitError,
  verifierNames,
} from "@posttrain/verify";
import { z } from "zod";
import { defineCommand, type RunContext } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, duration, plural } from "../format.js";
import { createOutput, type Output } from "../output.js";
import { gradedOn, workersSentence } from "../redis-option.js";
import { openResultFile } from "../result-file.js";
import { secondsSince, timeLeft } from "../speed.js";
import { stopOnSignal } from "../stopping.js";
import { gradingNotes, selfTestTable, verdictList, verdictTable } from "../verification-report.js";

const options = z
  .strictObject({
    data: z.string().optional().describe("rows with responses, JSONL, JSON, CSV or Parquet"),
    problems: z
      .string()
      .optional()
      .describe(
        "what rows are graded with, JSONL, JSON, CSV or Parquet, where they only name it: joined by task_id or id",
      ),
    output: z
      .string()
      .optional()
      .describe("new file for rows and verdicts, resumable; default: standard output, nowhere on a terminal"),
    ...gradingOptions,
    ...gradedOn,
    self_test: z
      .boolean()
      .default(false)
      .describe(
        "grade canaries, known right, known wrong and hostile, in place of a file; with --verifier that one alone",
      ),
  })
  .superRefine(({ data, output, self_test }, context) => {
    if (data === undefined && !self_test)
      context.addIssue({
        code: "custom",
        message: "Missing: --data (rows with responses, JSONL, JSON, CSV or Parquet), or --self_test",
      });
    if (self_test && (data !== undefined || output !== undefined))
      context.addIssue({
        code: "custom",
        path: ["self_test"],
        message: "it grades no file: leave data and output out",
      });
    if (data !== undefined && data === output)
      context.addIssue({ code: "custom", path: ["output"], message: "it is the data file itself" });
  });

type Options = z.output<typeof options>;

export const command = defineCommand({
  options,
  examples: [
    [
      "npx posttrain verify --data responses.jsonl --output verdicts.jsonl",
      "a verdict beside every row; killed, the same command goes on where it was",
    ],
    [
      "npx posttrain verify --data evalplus_samples.jsonl --problems HumanEval.jsonl",
      "evalplus's samples, {task_id, solution}, against the benchmark's tests",
    ],
    [
      "npx posttrain verify --data samples_math.jsonl --verifier math --mode hendrycks",
      "samples of lm-evaluation-harness, graded again as a published grader does",
    ],
    [
      "npx posttrain verify --self_test --verifier math",
      "what can be graded on this machine, proven; without --verifier all of it, in minutes",
    ],
  ],
  notes:
    "A row has a response (response, completion, solution; responses for several, each text or messages) and what it is graded with: " +
    "its field verifier, else verl's data_source, open-instruct's dataset, or its columns tell how (docs/verify.md). A result is the row with " +
    '"verdict", {"outcome", "evidence", "details", "verifier", "seconds"}, or "verdicts", one for each of its responses. Outcomes: pass, fail, ' +
    "timeout, crash, unparseable, and infrastructure-error for what could not be graded, which is nobody's failure; the same command tries " +
    "these again. --output FILE keeps a journal in FILE.progress. Exit code 1 where rows are wrong (the others are graded all the same), " +
    `${exitCodes.ungraded} where this machine could not grade some, or where something that is available failed its --self_test. --json prints the table in place of the rows.`,
  run: async (given, context) => {
    const { data, output: file } = given;
    const output = createOutput(context, given.self_test ? process.stdout : process.stderr);
    if (given.self_test) {
      await runSelfTest(given, output);
      return;
    }
    const stopping = stopOnSignal(() => output.say("Stopping after the responses under way ..."));
    const problems = given.problems === undefined ? undefined : await readProblems(given.problems);
    await using workers = given.redis === undefined ? undefined : await openRedisJobs(given.redis);
    const chosen = await openChosenVerifiers(given, stopping.signal, workers);
    const silent = file !== undefined || context.json || process.stdout.isTTY;
    const rows = await openResultFile(undefined);
    const progress = output.progress();
    const started = performance.now();
    try {
      const result = await gradeFile({
        data: data!,
        verifiers: chosen.verifiers,
        ...(file !== undefined && { output: file }),
        ...(problems !== undefined && { problems }),
        settings: {
          ...chosen.identity,
          ...(problems !== undefined && { problems: await dataDigest(problems.path) }),
        },
        signal: stopping.signal,
        ...(!silent && { onRow: (row: object) => rows.write(row) }),
        onStart: (plan) => {
          stopping.begin();
          return describePlan(plan, given, output);
        },
        onGraded: ({ done, total, fromJournal }) => {
          progress.show(() => {
            const own = done - fromJournal;
            const rate = own / secondsSince(started);
            const left = own > 0 ? `, ${timeLeft(started, own, total - fromJournal)}` : "";
            return `${count(done)} of ${plural(total, "response")}, ${rate.toFixed(rate < 10 ? 1 : 0)}/s${left}`;
          });
        },
      });
      progress.end();
      conclude(result, given, context, output, secondsSince(started));
      if (result.end === "stopped") process.exitCode = stopping.exitCode();
    } finally {
      progress.end();
      await chosen.close();
      stopping[Symbol.dispose]();
    }
  },
});

async function runSelfTest({ concurrency, verifier }: Options, output: Output): Promise<void> {
  if (verifier !== undefined && !verifierNames.includes(verifier)) {
    throw new UserError(
      "unknown_verifier",
      `--self_test: there is no verifier ${verifier}. Known verifiers: ${verifierNames.join(", ")}.`,
    );
  }
  const progress = output.progress();
  const started = performance.now();
  const report = await selfTest({
    ...(concurrency !== undefined && { concurrency }),
    ...(verifier !== undefined && { verifiers: [verifier] }),
    onGroup: ({ verifier, variant, language = "" }, done, total) =>
      progress.show(() => `${done} of ${total}: ${[verifier, language, variant].filter(Boolean).join(" ")}`),
  }).finally(() => progress.end());
  const seconds = secondsSince(started);
  output.print(selfTestTable(report));
  output.print("");
  const of = (state: string): number => report.groups.filter((group) => group.state === state).length;
  const verdict = `${count(of("proven"))} proven, ${count(of("failed"))} failed, ${count(of("missing"))} not available, in ${duration(seconds)}`;
  output.say(verdict);
  output.result({ quiet: verdict, json: { ...report, seconds } });
  if (!report.ok) process.exitCode = exitCodes.ungraded;
}

async function describePlan(
  plan: GradingPlan,
  { route, unsealed, redis }: Options,
  output: Output,
): Promise<void> {
  const kinds = [...plan.verifiers].map(([name, responses]) => `${name} ${count(responses)}`);
  output.say(`${plural(plan.rows, "row")}, ${plural(plan.responses, "response")}: ${kinds.join(", ")}`);
  if (plan.unfit.length > 0) {
    output.say(
      `${plural(plan.unfit.length, "row")} cannot be graded as they are, the first on line ${plan.unfit[0]!.line}: ${plan.unfit[0]!.problem}`,
    );
  }
  if (redis !== undefined) output.say(workersSentence("grade"));
  else if (plan.verifiers.has("code") || plan.verifiers.has("checker"))
    output.say(await describeRoute(route));
  if (unsealed === "refuse") output.say("Verdicts of tests that must run beside the candidate are refused.");
}

/** Where programs run, and why there. */
async function describeRoute(route: Options["route"]): Promise<string> {
  if (route === "wasm") return "Programs run in WebAssembly, as asked: Python, JavaScript and TypeScript.";
  const { layout, proofs, refused, remedy } = await nativeSelfTest();
  const missing = proofs.filter(({ holds }) => !holds).map(({ limit }) => limit);
  const lack = `bubblewrap could not prove ${missing.join(", ")} here`;
  if (layout !== undefined) {
    const natively = "Programs run natively, under bubblewrap; its limits were proven just now";
    return missing.length === 0
      ? `${natively}.`
      : `${natively}, but not all: ${lack}, so that programs in ${refused.join(", ")} are ${route === "native" ? "refused" : "run in WebAssembly, or refused where there is none"}. ${remedy}`;
  }
  return route === "native"
    ? `Programs will not run: ${lack}. ${remedy}`
    : `Programs run in WebAssembly (Python, JavaScript and TypeScript): ${lack}. For the other languages: ${remedy}`;
}

function conclude(
  result: FileGrading,
  { data, output: file }: Options,
  context: RunContext,
  output: Output,
  seconds: number,
): void {
  const { outcomes, unfit, responses, end } = result;
  const again = "the same command goes on from there";
  if (end === "stopped") {
    output.say(
      file === undefined ? "Stopped." : `Stopped; the verdicts so far are in ${file}.progress: ${again}.`,
    );
    return;
  }
  if (end === "nothing") output.say(`All was graded before: ${file}`);
  else output.print(`${plural(responses, "response")} in ${duration(seconds)}\n`);
  if (!context.json && responses > 0) {
    console.error(verdictTable(result));
    output.print(verdictList("The slowest", result.slowest));
    output.print(verdictList("The first that did not pass", result.failures));
    output.print(verdictList("The first that could not be graded", result.ungraded));
    output.print("");
    for (const note of gradingNotes(result)) output.say(note);
  }
  output.result({ json: { ...result, seconds, output: file ?? null } });
  if (file !== undefined && end === "complete") output.print(`\nRows and verdicts: ${file}`);
  if (unfit.length > 0) {
    const rest = file === undefined ? "The others were graded." : `The others were graded: ${file}`;
    throw unfitError(data!, result.rows, unfit, rest);
  }
  if (outcomes["infrastructure-error"] > 0) process.exitCode = exitCodes.ungraded;
  else if (end === "nothing") process.exitCode = exitCodes.nothing;
}
