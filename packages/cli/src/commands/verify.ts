// posttrain verify: responses in a file graded by rules: answers matched, programs run, instructions checked.
import { availableParallelism } from "node:os";
import { UserError } from "@posttrain/data";
import { fileDigest } from "@posttrain/run";
import { nativeSelfTest } from "@posttrain/sandbox";
import {
  type FileGrading,
  type GradingPlan,
  gradeFile,
  isModulePath,
  type OwnVerifier,
  openOwnVerifier,
  openVerifiers,
  programOptions,
  programSettings,
  readProblems,
  selfTest,
  unfitError,
  verifierNames,
  verifierSettings,
} from "@posttrain/verify";
import { z } from "zod";
import { defineCommand, type RunContext } from "../command.js";
import { exitCodes } from "../failure.js";
import { count, duration, plural } from "../format.js";
import { createOutput, type Output } from "../output.js";
import { openResultFile } from "../result-file.js";
import { secondsSince, timeLeft } from "../speed.js";
import { stopOnSignal } from "../stopping.js";
import { gradingNotes, selfTestTable, verdictList, verdictTable } from "../verification-report.js";

const options = z
  .strictObject({
    data: z.string().optional().describe("rows with responses, JSONL"),
    problems: z
      .string()
      .optional()
      .describe("what rows are graded with, JSONL, where they only name it: joined by task_id or id"),
    output: z
      .string()
      .optional()
      .describe("new file for rows and verdicts, resumable; default: standard output, nowhere on a terminal"),
    verifier: z
      .string()
      .min(1)
      .optional()
      .describe(
        `for every row, in place of what rows say: ${verifierNames.join(", ")}, or a module of your own, ./FILE.mjs or ./FILE.py, #NAME behind it for one of several functions`,
      ),
    mode: verifierSettings.shape.mode
      .unwrap()
      .default("own")
      .describe("whose conventions decide whether answers agree; rewards want own"),
    extraction: verifierSettings.shape.extraction
      .unwrap()
      .default("strict")
      .describe("lenient takes the last formula or number where no answer is announced"),
    strictness: verifierSettings.shape.strictness
      .unwrap()
      .default("strict")
      .describe("of instructions, as IFEval's two"),
    unsealed: z
      .enum(["accept", "refuse"])
      .default("accept")
      .describe("verdicts of tests that had to run beside the candidate"),
    extract: verifierSettings.shape.extract.describe("exact_match: what of a response is its answer (auto)"),
    ...programOptions,
    route: z
      .enum(["auto", "native", "wasm"])
      .default("auto")
      .describe("programs under bubblewrap or in WebAssembly; auto: bubblewrap where it is proven"),
    pass_score: z.number().optional().describe("for verifiers with a score: from where it passes (1)"),
    cpu_seconds: z.number().positive().max(3600).default(10).describe("CPU time of one program"),
    memory_mb: z.int().min(64).max(1_000_000).default(1024).describe("memory of one program, MiB"),
    self_test: z
      .boolean()
      .default(false)
      .describe(
        "grade canaries, known right, known wrong and hostile, in place of a file; with --verifier that one alone",
      ),
    timeout_seconds: z
      .number()
      .positive()
      .max(86_400)
      .default(10)
      .describe("wall time of a module of your own for one response"),
    concurrency: z
      .int()
      .min(1)
      .max(256)
      .optional()
      .describe("responses graded at once (default: one per core)"),
  })
  .superRefine(({ data, output, self_test }, context) => {
    if (data === undefined && !self_test)
      context.addIssue({
        code: "custom",
        message: "Missing: --data (rows with responses, JSONL), or --self_test",
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
    const concurrency = given.concurrency ?? availableParallelism();
    const stopping = stopOnSignal(() => output.say("Stopping after the responses under way ..."));
    const problems = given.problems === undefined ? undefined : await readProblems(given.problems);
    const own = await openOwn(given, concurrency);
    const verifiers = openVerifiers({
      ...settingsOf(given),
      concurrency,
      unsealed: given.unsealed,
      signal: stopping.signal,
      ...(given.route !== "auto" && { route: given.route }),
      ...(given.verifier !== undefined && { verifier: own ?? given.verifier }),
    });
    const silent = file !== undefined || context.json || process.stdout.isTTY;
    const rows = await openResultFile(undefined);
    const progress = output.progress();
    const started = performance.now();
    try {
      const result = await gradeFile({
        data: data!,
        verifiers,
        ...(file !== undefined && { output: file }),
        ...(problems !== undefined && { problems }),
        settings: {
          ...identityOf(given, own),
          ...(problems !== undefined && { problems: await fileDigest(problems.path) }),
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
      await verifiers.close();
      await own?.close();
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

function settingsOf(given: Options) {
  const { mode, extraction, extract, strictness, cpu_seconds, memory_mb, pass_score } = given;
  return {
    mode,
    extraction,
    strictness,
    cpu_seconds,
    memory_mb,
    ...(extract !== undefined && { extract }),
    ...(pass_score !== undefined && { pass_score }),
    ...programSettings(given),
  };
}

/** What decides verdicts: a journal made with other values is refused. */
function identityOf(given: Options, own: OwnVerifier | undefined): Readonly<Record<string, unknown>> {
  const { unsealed, route, verifier } = given;
  return {
    ...settingsOf(given),
    unsealed,
    route,
    verifier: own?.name ?? verifier ?? null,
    ...(own !== undefined && { verifier_sha256: own.digest }),
  };
}

function openOwn(given: Options, concurrency: number): Promise<OwnVerifier | undefined> {
  const { verifier, timeout_seconds: timeoutSeconds, pass_score: passScore } = given;
  if (verifier === undefined || !isModulePath(verifier)) return Promise.resolve(undefined);
  return openOwnVerifier(verifier, {
    concurrency,
    timeoutSeconds,
    ...(passScore !== undefined && { passScore }),
  });
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
  const missing = proofs.filter(({ holds }) => !holds).map(({ limit }) => limit);
  if (layout !== undefined) {
    const but = missing.length > 0 ? `, but for ${missing.join(", ")} (--self_test says why)` : "";
    return `Programs run natively, under bubblewrap; its limits were proven just now${but}.`;
  }
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
