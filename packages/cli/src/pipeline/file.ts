// A pipeline's file: `output_dir`, and under `steps` a mapping for each step, in which `run` names a command and all else is that command's own options.
import { readRegularFile, UserError } from "@posttrain/data";
import { type Mapping, nestedMappings, type Problem, parseMapping, settingsOf } from "../config-file.js";
import type { Setting } from "../settings.js";

export interface WrittenStep {
  readonly name: string;
  readonly line: number;
  /** "sft", "dpo pairs". */
  readonly command: string;
  /** Its options, `run` left out. */
  readonly settings: readonly Setting[];
}

export interface PipelineFile {
  readonly path: string;
  readonly outputDir: string;
  readonly steps: readonly WrittenStep[];
  /** What is wrong so far. */
  readonly problems: readonly Problem[];
}

const stepName = /^[a-z][a-z0-9_-]*$/i;
const shape =
  "A pipeline has `output_dir: FOLDER` and `steps:`, below it a name for each step, and below that `run: COMMAND` and the command's options.";

/** UserError `bad_config`: a file that cannot be read, or that is no pipeline. */
export async function readPipelineFile(path: string): Promise<PipelineFile> {
  const bytes = await readRegularFile(path).catch((cause: NodeJS.ErrnoException) => {
    const why =
      cause.code === "ENOENT"
        ? "does not exist"
        : cause.code === "EISDIR"
          ? "is a folder, expected a YAML file"
          : `cannot be read: ${cause.message}`;
    throw new UserError("bad_config", `The pipeline ${path} ${why}.`, { cause });
  });
  const { nested, rest } = nestedMappings(mappingIn(bytes, path));
  const { settings, problems } = settingsOf(rest);
  const found: Problem[] = [...problems];
  const complain = (line: number, what: string): unknown =>
    found.push({ line, text: `${path}, line ${line}: ${what}` });
  const outputDir = settings.find(({ name }) => name === "output_dir");
  for (const setting of settings) {
    if (setting === outputDir) continue;
    const remedy = setting.name === "steps" ? "expected a mapping of steps" : "expected output_dir and steps";
    complain(lineOf(setting), `${setting.name} is no part of a pipeline's file; ${remedy}. ${shape}`);
  }
  for (const [name, { line }] of nested) {
    if (name !== "steps") complain(line, `${name} is no part of a pipeline's file. ${shape}`);
  }
  const [steps] = nested.flatMap(([name, mapping]) => (name === "steps" ? [mapping] : []));
  if (steps === undefined && !settings.some(({ name }) => name === "steps"))
    complain(1, `steps is missing. ${shape}`);
  if (outputDir === undefined || typeof outputDir.value !== "string" || outputDir.value === "")
    complain(outputDir === undefined ? 1 : lineOf(outputDir), `output_dir must name a folder. ${shape}`);
  return {
    path,
    outputDir: String(outputDir?.value ?? ""),
    steps: steps === undefined ? [] : stepsOf(steps, found, complain),
    problems: found,
  };
}

/** YAML reads ${ between brackets as the beginning of another mapping. */
function mappingIn(bytes: Buffer, path: string): Mapping {
  try {
    return parseMapping(bytes, path);
  } catch (error) {
    const bare = /[[{,][^"'\n]*\$\{/.test(bytes.toString("utf8"));
    if (!(error instanceof UserError) || !bare) throw error;
    throw new UserError(
      error.code,
      `${error.message} Between brackets a reference wants quotes: ["\${sft.checkpoint}"].`,
      { cause: error },
    );
  }
}

function stepsOf(
  steps: Mapping,
  found: Problem[],
  complain: (line: number, what: string) => unknown,
): readonly WrittenStep[] {
  const { nested, rest } = nestedMappings(steps);
  const { settings, problems } = settingsOf(rest);
  found.push(...problems);
  for (const setting of settings) {
    complain(
      lineOf(setting),
      `step ${setting.name} is no mapping: write \`run: COMMAND\` and its options below its name.`,
    );
  }
  const lines = new Map<string, number>();
  return nested.flatMap(([name, mapping]): readonly WrittenStep[] => {
    const before = lines.get(name);
    const { line } = mapping;
    if (before !== undefined) {
      complain(line, `step ${name} is there twice, first on line ${before}: give one of them another name.`);
      return [];
    }
    lines.set(name, line);
    if (!stepName.test(name))
      complain(
        line,
        `step ${JSON.stringify(name)}: a name has letters, digits, - and _, and begins with a letter.`,
      );
    const own = settingsOf(mapping);
    found.push(...own.problems);
    const run = own.settings.find((setting) => setting.name === "run");
    if (typeof run?.value !== "string") {
      complain(line, `step ${name} does not say what it is: give it \`run: COMMAND\`, such as \`run: sft\`.`);
      return [];
    }
    const settings = own.settings.filter((setting) => setting !== run);
    return [{ name, line, command: run.value.trim().replaceAll(/\s+/g, " "), settings }];
  });
}

export function lineOf({ source }: Setting): number {
  return source.kind === "file" ? source.line : 1;
}
