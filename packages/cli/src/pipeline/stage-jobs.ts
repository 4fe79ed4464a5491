// A command of a pipeline's kind as a job: its options as text, done by a worker in a process of its own. What it reads and writes are files of a folder that the machines
// share, named relative to it. A job that is begun again goes on from its newest checkpoint or its journal.
import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { dirname, isAbsolute, join, normalize, resolve, sep } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { shortened, UserError } from "@posttrain/data";
import {
  defineHandler,
  defineKind,
  GivenBack,
  type Handler,
  type JobContext,
  type Jobs,
} from "@posttrain/jobs";
import { lockFile, writeDurably } from "@posttrain/run";
import { isModulePath } from "@posttrain/verify";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { exitCodes } from "../failure.js";
import { isStepsOwn } from "../settings.js";
import { type Kind, kinds } from "./kinds.js";
import type { Step } from "./pipeline.js";
import type { StepRun } from "./run-step.js";

export const stageCommands = Object.keys(kinds) as [string, ...string[]];

const result = z.strictObject({ exit_code: z.int() });

export const stageKind = defineKind({
  name: "stage",
  /** "sft", "dpo pairs"; YAML, as of --config. */
  payload: z.strictObject({ command: z.enum(stageCommands), config: z.string() }),
  result,
});

/** A whole pipeline: its file. Whoever has the job only queues the steps as what they read is made, so it has a queue of its own: it takes no stage's place. */
export const pipelineKind = defineKind({
  name: "pipeline",
  payload: z.strictObject({ config: z.string() }),
  result,
});

export interface StageWorker {
  /** The folder that the machines share. */
  readonly folder: string;
  /** Flags behind a command's own: device, threads, cpu_path. */
  readonly machine: readonly string[];
  /** Where the steps of a pipeline are queued. */
  readonly redis: string;
  /** Modules of the user's own that a job may name, as they are named there. */
  readonly modules: readonly string[];
}

/** A stage's process says nothing to Redis: what it says of its progress stands in its run folder. */
const LOOK_MS = 2000;
const TAIL = 4000;

/** Stages, and the pipelines that are made of them. */
export function stageHandlers(worker: StageWorker): readonly Handler[] {
  return [
    defineHandler(stageKind, async ({ command, config }, context) => {
      const kind = kinds[command] as Kind;
      const values = optionsOf(config);
      checkPaths(command, kind, values, worker);
      const output = resolve(worker.folder, String(values[kind.writes] ?? ""));
      if (kind.resumes === "checkpoint") await untilUnlocked(output, context);
      const outputs = [kind.writes, ...(kind.writesToo ?? [])].flatMap((option) => values[option] ?? []);
      return withFile(worker, config, context, async (file) => {
        if (kind.resumes === "never")
          await dropLeftovers(
            `${file}.began`,
            outputs.map((path) => resolve(worker.folder, String(path))),
          );
        const resume = kind.resumes === "checkpoint" ? ["--resume_from_checkpoint"] : [];
        const args = [...command.split(" "), "--config", file, ...resume, ...worker.machine];
        return perform(command, args, {}, worker.folder, output, context);
      });
    }),
    defineHandler(pipelineKind, async ({ config }, context) => {
      const values = optionsOf(config);
      checkPaths("run", pipelineItself, values, worker);
      for (const step of Object.values((values["steps"] ?? {}) as Record<string, Options>)) {
        const command = String(step?.["run"]);
        checkPaths(command, kinds[command] ?? pipelineItself, step ?? {}, worker);
      }
      const output = resolve(worker.folder, String(values["output_dir"] ?? ""));
      await untilUnlocked(output, context);
      // Not as a flag: it may have a password.
      const env = { POSTTRAIN_REDIS: worker.redis };
      return withFile(worker, config, context, (file) =>
        perform("run", ["run", file], env, worker.folder, output, context),
      );
    }),
  ];
}

/** The job's config as a file of the shared folder, until it is done. */
async function withFile(
  { folder }: StageWorker,
  config: string,
  { id }: JobContext,
  body: (file: string) => Promise<number>,
): Promise<{ readonly exit_code: number }> {
  const file = join(folder, ".posttrain-jobs", `${id}.yaml`);
  await mkdir(dirname(file), { recursive: true });
  await writeDurably(file, config);
  const code = await body(file);
  await rm(`${file}.began`, { force: true });
  await rm(file, { force: true });
  return { exit_code: code };
}

/** Of a command that begins anew: what it left when its worker was lost goes first. What was there before the job is not its own, and is for the command to refuse. */
async function dropLeftovers(mark: string, outputs: readonly string[]): Promise<void> {
  const there = outputs.filter((path) => existsSync(path));
  if (existsSync(mark)) for (const path of there) await rm(path, { recursive: true, force: true });
  else if (there.length === 0) await writeDurably(mark, "");
}

/** Resolves to the exit code of a command that has done what it can. */
async function perform(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  cwd: string,
  output: string,
  context: JobContext,
): Promise<number> {
  const { code, said } = await runProcess(args, env, cwd, output, context);
  switch (code) {
    case exitCodes.interrupted:
    case exitCodes.terminated:
      throw new GivenBack();
    case exitCodes.nothing:
      return exitCodes.done;
    case exitCodes.done:
    case exitCodes.ungraded:
    case exitCodes.alarm:
      return code;
    default: {
      const why = `posttrain ${command} ended with exit code ${code}: ${shortened(said.trim(), 1500)}`;
      throw code === exitCodes.mistake ? new UserError("stage_failed", why) : new Error(why);
    }
  }
}

/** Of a pipeline's own file: its steps keep their books, and are gone on with. */
const pipelineItself: Kind = { reads: {}, writes: "output_dir", makes: {}, resumes: "journal" };

type Options = Readonly<Record<string, unknown>>;

function optionsOf(config: string): Options {
  const values: unknown = parse(config);
  if (typeof values !== "object" || values === null || Array.isArray(values))
    throw new UserError("bad_config", "the job's config is no mapping of options.");
  return values as Options;
}

/** As runStep(), by a worker; undefined: `signal` came first, and the worker goes on. */
export async function runStepOnWorker(
  { name, command, machine }: Step,
  { text }: StepRun,
  jobs: Jobs,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<number | undefined> {
  const own = Object.fromEntries(Object.entries(machine).filter(([, value]) => value !== undefined));
  const config = Object.keys(own).length === 0 ? text : text + stringify(own);
  const batch = jobs.submit(stageKind, [{ payload: { command, config }, label: `${command} ${name}` }]);
  say(`job ${batch.ids[0]?.slice(0, 12)}`);
  const leave = (): unknown => batch.leave().catch(() => undefined);
  signal.addEventListener("abort", leave);
  try {
    for await (const outcome of batch) {
      if (outcome.state === "done") return outcome.result.exit_code;
      say(`failed: ${outcome.error}`);
      return exitCodes.mistake;
    }
    return undefined;
  } finally {
    signal.removeEventListener("abort", leave);
  }
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
  own: NodeJS.ProcessEnv,
  cwd: string,
  output: string,
  { cancelled, ending, log, report }: JobContext,
): Promise<{ readonly code: number; readonly said: string }> {
  const script = fileURLToPath(new URL("step-process.js", import.meta.url));
  const child = fork(script, [...args], {
    ...{ cwd, detached: true, stdio: ["ignore", "pipe", "pipe", "ipc"] },
    env: {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !isStepsOwn(name))),
      ...own,
    },
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
