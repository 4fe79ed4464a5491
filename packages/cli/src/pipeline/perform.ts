// The steps of a pipeline, done: each as soon as what it reads is made, on workers as many at once as that allows, here one after the other. Books are kept of all of them.
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import type { Jobs } from "@posttrain/jobs";
import type { RunContext } from "../command.js";
import { exitCodes } from "../failure.js";
import { duration, plural, shellQuote } from "../format.js";
import type { Output } from "../output.js";
import { secondsSince } from "../speed.js";
import { stopOnSignal } from "../stopping.js";
import { version } from "../version.js";
import { decide, drop, setAside } from "./decide.js";
import { Books, findMade } from "./made.js";
import { type PipelineManifest, readManifest, type StepRecord, writeManifest } from "./manifest.js";
import type { Pipeline, Step } from "./pipeline.js";
import { runStep, writeStepConfig } from "./run-step.js";
import { runStepOnWorker } from "./stage-jobs.js";

/** What steps before --from have made, as it is. UserError `output_missing`. */
export async function takeEarlier(
  { steps, path }: Pipeline,
  range: readonly Step[],
  books: Books,
): Promise<void> {
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

interface Asked {
  /** The step to begin with, even where nothing has changed. */
  readonly from?: string | undefined;
  /** The command that goes on. */
  readonly again: string;
  /** Do the steps in place of processes of this one. */
  readonly workers: Jobs | undefined;
}

export async function performSteps(
  pipeline: Pipeline,
  range: readonly Step[],
  { from, again, workers }: Asked,
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
  let writing: Promise<void> = Promise.resolve();
  const note = (name: string, record: StepRecord): Promise<void> => {
    manifest = { ...manifest, posttrain: own, pipeline: path, steps: { ...manifest.steps, [name]: record } };
    const now = manifest;
    writing = writing.then(() => writeManifest(outputDir, now));
    return writing;
  };
  const books = new Books();
  await takeEarlier(pipeline, range, books);
  using stopping = stopOnSignal(() =>
    output.say(
      workers === undefined
        ? "Stopping: the step at hand saves what it can ..."
        : "Stopping: what workers have begun they end.",
    ),
  );
  stopping.begin();
  const started = performance.now();

  /** Undefined: it has not ended well, and nothing may build on it; the exit code says why. */
  const failed = new Map<string, number>();
  const perform = async (step: Step, head: string): Promise<Performed | undefined> => {
    const { name } = step;
    const of = (await books.identityOf(step, own)) as StepRecord["of"];
    const record = manifest.steps[name];
    const decision = await decide(path, step, record, of, name === from);
    if (decision.do === "skip") {
      books.note(name, decision.made);
      output.print(`${head}  unchanged: ${pathsOf(decision.made)}`);
      const before = record?.exit_code === exitCodes.ungraded ? exitCodes.ungraded : exitCodes.done;
      return { step: name, did: "skipped", made: decision.made, exit_code: before };
    }
    const outputs = Object.fromEntries(step.outputs);
    const begun: StepRecord = {
      ...{ state: "begun", of, outputs, made: {}, begun: new Date().toISOString() },
      ...(workers !== undefined && { on_worker: true }),
    };
    let exitCode: number = record?.exit_code ?? exitCodes.done;
    if (decision.do !== "settle") {
      if (decision.aside.length > 0) {
        await note(name, { ...begun, aside: [...decision.aside] });
        for (const target of await setAside(decision.aside)) output.print(`${head}  set aside: ${target}`);
      }
      // A worker may have it in hand, and drops by itself what another has left.
      if (!(workers !== undefined && record?.on_worker)) await drop(decision.drop);
      await note(name, begun);
      const step_ = await writeStepConfig(step, outputDir, valuesOf(step, books));
      output.print(`${head}  posttrain ${step.command}: ${decision.why}`);
      if (workers === undefined) {
        output.print(
          `    npx posttrain ${step.command} --config ${shellQuote(step_.config)}${step_.flags.map((flag) => ` ${flag}`).join("")}`,
        );
        output.print("");
        exitCode = await runStep(step, step_, context, stopping.signal, stopping.asked);
        output.print("");
      } else {
        const code = await runStepOnWorker(step, step_, workers, stopping.signal, (text) =>
          output.say(`${head}  ${text}`),
        );
        if (code === undefined) return undefined;
        exitCode = code;
      }
    }
    const ended = new Date().toISOString();
    const isDone =
      exitCode === exitCodes.done || exitCode === exitCodes.nothing || exitCode === exitCodes.ungraded;
    if (!isDone) {
      await note(name, { ...begun, exit_code: exitCode, ended });
      output.print(`${head}  stopped with exit code ${exitCode}. Go on: ${again}`);
      failed.set(name, exitCode);
      return undefined;
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
    return {
      ...{ step: name, made, exit_code: exitCode },
      did: decision.do === "begin" ? "run" : "gone on with",
    };
  };

  const ends = new Map<string, Promise<Performed | undefined>>();
  for (const [i, step] of range.entries()) {
    const read = step.inputs.flatMap(({ references }) => references.map((one) => one.step));
    // Here one after the other: memory is one machine's.
    const before = workers === undefined ? range.slice(0, i).map(({ name }) => name) : read;
    const waitsFor = before.flatMap((name) => ends.get(name) ?? []);
    const head = `[${i + 1}/${range.length}] ${step.name}`;
    const end = Promise.all(waitsFor).then((all) =>
      all.includes(undefined) || stopping.signal.aborted ? undefined : perform(step, head),
    );
    ends.set(step.name, end);
  }
  // What does not depend on a step that failed goes on; then the first error is told.
  const settled = await Promise.allSettled(ends.values());
  for (const end of settled) if (end.status === "rejected") throw end.reason;
  const performed = (await Promise.all(ends.values())).filter((one) => one !== undefined);

  const ran = performed.filter(({ did }) => did !== "skipped");
  const isWhole = performed.length === range.length;
  const [first] = range.flatMap(({ name }) => failed.get(name) ?? []);
  let code: number = isWhole ? exitCodes.done : (first ?? stopping.exitCode());
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
