// One step, run: its options as a config file, and its command in a process of its own, as a person would type it. A process for each step gives the memory of
// a stage back as a whole, and a stage that the system ends takes nothing else with it.
import { fork } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { UserError } from "@posttrain/data";
import { writeDurably } from "@posttrain/run";
import { stringify } from "yaml";
import { exitCodes } from "../failure.js";
import type { CommonOptions } from "../options.js";
import { isStepsOwn } from "../settings.js";
import type { Step } from "./pipeline.js";

export interface StepRun {
  /** The file of the step's options. */
  readonly config: string;
  /** Flags behind it. */
  readonly flags: readonly string[];
  /** What the file says. */
  readonly text: string;
}

/** Writes the options of a step, its references as paths: with `flags`, what its command takes. */
export async function writeStepConfig(
  step: Step,
  outputDir: string,
  values: Readonly<Record<string, unknown>>,
): Promise<StepRun> {
  const folder = join(outputDir, "steps");
  const config = join(folder, `${step.name}.yaml`);
  await mkdir(folder, { recursive: true });
  const text = stringify(values);
  await writeDurably(config, `# posttrain ${step.command} --config ${config}\n${text}`);
  return { config, text, flags: step.kind.resumes === "checkpoint" ? ["--resume_from_checkpoint"] : [] };
}

/**
 * Runs it to its end; resolves to its exit code. `signal`: it is asked to stop, as by `asked`, which saves what it can. A process that the system ends is a
 * UserError `model_too_large` where memory may be the reason.
 */
export async function runStep(
  step: Step,
  { config, flags }: StepRun,
  context: CommonOptions,
  signal: AbortSignal,
  asked: () => NodeJS.Signals,
): Promise<number> {
  const machine = (["device", "threads", "cpu_path"] as const).flatMap((name) => {
    const value = step.machine[name] ?? context[name];
    return value === undefined ? [] : [`--${name}`, String(value)];
  });
  const talk = context.quiet ? ["--quiet"] : [];
  const args = [...step.command.split(" "), "--config", config, ...flags, ...machine, ...talk];
  // A group of its own: Ctrl-C reaches it once, through us.
  const child = fork(fileURLToPath(new URL("step-process.js", import.meta.url)), args, {
    detached: true,
    stdio: ["ignore", context.quiet ? "ignore" : context.json ? 2 : "inherit", "inherit", "ipc"],
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !isStepsOwn(name))),
  });
  const stop = (): unknown => child.kill(asked());
  signal.addEventListener("abort", stop);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on("error", reject).on("exit", (code, killed) => {
        if (code !== null) resolve(code);
        else if (killed === "SIGKILL") reject(killedByTheSystem(step));
        else if (signal.aborted) resolve(exitCodes.interrupted);
        else reject(new Error(`the process of step ${step.name} was ended by ${killed}`));
      });
    });
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** With the exit code of a machine that cannot do it. */
function killedByTheSystem({ name }: Step): UserError {
  return new UserError(
    "model_too_large",
    `The process of step ${name} was killed, most likely by the system for want of memory. posttrain plan says what its stage takes and what to lower; then run the pipeline again: it goes on in this step.`,
  );
}
