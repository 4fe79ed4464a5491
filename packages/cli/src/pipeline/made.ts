// What steps have made, found on disk, and what a step's result is a function of.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { dataDigest, UserError } from "@posttrain/data";
import { type Identity, newestCheckpoint } from "@posttrain/run";
import { isModulePath } from "@posttrain/verify";
import { contentDigest } from "./digest.js";
import { changeNothing, checkpointName } from "./kinds.js";
import type { StepRecord } from "./manifest.js";
import { type Input, type Pipeline, type Reference, referencesIn, type Step, withPaths } from "./pipeline.js";

type Made = StepRecord["made"];

/** What the steps so far have made: filled as they end. */
export class Books {
  readonly #made = new Map<string, Made>();
  /** Of files and folders that no step makes. */
  readonly #digests = new Map<string, Promise<string | undefined>>();

  note(step: string, made: Made): void {
    this.#made.set(step, made);
  }

  /** The path and the digest of what a reference stands for; undefined: its step has not ended. */
  of({ step, made }: Reference): Made[string] | undefined {
    return this.#made.get(step)?.[made];
  }

  /** The path that an input leads to, without an amount behind it; undefined where a step before it has not ended. */
  pathOf(step: Step, input: Input): string | undefined {
    const value = this.valueOf(input.text);
    return value === undefined ? undefined : splitAmount(step, input.option, value)[0];
  }

  /** Text with paths in place of its references. */
  valueOf(text: string): string | undefined {
    const found = referencesIn(text).map((reference) => this.of(reference));
    if (found.includes(undefined)) return undefined;
    return withPaths(text, (reference) => (this.of(reference) as Made[string]).path);
  }

  /** Command, version, options that change something, and the digests of what is read; undefined where a step before it has not ended. */
  async identityOf(step: Step, version: string): Promise<Identity | undefined> {
    const identity: Record<string, unknown> = { run: step.command, posttrain: version };
    const inputs = step.inputs.filter((input) => isPath(step, input));
    const read = new Set(inputs.map(({ option }) => option));
    for (const [name, value] of Object.entries(step.options)) {
      const role = step.shape[name]?.meta()?.["identity"];
      const counts =
        role !== "free" && !changeNothing.has(name) && !step.outputs.has(name) && !read.has(name);
      if (counts && value !== undefined) identity[name] = value;
    }
    for (const option of read) {
      const digests: string[] = [];
      for (const input of inputs.filter((one) => one.option === option)) {
        const digest = await this.#digestOf(step, input);
        if (digest === undefined) return undefined;
        digests.push(digest);
      }
      identity[option] = digests;
    }
    return identity;
  }

  async #digestOf(step: Step, input: Input): Promise<string | undefined> {
    const value = this.valueOf(input.text);
    if (value === undefined) return undefined;
    const [path, amount] = splitAmount(step, input.option, value);
    const [only] = input.references;
    const isWhole = only !== undefined && this.of(only)?.path === path;
    const digest = isWhole ? this.of(only)?.sha256 : await this.#digest(path);
    if (digest === undefined) throw new UserError("no_such_input", missingInput(step, input, path));
    return digest + amount;
  }

  #digest(path: string): Promise<string | undefined> {
    const known = this.#digests.get(path) ?? digestOf(path);
    this.#digests.set(path, known);
    return known;
  }
}

/** Of a path, or of rows that are named otherwise: several files by a pattern. */
async function digestOf(path: string): Promise<string | undefined> {
  return (await contentDigest(path)) ?? dataDigest(path).catch(() => undefined);
}

/** FILE=0.5 as FILE and =0.5, of options that take an amount; a module's function is cut off. */
function splitAmount(step: Step, option: string, text: string): readonly [path: string, amount: string] {
  const pattern = step.kind.amounts?.includes(option)
    ? /^(.*)(=[^=/]*)$/s
    : isModuleOption(step, option)
      ? /^([^#]*)(#.*)$/s
      : undefined;
  const [, path = text, amount = ""] = pattern?.exec(text) ?? [];
  return [path, amount];
}

const isModuleOption = ({ kind }: Step, option: string): boolean =>
  kind.reads[option]?.includes("module") === true;

/** A verifier is a name, or the path of a module. */
export function isPath(step: Step, { option, text }: Input): boolean {
  return !isModuleOption(step, option) || isModulePath(text);
}

function missingInput({ name }: Step, { option }: Input, path: string): string {
  return `step ${name}: ${option} ${path} does not exist.`;
}

/** Inputs of these steps that no step makes and that are not there. */
export async function missingInputs(
  { path: file }: Pipeline,
  steps: readonly Step[],
): Promise<readonly { readonly line: number; readonly text: string }[]> {
  const missing: { line: number; text: string }[] = [];
  for (const step of steps) {
    for (const input of step.inputs) {
      if (input.references.length > 0 || !isPath(step, input)) continue;
      const [path] = splitAmount(step, input.option, input.text);
      if ((await stat(path).catch(() => undefined)) ?? (await digestOf(path))) continue;
      missing.push({
        line: input.line,
        text: `${file}, line ${input.line}: ${missingInput(step, input, path)} Paths are relative to the folder where the command runs.`,
      });
    }
  }
  return missing;
}

/** Where what a step makes under a name lies now; undefined: it is not there. */
async function locate(step: Step, name: string): Promise<string | undefined> {
  const place = step.outputs.get(step.kind.writes) as string;
  if (step.kind.resumes === "checkpoint" && !checkpointName.test(name)) {
    const there = await stat(place).catch(() => undefined);
    return there === undefined ? undefined : (await newestCheckpoint(place)).checkpoint?.dir;
  }
  const file = step.kind.makes[name]?.file ?? (checkpointName.test(name) ? name : undefined);
  const path = file === undefined ? place : join(place, file);
  return (await stat(path).catch(() => undefined)) === undefined ? undefined : path;
}

/** What a step is for, and what others want of it. `missing`: names of what is not there. */
export async function findMade(
  step: Step,
): Promise<{ readonly made: Made; readonly missing: readonly string[] }> {
  const made: Made = {};
  const missing: string[] = [];
  const [first] = Object.keys(step.kind.makes) as [string];
  for (const name of new Set([first, ...step.wanted])) {
    const path = await locate(step, name);
    const sha256 = path === undefined ? undefined : await contentDigest(path);
    if (path === undefined || sha256 === undefined) missing.push(name);
    else made[name] = { path, sha256 };
  }
  return { made, missing };
}
