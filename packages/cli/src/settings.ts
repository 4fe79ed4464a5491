// What was said, and where: a flag, a POSTTRAIN_ variable or a line of the config file, all of them text until options.ts knows the type.
// Later wins: defaults < file < environment < flags.
import { UserError } from "@posttrain/data";
import { type Problem, readConfigFile } from "./config-file.js";

export type Source =
  /** `bare`: without its name. */
  | { readonly kind: "flag"; readonly bare?: true }
  | { readonly kind: "environment"; readonly variable: string }
  | { readonly kind: "file"; readonly path: string; readonly line: number };

export interface Setting {
  readonly name: string;
  /** Text; true or false for a flag without a value or with --no-; a list where one was written. */
  readonly value: string | boolean | readonly string[];
  readonly source: Source;
}

/** Where each option that was given has its value from; an option that is not here has its default. */
export type Sources = ReadonlyMap<string, Source>;

/** "--seed", "POSTTRAIN_SEED", "sft.yaml, line 3: seed". */
export function settingLabel({ name, source }: Setting): string {
  switch (source.kind) {
    case "flag":
      if (source.bare) return name.toUpperCase();
      return `${name.length === 1 ? "-" : "--"}${name}`;
    case "environment":
      return source.variable;
    case "file":
      return `${source.path}, line ${source.line}: ${name}`;
  }
}

/** `given` is what yargs makes of the flags. */
export function flagSettings(given: Readonly<Record<string, unknown>>): readonly Setting[] {
  return Object.entries(given).map(([name, value]) => {
    const texts = Array.isArray(value)
      ? value.map(String)
      : typeof value === "boolean"
        ? value
        : String(value);
    // yargs-parser's own spelling of a name that would change all objects.
    return { name: name === "___proto___" ? "__proto__" : name, value: texts, source: { kind: "flag" } };
  });
}

const prefix = "POSTTRAIN_";

/** An option given without its name. */
export const argumentSetting = (name: string, value: string): Setting => ({
  ...{ name, value },
  source: { kind: "flag", bare: true },
});

/** Read by the kernels, the build and the tests, each with an error of its own; and a secret, which no command line should show. */
const reserved =
  /^POSTTRAIN_(CPU|THREADS|MEMORY|MPI|WEIGHTS_TOKEN|LIBCUDA|FAKE_CUDA.*|SIMT_ORDER|NATIVE_VARIANT|SMOLLM2|FUZZ|TEST_.*)$/;

/** A variable of the environment that would give an option: not for a step of a pipeline, whose options stand in its file. */
export const isStepsOwn = (variable: string): boolean =>
  variable.startsWith(prefix) && !reserved.test(variable);

export const variableOf = (option: string): string => prefix + option.toUpperCase();

/** UserError `bad_variable` where a variable has a name that no option could have, or is empty. */
export function environmentSettings(environment: NodeJS.ProcessEnv): readonly Setting[] {
  return Object.entries(environment).flatMap(([variable, value]): readonly Setting[] => {
    if (!variable.startsWith(prefix) || reserved.test(variable) || value === undefined) return [];
    if (value === "") {
      throw new UserError(
        "bad_variable",
        `The environment has ${variable} without a value: give one, or unset it to take the default.`,
      );
    }
    // posttrain_seed would be another variable than POSTTRAIN_SEED: its name is no option's.
    const name = variable.slice(prefix.length);
    const source = { kind: "environment", variable } as const;
    return [{ name: name === name.toUpperCase() ? name.toLowerCase() : variable, value, source }];
  });
}

/**
 * Everything that was said, in rising precedence, and what is wrong with the file. `config` names it: as a flag, else as a variable.
 */
export async function collectSettings(
  flags: readonly Setting[],
  environment: readonly Setting[],
): Promise<{ readonly settings: readonly Setting[]; readonly problems: readonly Problem[] }> {
  const config = [...environment, ...flags].findLast(({ name }) => name === "config")?.value;
  const file = typeof config === "string" ? await readConfigFile(config) : { settings: [], problems: [] };
  return { settings: [...file.settings, ...environment, ...flags], problems: file.problems };
}
