// A pipeline that has been checked as a whole before anything runs: every step's options by its command's own schema, every reference, who writes where,
// and the order that references ask for.
import { join, relative, resolve, sep } from "node:path";
import { UserError } from "@posttrain/data";
import type { z } from "zod";
import type { CommandList } from "../command.js";
import type { Problem } from "../config-file.js";
import { nearest } from "../nearest.js";
import { type CommonOptions, knowsAll, resolveOptions } from "../options.js";
import { type Setting, settingLabel } from "../settings.js";
import { lineOf, readPipelineFile, type WrittenStep } from "./file.js";
import { type Kind, kinds, madeAs, pipelinesOwn, type Thing } from "./kinds.js";

/** What another step makes. */
export interface Reference {
  readonly step: string;
  readonly made: string;
}

/** A path that a step reads. */
export interface Input {
  readonly option: string;
  readonly line: number;
  /** As written: a path, or text with references in it. */
  readonly text: string;
  readonly references: readonly Reference[];
}

export interface Step {
  readonly name: string;
  readonly line: number;
  readonly command: string;
  readonly kind: Kind;
  readonly shape: z.ZodObject["shape"];
  /** Values by the schema, defaults among them; references stand as they were written. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Names of those that the file gives, and what the pipeline gives: where it writes. */
  readonly given: readonly string[];
  readonly machine: Pick<CommonOptions, "device" | "threads" | "cpu_path">;
  readonly inputs: readonly Input[];
  /** Option → path of what it writes, the first being what the step is for. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Names under which others read what it makes. */
  readonly wanted: ReadonlySet<string>;
}

export interface Pipeline {
  readonly path: string;
  readonly outputDir: string;
  /** In the order in which they run. */
  readonly steps: readonly Step[];
}

/** `${step.made}` */
const reference = /\$\{\s*([^\s.{}]+)\.([^\s{}]+)\s*\}/g;
const spelling = `\${step.checkpoint}, with the name of a step and of what it makes`;

export function referencesIn(text: string): readonly Reference[] {
  return [...text.matchAll(reference)].map(([, step, made]) => ({
    step: step as string,
    made: made as string,
  }));
}

/** `text` with a path in place of each reference. */
export function withPaths(text: string, pathOf: (reference: Reference) => string): string {
  return text.replaceAll(reference, (_, step: string, made: string) => pathOf({ step, made }));
}

/** UserError `bad_pipeline` with all that is wrong, each with file, line and field; `bad_config`. */
export async function openPipeline(path: string, commands: CommandList): Promise<Pipeline> {
  const file = await readPipelineFile(path);
  const problems: Problem[] = [...file.problems];
  const complain = (line: number, what: string): void => {
    problems.push({ line, text: `${path}, line ${line}: ${what}` });
  };
  const written = new Map(file.steps.map((step) => [step.name, step]));
  const steps: Step[] = [];
  for (const step of file.steps) {
    const checked = await checkStep(step, file.outputDir, commands, problems, complain);
    if (checked !== undefined) steps.push(checked);
  }
  for (const step of steps) checkReferences(step, written, complain);
  checkOutputs(steps, file.outputDir, complain);
  const order = inOrder(steps, complain);
  if (file.steps.length === 0 && problems.length === 0) complain(1, "there are no steps.");
  if (problems.length > 0) throw badPipeline(path, problems);
  const wanted = wantedOf(steps);
  const ordered = order.map((step) => ({ ...step, wanted: wanted.get(step.name) ?? new Set<string>() }));
  return { path, outputDir: file.outputDir, steps: ordered };
}

export function badPipeline(path: string, problems: readonly Problem[]): UserError {
  const texts = [...problems].sort((a, b) => a.line - b.line).map(({ text }) => text);
  const [only] = texts;
  return new UserError(
    "bad_pipeline",
    texts.length === 1 && only !== undefined
      ? only
      : `${path}: ${texts.length} things are wrong\n${texts.map((text) => `  ${text}`).join("\n")}`,
  );
}

