// posttrain verify: responses in a file graded by rules: answers matched, programs run, instructions checked.
import { availableParallelism } from "node:os";
import {
  type FileGrading,
  type GradingPlan,
  gradeFile,
  nativeSelfTest,
  openVerifiers,
  unfitError,
  verifierNames,
} from "@posttrain/verify";
import { z } from "zod";
import { defineCommand, type RunContext } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, duration, plural } from "../format.js";
import { createOutput, type Output } from "../output.js";
import { openResultFile } from "../result-file.js";
import { stopOnSignal } from "../stopping.js";
import { gradingNotes, verdictList, verdictTable } from "../verification-report.js";

const options = z
  .strictObject({
    data: z.string().optional().describe("rows with responses, JSONL"),
    output: z
      .string()
      .optional()
      .describe("new file for rows and verdicts, resumable; default: standard output, nowhere on a terminal"),
    verifier: z
      .string()
      .min(1)
      .optional()
      .describe(`for every row, in place of what rows say: ${verifierNames.join(", ")}`),
    mode: z
      .enum(["own", "qwen2.5-math", "hendrycks", "math-verify", "gsm8k", "open-instruct"])
      .default("own")
      .describe("whose conventions decide whether answers agree; rewards want own"),
    extraction: z
      .enum(["strict", "lenient"])
      .default("strict")
      .describe("lenient takes the last formula or number where no answer is announced"),
    strictness: z.enum(["strict", "loose"]).default("strict").describe("of instructions, as IFEval's two"),
    unsealed: z
      .enum(["accept", "refuse"])
      .default("accept")
      .describe("verdicts of tests that had to run beside the candidate"),
    route: z
      .enum(["auto", "native", "wasm"])
      .default("auto")
      .describe("programs under bubblewrap or in WebAssembly; auto: bubblewrap where it is proven"),
    pass_score: z.number().optional().describe("for verifiers with a score: from where it passes (1)"),
    cpu_seconds: z.number().positive().max(3600).default(10).describe("CPU time of one program"),
    memory_mb: z.int().min(64).max(1_000_000).default(1024).describe("memory of one program, MiB"),
    concurrency: z
      .int()
      .min(1)
      .max(256)
      .optional()
      .describe("responses graded at once (default: one per core)"),
  })
  .superRefine(({ data, output }, context) => {
    if (data === undefined)
      context.addIssue({ code: "custom", path: ["data"], message: "it is missing: give the file of rows" });
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
      "npx posttrain verify --data samples_math.jsonl --verifier math --mode hendrycks",
      "the numbers of a published grader",
    ],
  ],
  notes:
    "A row has a response (response, completion, solution; responses for several, each text or messages) and what it is graded with: " +
    "its field verifier, else verl's data_source, open-instruct's dataset, or its columns tell how (docs/verify.md). A result is the row with " +
    '"verdict", {"outcome", "evidence", "details", "verifier", "seconds"}, or "verdicts", one for each of its responses. Outcomes: pass, fail, ' +
    "timeout, crash, unparseable, and infrastructure-error for what could not be graded, which is nobody's failure; the same command tries " +
    "these again. --output FILE keeps a journal in FILE.progress. Exit code 1 where rows are wrong (the others are graded all the same), " +
    `${exitCodes.ungraded} where this machine could not grade some. --json prints the table in place of the rows.`,
  run: async (given, context) => {
    const { data, output: file } = given;
    const output = createOutput(context, process.stderr);
    const concurrency = given.concurrency ?? availableParallelism();
    const stopping = stopOnSignal(() => output.say("Stopping after the responses under way ..."));
    const verifiers = openVerifiers({
      ...settingsOf(given),
      concurrency,
      unsealed: given.unsealed,
      signal: stopping.signal,
      ...(given.route !== "auto" && { route: given.route }),
      ...(given.verifier !== undefined && { verifier: given.verifier }),
    });
    const silent = file !== undefined || context.json || process.stdout.isTTY;
    const rows = await openResultFile(undefined);
    const progress = output.progress();
    const started = performance.now();
    try {
      const result = await gradeFile({
        data: data!,
        verifiers,
        concurrency,
        ...(file !== undefined && { output: file }),
        settings: identityOf(given),
        signal: stopping.signal,
        ...(!silent && { onRow: (row: object) => rows.write(row) }),
        onStart: (plan) => describePlan(plan, given, output),
        onGraded: ({ done, total, fromJournal }) => {
          progress.show(() => {
            const seconds = (performance.now() - started) / 1000;
            const rate = (done - fromJournal) / seconds;
            const left = rate > 0 ? `, ${duration((total - done) / rate)} left` : "";
            return `${count(done)} of ${plural(total, "response")}, ${rate.toFixed(rate < 10 ? 1 : 0)}/s${left}`;
          });
        },
      });
      progress.end();
      conclude(result, given, context, output, (performance.now() - started) / 1000);
      if (result.end === "stopped") process.exitCode = stopping.exitCode();
    } finally {
      progress.end();
      await verifiers.close();
      stopping[Symbol.dispose]();
    }
  },
});

function settingsOf(given: Options) {
  const { mode, extraction, strictness, cpu_seconds, memory_mb, pass_score } = given;
  return {
    mode,
    extraction,
    strictness,
    cpu_seconds,
    memory_mb,
    ...(pass_score !== undefined && { pass_score }),
  };
}

/** What decides verdicts: a journal made with other values is refused. */
function identityOf(given: Options): Readonly<Record<string, unknown>> {
  return { ...settingsOf(given), unsealed: given.unsealed, route: given.route, verifier: given.verifier };
}

async function describePlan(plan: GradingPlan, { route, unsealed }: Options, output: Output): Promise<void> {
  const kinds = [...plan.verifiers].map(([name, responses]) => `${name} ${count(responses)}`);
  output.say(`${plural(plan.rows, "row")}, ${plural(plan.responses, "response")}: ${kinds.join(", ")}`);
  if (plan.unfit.length > 0) {
    output.say(
      `${plural(plan.unfit.length, "row")} cannot be graded as they are, the first on line ${plan.unfit[0]!.line}: ${plan.unfit[0]!.problem}`,
    );
  }
  if (plan.verifiers.has("code") || plan.verifiers.has("checker")) output.say(await describeRoute(route));
  if (unsealed === "refuse") output.say("Verdicts of tests that must run beside the candidate are refused.");
}

/** Where programs run, and why there. */
async function describeRoute(route: Options["route"]): Promise<string> {
  if (route === "wasm") return "Programs run in WebAssembly, as asked: Python, JavaScript and TypeScript.";
  const { layout, proofs, remedy } = await nativeSelfTest();
  if (layout !== undefined)
    return "Programs run natively, under bubblewrap; its limits were proven just now.";
  const missing = proofs.filter(({ holds }) => !holds).map(({ limit }) => limit);
  const lack = `bubblewrap could not prove ${missing.join(", ")} here`;
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
