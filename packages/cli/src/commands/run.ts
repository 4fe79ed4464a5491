// posttrain run: the steps of a pipeline, each by its own command, in the order of what they read from each other.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { lockProgressFolder } from "@posttrain/run";
import { z } from "zod";
import { columns } from "../columns.js";
import { defineCommand, type RunContext } from "../command.js";
import { exitCodes } from "../failure.js";
import { duration, plural, shellQuote } from "../format.js";
import { nearest } from "../nearest.js";
import { createOutput, type Output } from "../output.js";
import { type Decision, decide, drop, setAside } from "../pipeline/decide.js";
import { Books, findMade, missingInputs } from "../pipeline/made.js";
import { type PipelineManifest, readManifest, type StepRecord, writeManifest } from "../pipeline/manifest.js";
import { badPipeline, openPipeline, type Pipeline, type Step } from "../pipeline/pipeline.js";
import { runStep, writeStepConfig } from "../pipeline/run-step.js";
import { secondsSince } from "../speed.js";
import { stopOnSignal } from "../stopping.js";
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
      await perform(pipeline, range, given, context, output);
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

/** What steps before --from have made, as it is. UserError `output_missing`. */
async function takeEarlier({ steps, path }: Pipeline, range: readonly Step[], books: Books): Promise<void> {
  const wanted = new Set(
    range.flatMap(({ inputs }) => inputs.flatMap(({ references }) => references.map(({ step }) => step))),
  );
  for (const step of steps.slice(0, steps.indexOf(range[0] as Step))) {
    if (!wanted.has(step.name)) continue;
    const { made, missing } = await findMade(step);
    const lost = missing.filter((name) => step.wanted.has(name));
    if (lost.length > 0)
      throw new UserError(
        "output_missing",
        `${path}, line ${step.line}: step ${step.name} has made no ${lost.join(", ")} yet, which steps from ${range[0]?.name} on read. Run it first: leave --from out.`,
      );
    books.note(step.name, made);
  }
}

interface Performed {
  readonly step: string;
  readonly did: "skipped" | "run" | "gone on with";
  readonly made: StepRecord["made"];
  readonly exit_code: number;
}