async function checkStep(
  { name, line, command: commandName, settings }: WrittenStep,
  outputDir: string,
  commands: CommandList,
  problems: Problem[],
  complain: (line: number, what: string) => void,
): Promise<Step | undefined> {
  const kind = Object.hasOwn(kinds, commandName) ? kinds[commandName] : undefined;
  if (kind === undefined) {
    const known = Object.keys(kinds);
    const near = nearest(commandName, known);
    const why = commands.has(commandName)
      ? `posttrain ${commandName} makes nothing that a step could be for`
      : `there is no command ${commandName}`;
    complain(
      line,
      `step ${name}: ${why}.${near === undefined ? "" : ` Did you mean ${near}?`} Steps: ${known.join(", ")}.`,
    );
    return undefined;
  }
  const own: Setting[] = [];
  for (const setting of settings) {
    const why = Object.hasOwn(pipelinesOwn, setting.name) ? pipelinesOwn[setting.name] : undefined;
    if (why === undefined) own.push(setting);
    else complain(lineOf(setting), `step ${name}: ${setting.name} is not a step's to give: ${why}.`);
  }
  const command = await commands.load(commandName);
  if (!own.some((setting) => setting.name === kind.writes)) {
    const place = join(outputDir, kind.writes === "output" ? `${name}.jsonl` : name);
    own.push({ name: kind.writes, value: place, source: { kind: "file", path: "", line } });
  }
  const { problems: found, resolved } = resolveOptions(commandName, command.options, own, {
    ...(knowsAll(command.options, own) ? {} : { elsewhere: await commands.owners() }),
  });
  // A problem of no line of its own concerns the step.
  for (const problem of found) {
    if (Number.isFinite(problem.line)) problems.push(problem);
    else complain(line, `step ${name}: ${problem.text}`);
  }
  const inputs = own.flatMap((setting) => inputsOf(setting, kind, complain));
  const outputs = new Map<string, string>();
  for (const option of [kind.writes, ...(kind.writesToo ?? [])]) {
    const value = own.find((setting) => setting.name === option)?.value;
    if (typeof value === "string") outputs.set(option, value);
  }
  const { options = {}, common, sources = new Map() } = resolved ?? {};
  return {
    ...{ name, line, command: commandName, kind, shape: command.options.shape, options, inputs, outputs },
    given: [...sources.keys()],
    machine: { device: common?.device, threads: common?.threads, cpu_path: common?.cpu_path },
    wanted: new Set(),
  };
}

