// Options are zod schemas: names, descriptions, defaults and checks come from there and nowhere else. Here they become the help of
// a command, and what was said (settings.ts) becomes their values or a list of everything that is wrong with it.
import { UserError } from "@posttrain/data";
import { z } from "zod";
import type { Problem } from "./config-file.js";
import { count, plainNumber } from "./format.js";
import { nearest } from "./nearest.js";
import {
  argumentSetting,
  type Setting,
  type Source,
  type Sources,
  settingLabel,
  variableOf,
} from "./settings.js";

/** Options of every command. They never change a result: any cpu path and any number of threads give the same bits. */
export const commonOptions = z.strictObject({
  config: z.string().optional().describe("YAML file of options; POSTTRAIN_* variables and flags win over it"),
  device: z
    .string()
    .optional()
    .describe(
      "what computes: cpu, cuda (a GPU; cuda:1 is the second) or auto, the GPU where there is one (default cpu)",
    ),
  threads: z.int().min(1).max(1024).optional().describe("compute threads (default: one per core)"),
  cpu_path: z
    .enum(["amx", "avx512", "avx2", "plain"])
    .optional()
    .describe("instructions to compute with, else the fastest of this machine"),
  quiet: z.boolean().default(false).describe("results and errors only"),
  json: z
    .boolean()
    .default(false)
    .describe("the result as JSON on standard output, all else on standard error"),
});

export type CommonOptions = z.output<typeof commonOptions>;

/** What a device is opened with, and whether what auto takes is said. */
export type MachineOptions = Pick<CommonOptions, "device" | "threads" | "cpu_path"> &
  Partial<Pick<CommonOptions, "quiet">>;

export interface OptionHelp {
  readonly name: string;
  /** With its choices and its default. */
  readonly description: string;
  readonly required: boolean;
}

/** The part of a JSON Schema that zod writes for an option. */
interface Property {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly const?: unknown;
  readonly items?: Property;
  readonly anyOf?: readonly Property[];
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minLength?: number;
  /** Another name that it is known by. */
  readonly alias?: string;
  /** Of a list: each flag is one entry, commas and white space included. */
  readonly verbatim?: boolean;
}

function propertiesOf(schema: z.ZodObject): {
  properties: ReadonlyMap<string, Property>;
  required: readonly string[];
} {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: "input" });
  const named = Object.entries(properties).map(
    ([name, property]) => [name, normal(property as Written)] as const,
  );
  return { properties: new Map(named), required };
}

type Written = Omit<Property, "type"> & { readonly type?: string | readonly string[] };

/** A union of bare types is written as a list of them. */
function normal({ type, ...rest }: Written): Property {
  if (Array.isArray(type)) return { ...rest, anyOf: type.map((one: string) => ({ type: one })) };
  return type === undefined ? rest : { ...rest, type: type as string };
}

export function optionHelp(schema: z.ZodObject): readonly OptionHelp[] {
  const { properties, required } = propertiesOf(schema);
  return [...properties].map(([name, property]) => {
    const names = property.enum ?? property.items?.enum;
    const choices = names === undefined ? "" : `: ${names.join(", ")}`;
    const value =
      property.default === undefined || valueText(property.default) === ""
        ? ""
        : ` (default ${valueText(property.default)})`;
    const alias = property.alias === undefined ? "" : `; also --${property.alias}`;
    return {
      name,
      description: `${property.description ?? ""}${choices}${alias}${value}`,
      required: required.includes(name),
    };
  });
}

export function valueText(value: unknown): string {
  if (Array.isArray(value)) return value.map(valueText).join(",");
  return typeof value === "number" ? plainNumber(value) : String(value);
}

export interface Resolved<S extends z.ZodObject> {
  readonly options: z.output<S>;
  readonly common: CommonOptions;
  readonly sources: Sources;
}

/** What may be wrong besides the settings themselves, and what helps to name it. */
export interface Circumstances {
  /** Found before: in the config file. */
  readonly problems?: readonly Problem[];
  /** Arguments that belong to no flag. */
  readonly positional?: readonly string[];
  /** The option that the first of them is. */
  readonly argument?: string;
  /** Options of every command -> the commands that have them. Asked when a name is not one of this command's. */
  readonly elsewhere?: ReadonlyMap<string, readonly string[]>;
}

/** Whether this command has all of these options: else `elsewhere` is worth finding out. */
export function knowsAll(schema: z.ZodObject, settings: readonly Setting[]): boolean {
  const names = new Set([...namesOf(schema), ...namesOf(commonOptions)]);
  return settings.every(({ name }) => names.has(name));
}