async function perform(
  pipeline: Pipeline,
  range: readonly Step[],
  given: Options,
  context: RunContext,
  output: Output,
): Promise<void> {
  const { outputDir, path } = pipeline;
  const own = version();
  let manifest: PipelineManifest = (await readManifest(outputDir)) ?? {
    schema: "pipeline@1",
    posttrain: own,
    pipeline: path,
    steps: {},
  };
  const note = async (name: string, record: StepRecord): Promise<void> => {
    manifest = { ...manifest, posttrain: own, pipeline: path, steps: { ...manifest.steps, [name]: record } };
    await writeManifest(outputDir, manifest);
  };
  const books = new Books();
  await takeEarlier(pipeline, range, books);
  using stopping = stopOnSignal(() => output.say("Stopping: the step at hand saves what it can ..."));
  stopping.begin();
  const started = performance.now();
  const performed: Performed[] = [];
  let code: number = exitCodes.done;
  for (const [i, step] of range.entries()) {
    const { name } = step;
    if (stopping.signal.aborted) break;
    const of = (await books.identityOf(step, own)) as StepRecord["of"];
    const record = manifest.steps[name];
    const decision = await decide(path, step, record, of, name === given.from);
    const head = `[${i + 1}/${range.length}] ${name}`;
    if (decision.do === "skip") {
      books.note(name, decision.made);
      output.print(`${head}  unchanged: ${pathsOf(decision.made)}`);
      const before = record?.exit_code === exitCodes.ungraded ? exitCodes.ungraded : exitCodes.done;
      performed.push({ step: name, did: "skipped", made: decision.made, exit_code: before });
      continue;
    }
    const outputs = Object.fromEntries(step.outputs);
    const begun: StepRecord = { state: "begun", of, outputs, made: {}, begun: new Date().toISOString() };
    let exitCode: number = record?.exit_code ?? exitCodes.done;
    if (decision.do !== "settle") {
      if (decision.aside.length > 0) {
        await note(name, { ...begun, aside: [...decision.aside] });
        for (const target of await setAside(decision.aside)) output.print(`${head}  set aside: ${target}`);
      }
      await drop(decision.drop);
      await note(name, begun);
      const step_ = await writeStepConfig(step, outputDir, valuesOf(step, books));
      output.print(`${head}  posttrain ${step.command}: ${decision.why}`);
      output.print(
        `    npx posttrain ${step.command} --config ${shellQuote(step_.config)}${step_.flags.map((flag) => ` ${flag}`).join("")}`,
      );
      output.print("");
      exitCode = await runStep(step, step_, context, stopping.signal, stopping.asked);
      output.print("");
    }
    const ended = new Date().toISOString();
    const isDone =
      exitCode === exitCodes.done || exitCode === exitCodes.nothing || exitCode === exitCodes.ungraded;
    if (!isDone) {
      await note(name, { ...begun, exit_code: exitCode, ended });
      output.print(`${head}  stopped with exit code ${exitCode}. Go on: ${again(given)}`);
      code = exitCode;
      break;
    }
    const { made, missing } = await findMade(step);
    if (missing.length > 0) {
      await note(name, { ...begun, exit_code: exitCode, ended });
      throw new UserError("output_missing", missingText(path, step, missing));
    }
    exitCode = exitCode === exitCodes.nothing ? exitCodes.done : exitCode;
    await note(name, { ...begun, state: "done", made, exit_code: exitCode, ended });
    books.note(name, made);
    output.print(`${head}  done: ${pathsOf(made)}\n`);
    performed.push({
      step: name,
      did: decision.do === "begin" ? "run" : "gone on with",
      made,
      exit_code: exitCode,
    });
  }
  const ran = performed.filter(({ did }) => did !== "skipped");
  const isWhole = performed.length === range.length;
  if (!isWhole && code === exitCodes.done) code = stopping.exitCode();
  if (isWhole) {
    const ungraded = performed.filter(({ exit_code }) => exit_code === exitCodes.ungraded);
    if (ungraded.length > 0) {
      code = exitCodes.ungraded;
      output.say(
        `Not all could be graded in ${ungraded.map(({ step }) => step).join(", ")}: --from tries a step again.`,
      );
    } else if (ran.length === 0) code = exitCodes.nothing;
    output.print(
      ran.length === 0
        ? `Nothing is left to do: ${plural(performed.length, "step")} unchanged.`
        : `${plural(ran.length, "step")} run in ${duration(secondsSince(started))}, ${performed.length - ran.length} unchanged.`,
    );
  }
  output.result({
    quiet: performed.map(({ made }) => pathsOf(made)).join("\n"),
    json: {
      end: isWhole ? "done" : "stopped",
      steps: performed,
      output_dir: outputDir,
      manifest: join(outputDir, "pipeline.json"),
    },
  });
  process.exitCode = code;
}

function missingText(path: string, step: Step, missing: readonly string[]): string {
  const saved =
    step.kind.resumes === "checkpoint"
      ? " A run has the checkpoints of its save_steps, as far as save_total_limit keeps them, and its last."
      : "";
  return `${path}, line ${step.line}: step ${step.name} has ended and made no ${missing.join(", ")}, which other steps read.${saved}`;
}

/** What the step's config says: what the file gives, with paths in place of references. */
function valuesOf(step: Step, books: Books): Readonly<Record<string, unknown>> {
  const read = new Set(step.inputs.map(({ option }) => option));
  const path = (text: unknown): unknown => (typeof text === "string" ? books.valueOf(text) : text);
  return Object.fromEntries(
    step.given.map((name) => {
      const value = step.options[name];
      if (!read.has(name)) return [name, value];
      return [name, Array.isArray(value) ? value.map(path) : path(value)];
    }),
  );
}

const pathsOf = (made: StepRecord["made"]): string =>
  [...new Set(Object.values(made).map(({ path }) => path))].join(", ");

const again = ({ pipeline, to }: Options): string =>
  `npx posttrain run ${shellQuote(pipeline)}${to === undefined ? "" : ` --to ${to}`}`;

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