function inputsOf(
  setting: Setting,
  { reads }: Kind,
  complain: (line: number, what: string) => void,
): readonly Input[] {
  const { name: option, value } = setting;
  const line = lineOf(setting);
  const texts = typeof value === "string" ? [value] : Array.isArray(value) ? value.map(String) : [];
  const isRead = Object.hasOwn(reads, option);
  return texts.flatMap((text) => {
    const references = referencesIn(text);
    if (!isRead && references.length > 0)
      complain(
        line,
        `${settingName(setting)}: a reference stands for a path, and ${option} names nothing that is read.`,
      );
    if (isRead && references.length === 0 && /\$\{/.test(text))
      complain(line, `${settingName(setting)} is ${JSON.stringify(text)}: a reference is ${spelling}.`);
    return isRead ? [{ option, line, text, references }] : [];
  });
}

const nounOf: Readonly<Record<Thing, string>> = {
  model: "a model",
  "reward model": "a reward model",
  rows: "a file of rows",
  module: "a module",
  results: "a folder of results",
  onnx: "an ONNX file",
};

const settingName = (setting: Setting): string => settingLabel(setting).replace(/^.*: /s, "");

function checkReferences(
  { name, kind, inputs }: Step,
  written: ReadonlyMap<string, WrittenStep>,
  complain: (line: number, what: string) => void,
): void {
  for (const { option, line, text, references } of inputs) {
    for (const { step, made } of references) {
      const told = `step ${name}: ${option} is ${text}`;
      const target = written.get(step);
      if (target === undefined) {
        const near = nearest(step, [...written.keys()]);
        complain(
          line,
          `${told}, and there is no step ${step}${near === undefined ? "" : `; did you mean ${near}?`}`,
        );
        continue;
      }
      const other = kinds[target.command];
      if (other === undefined) continue; // said already
      const thing = madeAs(other, made)?.thing;
      if (thing === undefined) {
        const names = Object.keys(other.makes).map((own) => `\${${step}.${own}}`);
        const steps =
          other.resumes === "checkpoint" ? `, \${${step}.checkpoint-500} with a step's number` : "";
        complain(
          line,
          `${told}, but ${target.command} makes no ${made}. It makes ${names.join(", ")}${steps}.`,
        );
        continue;
      }
      const wants = kind.reads[option] as readonly Thing[];
      if (!wants.includes(thing))
        complain(
          line,
          `${told}, which is ${nounOf[thing]}; expected ${wants.map((one) => nounOf[one]).join(" or ")}.`,
        );
    }
  }
}

/** Nobody writes where another writes, or reads what another writes without saying so. */
function checkOutputs(
  steps: readonly Step[],
  outputDir: string,
  complain: (line: number, what: string) => void,
): void {
  const places = steps.flatMap((step) =>
    [...step.outputs].map(([option, path]) => ({ step, option, path, full: resolve(path) })),
  );
  for (const { step, option, path, full } of places) {
    if (contains(full, resolve(outputDir)))
      complain(
        step.line,
        `step ${step.name} writes ${option} ${path}, in which the pipeline's own folder ${outputDir} lies. Give it another place.`,
      );
  }
  for (const [i, one] of places.entries()) {
    const other = places.slice(0, i).find(({ full }) => contains(full, one.full) || contains(one.full, full));
    if (other === undefined) continue;
    const what = other.full === one.full ? "which is" : "and they must not lie in each other:";
    complain(
      one.step.line,
      `step ${one.step.name} writes ${one.option} ${one.path}, ${what} ${other.option} ${other.path} of step ${other.step.name}. Give one of them another place.`,
    );
  }
  for (const { name, inputs } of steps) {
    for (const { option, line, text, references } of inputs) {
      if (references.length > 0) continue;
      const maker = places.find(({ full }) => contains(full, resolve(text)));
      if (maker === undefined) continue;
      const [made] = Object.keys(maker.step.kind.makes);
      complain(
        line,
        maker.step.name === name
          ? `step ${name}: ${option} is ${text}, which the step writes itself.`
          : `step ${name}: ${option} is ${text}, which step ${maker.step.name} makes: refer to it, as \${${maker.step.name}.${made}}, so that it is made first.`,
      );
    }
  }
}

/** Whether `inner` is `outer` or lies in it. */
function contains(outer: string, inner: string): boolean {
  const path = relative(outer, inner);
  return path === "" || (path !== ".." && !path.startsWith(`..${sep}`));
}

/** Those that a step refers to come before it, otherwise as they were written. */
function inOrder(steps: readonly Step[], complain: (line: number, what: string) => void): readonly Step[] {
  const byName = new Map(steps.map((step) => [step.name, step]));
  const done = new Set<string>();
  const order: Step[] = [];
  let said = false;
  const visit = (step: Step, path: readonly string[]): void => {
    if (done.has(step.name)) return;
    const at = path.indexOf(step.name);
    if (at >= 0) {
      if (!said) {
        const circle = [...path.slice(at), step.name].join(" needs ");
        complain(step.line, `steps go round in a circle: ${circle}.`);
      }
      said = true;
      return;
    }
    for (const { references } of step.inputs) {
      for (const { step: name } of references) {
        const other = byName.get(name);
        if (other !== undefined) visit(other, [...path, step.name]);
      }
    }
    if (done.has(step.name)) return;
    done.add(step.name);
    order.push(step);
  };
  for (const step of steps) visit(step, []);
  return order;
}

function wantedOf(steps: readonly Step[]): ReadonlyMap<string, ReadonlySet<string>> {
  const wanted = new Map<string, Set<string>>();
  for (const { step, made } of steps.flatMap(({ inputs }) =>
    inputs.flatMap(({ references }) => references),
  )) {
    wanted.set(step, (wanted.get(step) ?? new Set()).add(made));
  }
  return wanted;
}
