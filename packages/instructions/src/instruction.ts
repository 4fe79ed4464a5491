/** What an instruction kind is: its parameters, the sentence that asks for it, the check of a response. */
import { stringifyJson, UserError, withDoubles } from "@posttrain/data";
import { z } from "zod";

export interface Finding {
  readonly followed: boolean;
  /** What was found against what was asked, for a person. */
  readonly evidence: string;
}

/** Numbers in [0, 1), the same again for the same seed: every draw of a generated instruction comes from it. */
export type Random = () => number;

/** A check with its parameters filled in. */
export type Checker = (response: string) => Finding | Promise<Finding>;

/** A kind that can be checked. */
export interface CheckedKind {
  readonly id: string;
  readonly kwargs: z.ZodObject;
  /** Throws UserError `bad_kwargs` or `bad_pattern`. */
  checker(kwargs: unknown): Checker;
}

/** A kind that data builders can also ask for. */
export interface InstructionKind extends CheckedKind {
  /** The sentence that asks for it. */
  describe(kwargs: unknown): string;
  /** Parameters drawn at random. `prompt` is the request to which the instruction will be added. */
  generate(random: Random, prompt: string): Record<string, unknown>;
}

export function defineCheck<Schema extends z.ZodObject>(spec: {
  readonly id: string;
  readonly kwargs: Schema;
  /** Prepares what depends on the parameters only, and returns the check. */
  readonly checker: (kwargs: z.output<Schema>) => Checker;
}): CheckedKind {
  return {
    id: spec.id,
    kwargs: spec.kwargs,
    checker: (kwargs) => spec.checker(parseKwargs(spec.id, spec.kwargs, kwargs)),
  };
}

export function defineInstruction<Schema extends z.ZodObject>(spec: {
  readonly id: string;
  readonly kwargs: Schema;
  readonly checker: (kwargs: z.output<Schema>) => Checker;
  readonly describe: (kwargs: z.output<Schema>) => string;
  readonly generate: (random: Random, prompt: string) => z.output<Schema>;
}): InstructionKind {
  return {
    ...defineCheck(spec),
    describe: (kwargs) => spec.describe(parseKwargs(spec.id, spec.kwargs, kwargs)),
    generate: (random, prompt) => spec.generate(random, prompt),
  };
}

/** Data files write a parameter that is not used as null: it counts as absent. */
function parseKwargs<Schema extends z.ZodObject>(
  id: string,
  schema: Schema,
  kwargs: unknown,
): z.output<Schema> {
  const given = z.record(z.string(), z.unknown()).nullish().safeParse(kwargs);
  const present = Object.entries(given.data ?? {}).filter(
    ([, value]) => value !== null && value !== undefined,
  );
  const parsed = given.success ? schema.safeParse(withDoubles(Object.fromEntries(present))) : given;
  if (parsed.success) return parsed.data as z.output<Schema>;
  const { path, message } = parsed.error.issues[0]!;
  throw new UserError(
    "bad_kwargs",
    `The parameters of ${id} are ${stringifyJson(kwargs)?.slice(0, 200)}, but ${path.length > 0 ? `${path.join(".")}: ` : ""}${message}. It takes ${Object.keys(schema.shape).join(", ") || "none"}.`,
  );
}

export const relation = z.enum(["less than", "at least"]);
export const natural = z.int().min(0);
export const nonEmpty = z.string().min(1);
export const noKwargs = z.strictObject({});

/** A count against a threshold, with both in the evidence. */
export function compareCount(
  count: number,
  what: string,
  wanted: z.output<typeof relation> | "exactly",
  threshold: number,
): Finding {
  const followed =
    wanted === "exactly"
      ? count === threshold
      : wanted === "at least"
        ? count >= threshold
        : count < threshold;
  return { followed, evidence: `${count} ${what}, asked for ${wanted} ${threshold}` };
}

/** A whole number from `low` to `high`, both included. */
export function drawNumber(random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}

export function drawOne<T>(random: Random, choices: readonly T[]): T {
  return choices[Math.floor(random() * choices.length)]!;
}

export function drawSeveral<T>(random: Random, choices: readonly T[], count: number): T[] {
  const left = [...choices];
  return Array.from({ length: count }, () => left.splice(Math.floor(random() * left.length), 1)[0]!);
}