/** Of all options, by both names where there are two. */
export function namesOf(schema: z.ZodObject): readonly string[] {
  return [...Object.keys(schema.shape), ...aliasesOf(propertiesOf(schema).properties).keys()];
}

function aliasesOf(properties: ReadonlyMap<string, Property>): ReadonlyMap<string, string> {
  return new Map(
    [...properties].flatMap(([name, { alias }]) => (alias === undefined ? [] : [[alias, name] as const])),
  );
}

/**
 * The options that `settings`, in rising precedence, describe over the defaults of `schema`. UserError `bad_option` names everything
 * that is wrong: unknown options with the nearest known name, wrong values with where they come from and what was expected, and what
 * is missing. A variable of the environment that another command knows is passed over.
 */
export function checkOptions<S extends z.ZodObject>(
  command: string,
  schema: S,
  settings: readonly Setting[],
  circumstances: Circumstances = {},
): Resolved<S> {
  const { problems, resolved } = resolveOptions(command, schema, settings, circumstances);
  if (resolved !== undefined) return resolved;
  const help = `posttrain ${command} --help`;
  const [first] = problems;
  throw new UserError(
    "bad_option",
    problems.length === 1
      ? `posttrain ${command}: ${first?.text} All options: ${help}`
      : `posttrain ${command}: ${problems.length} things are wrong (all options: ${help})\n${problems.map(({ text }) => `  ${text}`).join("\n")}`,
  );
}

/** As {@link checkOptions}, with what is wrong, in the order of lines, in place of the error. */
export function resolveOptions<S extends z.ZodObject>(
  command: string,
  schema: S,
  settings: readonly Setting[],
  { problems: found = [], positional = [], argument, elsewhere = new Map() }: Circumstances = {},
): { readonly problems: readonly Problem[]; readonly resolved?: Resolved<S> } {
  const own = propertiesOf(schema);
  const properties = new Map([...own.properties, ...propertiesOf(commonOptions).properties]);
  const fields: Readonly<Record<string, z.core.$ZodType>> = { ...schema.shape, ...commonOptions.shape };
  const noted: Problem[] = [...found];
  const note = (text: string, source?: Source): unknown =>
    noted.push({ line: source?.kind === "file" ? source.line : Number.POSITIVE_INFINITY, text });
  const named =
    argument === undefined ? [] : positional.slice(0, 1).map((text) => argumentSetting(argument, text));
  for (const text of positional.slice(named.length)) {
    note(`${JSON.stringify(text)} belongs to no option: options begin with --.`);
  }
  const values = new Map<string, unknown>();
  const winners = new Map<string, Setting>();
  const aliases = aliasesOf(properties);
  for (const setting of [...settings, ...named]) {
    const { source } = setting;
    const name = aliases.get(setting.name) ?? setting.name;
    const other = winners.get(name);
    const isTwice = other?.name !== setting.name || named.includes(setting);
    if (other !== undefined && isTwice && other.source.kind === source.kind) {
      note(`${settingLabel(other)} and ${settingLabel(setting)} are one option: give one of them.`, source);
      continue;
    }
    const property = properties.get(name);
    if (property === undefined || (name === "config" && source.kind === "file")) {
      if (source.kind === "environment" && elsewhere.has(name)) continue;
      note(unknown(command, setting, [...properties.keys()], elsewhere), source);
      continue;
    }
    const value = typed(property, setting);
    const issue = z.safeParse(fields[name]!, value).error?.issues[0];
    if (issue !== undefined) note(wrong(setting, property, issue), source);
    else if (isNoText(property, value)) {
      note(`${settingLabel(setting)} is ${shown(setting)}, expected text that is not empty.`, source);
    }
    values.set(name, value);
    winners.set(name, setting);
  }
  const missing = own.required.filter((name) => !winners.has(name));
  if (missing.length > 0) {
    const all = missing.map(
      (name) =>
        `${name === argument ? name.toUpperCase() : `--${name}`} (${own.properties.get(name)?.description ?? "no description"})`,
    );
    note(`Missing: ${all.join(", ")}.`);
  }
  const pick = (shape: object): unknown =>
    Object.fromEntries([...values].filter(([name]) => Object.hasOwn(shape, name)));
  const options = schema.safeParse(pick(schema.shape));
  const common = commonOptions.safeParse(pick(commonOptions.shape));
  // Of single values all is said; what is left concerns several of them.
  for (const { code, path, message } of options.error?.issues ?? []) {
    if (code !== "custom" || noted.length > 0) continue;
    const name = String(path[0] ?? "");
    const winner = winners.get(name);
    note(
      winner === undefined
        ? `${[name, message].filter(Boolean).join(": ")}.`
        : `${settingLabel(winner)} is ${shown(winner)}: ${message}.`,
    );
  }
  const problems = noted.sort((a, b) => compareLines(a.line, b.line));
  if (problems.length > 0 || !options.success || !common.success) return { problems };
  const sources = new Map([...winners].map(([name, { source }]) => [name, source]));
  return { problems, resolved: { options: options.data, common: common.data, sources } };
}

