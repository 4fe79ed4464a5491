// A command of a pipeline's kind as a job: its options as text, done by a worker in a process of its own. What it reads and writes are files of a folder that the machines
// share, named relative to it. A job that is begun again goes on from its newest checkpoint or its journal.
import { fork } from "node:child_process";
import { mkdir, readFile, rm } from "node:fs/promises";
import { isAbsolute, join, normalize, resolve, sep } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { shortened, UserError } from "@posttrain/data";
import { defineHandler, defineKind, GivenBack, type Handler, type JobContext } from "@posttrain/jobs";
import { lockFile, writeDurably } from "@posttrain/run";
import { isModulePath } from "@posttrain/verify";
import { parse } from "yaml";
import { z } from "zod";
import { exitCodes } from "../failure.js";
import { isStepsOwn } from "../settings.js";
import { type Kind, kinds } from "./kinds.js";

/** The command that runs a whole pipeline. */
export const PIPELINE = "run";
export const stageCommands = [PIPELINE, ...Object.keys(kinds)] as [string, ...string[]];

export const stageKind = defineKind({
  name: "stage",
  payload: z.strictObject({
    /** "sft", "dpo pairs", "run". */
    command: z.enum(stageCommands),
    /** YAML, as of --config; of a pipeline its file. */
    config: z.string(),
  }),
  result: z.strictObject({ exit_code: z.int() }),
});

export interface StageWorker {
  /** The folder that the machines share. */
  readonly folder: string;
  /** Flags behind a command's own: device, threads, cpu_path. */
  readonly machine: readonly string[];
  /** Modules of the user's own that a job may name, as they are named there. */
  readonly modules: readonly string[];
}

/** A stage's process says nothing to Redis: what it says of its progress stands in its run folder. */
const LOOK_MS = 2000;
const TAIL = 4000;

export function stageHandler(worker: StageWorker): Handler {
  return defineHandler(stageKind, async ({ command, config }, context) => {
    const kind = kinds[command] ?? pipelineItself;
    const values = optionsOf(config);
    for (const [name, options] of stepsOf(command, values))
      checkPaths(name, kinds[name] ?? pipelineItself, options, worker);
    const folder = join(worker.folder, ".posttrain-jobs");
    const file = join(folder, `${context.id}.yaml`);
    await mkdir(folder, { recursive: true });
    await writeDurably(file, config);
    const output = resolve(worker.folder, String(values[kind.writes] ?? ""));
    if (kind.writes === "output_dir") await untilUnlocked(output, context);
    const args = [
      ...[...command.split(" "), ...(command === PIPELINE ? [file] : ["--config", file])],
      ...(kind.resumes === "checkpoint" ? ["--resume_from_checkpoint"] : []),
      ...worker.machine,
    ];
    const { code, said } = await runProcess(args, worker.folder, output, context);
    if (code === exitCodes.interrupted || code === exitCodes.terminated) throw new GivenBack();
    const isDone =
      code === exitCodes.done ||
      code === exitCodes.nothing ||
      code === exitCodes.ungraded ||
      code === exitCodes.alarm;
    if (!isDone) {
      const why = `posttrain ${command} ended with exit code ${code}: ${shortened(said.trim(), 1500)}`;
      throw code === exitCodes.mistake ? new UserError("stage_failed", why) : new Error(why);
    }
    await rm(file, { force: true });
    return { exit_code: code === exitCodes.nothing ? exitCodes.done : code };
  });
}

/** Of a pipeline's own file: its steps keep their books, and are gone on with. */
const pipelineItself: Kind = { reads: {}, writes: "output_dir", makes: {}, resumes: "journal" };

type Options = Readonly<Record<string, unknown>>;

/** Commands and their options: one, or a pipeline's steps and itself. */
function stepsOf(command: string, values: Options): readonly (readonly [string, Options])[] {
  const steps = command === PIPELINE ? Object.values((values["steps"] ?? {}) as Record<string, Options>) : [];
  return [[command, values], ...steps.map((step) => [String(step?.["run"]), step ?? {}] as const)];
}

