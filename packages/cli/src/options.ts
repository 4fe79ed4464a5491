// Options are zod schemas: names, descriptions, defaults and checks come from there and nowhere else. Here they become the help of
// a command, and text from the command line becomes their values or one paragraph that says everything that is wrong with it.
import { UserError } from "@posttrain/data";
import { z } from "zod";
import { count, plainNumber } from "./format.js";
import { nearest } from "./nearest.js";

/** Options of every command. They never change a result: any cpu path and any number of threads give the same bits. */
export const machineOptions = z.strictObject({
  threads: z.int().min(1).max(1024).optional().describe("compute threads (default: one per core)"),
  cpu_path: z
    .enum(["avx512", "avx2", "plain"])
    .optional()
    .describe("instructions to compute with, else the fastest of this machine"),
});

export type MachineOptions = z.output<typeof machineOptions>;

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
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
}

function propertiesOf(schema: z.ZodObject): {
  properties: Record<string, Property>;
  required: readonly string[];
} {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: "input" });
  return { properties: properties as Record<string, Property>, required };
}

export function optionHelp(schema: z.ZodObject): readonly OptionHelp[] {
  const { properties, required } = propertiesOf(schema);
  return Object.entries(properties).map(([name, property]) => {
    const choices = property.enum === undefined ? "" : `: ${property.enum.join(", ")}`;
    const value = property.default === undefined ? "" : ` (default ${valueText(property.default)})`;
    return {
      name,
      description: `${property.description ?? ""}${choices}${value}`,
      required: required.includes(name),
    };
  });
}

export function valueText(value: unknown): string {
  return typeof value === "number" ? plainNumber(value) : String(value);
}

/**
 * The options that `given` (name to text; true or false for a flag without a value) describes, over the defaults of `schema`.
 * UserError `bad_option` names everything that is wrong: unknown options with the nearest known name, wrong values with what was
 * expected, and what is missing.
 */
export function checkOptions<S extends z.ZodObject>(
  command: string,
  schema: S,
  given: Readonly<Record<string, unknown>>,
  positional: readonly string[] = [],
): { readonly options: z.output<S>; readonly machine: MachineOptions } {
  const own = propertiesOf(schema);
  const properties = { ...own.properties, ...propertiesOf(machineOptions).properties };
  const problems = positional.map(
    (text) => `${JSON.stringify(text)} belongs to no option: options begin with --.`,
  );
  const values: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const property = properties[name];
    if (property === undefined) problems.push(unknown(name, Object.keys(properties)));
    else if (Array.isArray(value)) problems.push(`--${name} is given ${value.length} times, expected once.`);
    else values[name] = fromText(property, value);
  }
  const isMachine = (name: string): boolean => name in machineOptions.shape;
  const pick = (keep: (name: string) => boolean): Record<string, unknown> =>
    Object.fromEntries(Object.entries(values).filter(([name]) => keep(name)));
  const options = schema.safeParse(pick((name) => !isMachine(name)));
  const machine = machineOptions.safeParse(pick(isMachine));
  const missing = own.required.filter((name) => !(name in given));
  for (const { path, message } of [...(options.error?.issues ?? []), ...(machine.error?.issues ?? [])]) {
    const name = String(path[0]);
    if (!(name in values)) continue;
    const property = properties[name];
    const shown = given[name] === true ? "without a value" : JSON.stringify(given[name]);
    problems.push(`--${name} is ${shown}, expected ${property ? expectation(property) : message}.`);
  }
  if (missing.length > 0) {
    const named = missing.map(
      (name) => `--${name} (${own.properties[name]?.description ?? "no description"})`,
    );
    problems.push(`Missing: ${named.join(", ")}.`);
  }
  if (problems.length > 0 || !options.success || !machine.success) {
    throw new UserError(
      "bad_option",
      `posttrain ${command}: ${problems.join(" ")} All options: posttrain ${command} --help`,
    );
  }
  return { options: options.data, machine: machine.data };
}

function unknown(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  const guess = near === undefined ? "." : `; did you mean --${near}?`;
  return `${name.length === 1 ? "-" : "--"}${name} is not an option${guess}`;
}

/** Text that is no number stays text, for the check to name it. */
function fromText({ type }: Property, value: unknown): unknown {
  if (typeof value !== "string") return value;
  if (type === "boolean") return /^true$/i.test(value) ? true : /^false$/i.test(value) ? false : value;
  if (type !== "number" && type !== "integer") return value;
  return value.trim() === "" || Number.isNaN(Number(value)) ? value : Number(value);
}

function expectation(property: Property): string {
  if (property.enum) return `one of ${property.enum.join(", ")}`;
  if (property.type === "boolean") return "true or false";
  if (property.type === "string") return "text";
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