function unknown(
  command: string,
  setting: Setting,
  known: readonly string[],
  elsewhere: ReadonlyMap<string, readonly string[]>,
): string {
  const label = settingLabel(setting);
  const { name, source } = setting;
  if (name === "config") return `${label} cannot stand in a config file.`;
  const owners = elsewhere.get(name);
  if (owners !== undefined) return `${label} is an option of ${owners.join(", ")}, not of ${command}.`;
  if (source.kind === "environment") {
    const near = nearest(name.toLowerCase().replace(/^posttrain_/, ""), [...elsewhere.keys(), ...known]);
    const guess = near === undefined ? "" : ` Did you mean ${variableOf(near)}?`;
    return `The environment has ${label}, which is an option of no command.${guess === "" ? " Unset it." : `${guess} Else unset it.`}`;
  }
  const near = nearest(name, known) ?? nearest(name, [...elsewhere.keys()]);
  const guess = near === undefined ? "." : `; did you mean ${source.kind === "flag" ? "--" : ""}${near}?`;
  return `${label} is not an option${guess}`;
}

/** Text that does not fit stays text, for the check to name it. */
function typed(property: Property, { value, source }: Setting): unknown {
  if (property.type !== "array") return typeof value === "string" ? fromText(property, value) : value;
  if (typeof value === "boolean") return value;
  const texts = typeof value === "string" ? [value] : value;
  // In a file a list is written as one, so a comma belongs to the text.
  const items =
    source.kind === "file" || property.verbatim
      ? texts
      : texts.flatMap((text) => text.split(",")).map((text) => text.trim());
  return items.map((text) => fromText(property.items ?? {}, text));
}

function fromText({ type, anyOf }: Property, text: string): unknown {
  if (anyOf !== undefined) {
    const readings = anyOf.map((alternative) => fromText(alternative, text));
    return readings.find((reading) => typeof reading !== "string") ?? text;
  }
  if (type === "boolean") return /^true$/i.test(text) ? true : /^false$/i.test(text) ? false : text;
  if (type !== "number" && type !== "integer") return text;
  return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);
}

function wrong(setting: Setting, property: Property, { code, message }: z.core.$ZodIssue): string {
  const is = `${settingLabel(setting)} is ${shown(setting)}`;
  if (Array.isArray(setting.value) && property.type !== "array" && setting.source.kind === "flag") {
    return `${settingLabel(setting)} is given ${setting.value.length} times, expected once.`;
  }
  return code === "custom" ? `${is}: ${message}.` : `${is}, expected ${expectation(property)}.`;
}

function shown({ value, source }: Setting): string {
  if (value === true && source.kind === "flag") return "without a value";
  const text = JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

/** Options of text are names of files and the like, which neither are empty nor have NUL in them. */
const isNoText = ({ type, enum: choices }: Property, value: unknown): boolean =>
  type === "string" && choices === undefined && (value === "" || String(value).includes("\0"));

function expectation(property: Property): string {
  if (property.const !== undefined) return String(property.const);
  if (property.anyOf) return property.anyOf.map(expectation).join(", or ");
  if (property.enum) return `one of ${property.enum.join(", ")}`;
  if (property.type === "array") return `a list, each ${expectation(property.items ?? {})}`;
  if (property.type === "boolean") return "true or false";
  if (property.type === "string") return property.minLength ? "text that is not empty" : "text";
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = property;
  const bounds = [
    ...(minimum !== undefined && minimum > -(2 ** 52) ? [`at least ${bound(minimum)}`] : []),
    ...(exclusiveMinimum !== undefined ? [`above ${bound(exclusiveMinimum)}`] : []),
    ...(maximum !== undefined && maximum < 2 ** 52 ? [`at most ${bound(maximum)}`] : []),
    ...(exclusiveMaximum !== undefined ? [`below ${bound(exclusiveMaximum)}`] : []),
  ];
  return [property.type === "integer" ? "a whole number" : "a number", bounds.join(" and ")]
    .filter(Boolean)
    .join(", ");
}

const bound = (value: number): string => (Number.isInteger(value) ? count(value) : plainNumber(value));

/** Infinity minus itself is no number. */
const compareLines = (a: number, b: number): number => (a === b ? 0 : a - b);