function optionsOf(config: string): Options {
  const values: unknown = parse(config);
  if (typeof values !== "object" || values === null || Array.isArray(values))
    throw new UserError("bad_config", "the job's config is no mapping of options.");
  return values as Options;
}

/** A job names files below the shared folder, and no code but what this worker was started with. UserError `bad_config`. */
function checkPaths(
  command: string,
  { reads, writes, writesToo = [] }: Kind,
  values: Options,
  { modules }: StageWorker,
): void {
  const refuse = (option: string, text: string, why: string): never => {
    throw new UserError("bad_config", `posttrain ${command}: ${option} is ${JSON.stringify(text)}, ${why}.`);
  };
  const paths = [...Object.keys(reads), writes, ...writesToo, "weights_dir"];
  for (const [option, value] of Object.entries(values)) {
    for (const text of [value].flat()) {
      if (typeof text !== "string") continue;
      const isModule = option === "reward_funcs" || reads[option]?.includes("module") === true;
      if (isModule && isModulePath(text) && !modules.includes(text))
        refuse(option, text, "which this worker was not started with: give it --verifier");
      if (isModule || !paths.includes(option)) continue;
      if (isAbsolute(text) || normalize(text).split(sep)[0] === "..")
        refuse(option, text, "expected a path below the folder that the workers share");
    }
  }
}

/** A worker that was overtaken may still be writing: its process ends when it hears of it. */
async function untilUnlocked(output: string, { cancelled, log }: JobContext): Promise<void> {
  await mkdir(output, { recursive: true });
  for (let said = false; ; said = true) {
    cancelled.throwIfAborted();
    const lock = await lockFile(join(output, ".lock"));
    if (!("holder" in lock)) {
      lock.close();
      return;
    }
    if (!said) log(`${output} is being written by another process: waiting for its end`);
    await wait(1000, undefined, { signal: cancelled });
  }
}

async function runProcess(
  args: readonly string[],
  cwd: string,
  output: string,
  { cancelled, ending, log, report }: JobContext,
): Promise<{ readonly code: number; readonly said: string }> {
  const script = fileURLToPath(new URL("step-process.js", import.meta.url));
  const child = fork(script, [...args], {
    ...{ cwd, detached: true, stdio: ["ignore", "pipe", "pipe", "ipc"] },
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !isStepsOwn(name))),
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      if (stream === child.stderr) said = (said + text).slice(-TAIL);
      for (const line of text.split("\n")) if (line.trim() !== "") log(line);
    });
  }
  const kill = (): unknown => child.kill("SIGKILL");
  const ask = (): unknown => child.kill("SIGTERM");
  cancelled.addEventListener("abort", kill);
  ending.addEventListener("abort", ask);
  const timer = setInterval(() => void progressIn(output).then((known) => known && report(known)), LOOK_MS);
  try {
    const code = await new Promise<number>((done, reject) => {
      child.on("error", reject).on("close", (status, signal) => {
        if (status !== null) done(status);
        else reject(new Error(`the process of posttrain ${args[0]} was ended by ${signal}`));
      });
    });
    return { code, said };
  } finally {
    clearInterval(timer);
    cancelled.removeEventListener("abort", kill);
    ending.removeEventListener("abort", ask);
  }
}

const logged = z.object({ current_steps: z.number(), total_steps: z.number() });

/** From the last line of a run's trainer_log.jsonl. */
async function progressIn(output: string) {
  const text = await readFile(join(output, "trainer_log.jsonl"), "utf8").catch(() => "");
  const last = text.trimEnd().split("\n").at(-1) ?? "";
  try {
    const { current_steps: done, total_steps: total } = logged.parse(JSON.parse(last));
    return { done, total, of: "steps" };
  } catch {
    return undefined; // no line yet, or half of one
  }
}
