/**
 * A name of data that is a mix: JSON, as a config writes it under `data:`. A list of sources, or {"sources": [...], "rows": N, "seed": N}; a source is text as `posttrain data mix`
 * takes it (DATA, DATA=0.5, DATA=1000; with rows DATA=WEIGHT), or {"data": ..., "share" | "rows" | "weight": ..., "columns": {...}, "tags": {...}}.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { type MixSource, mixSourceOf } from "../mix-rows.js";
import { canonicalJson } from "../record-id.js";
import { inWords } from "../row-check.js";
import { UserError } from "../user-error.js";
import { namingSchema } from "./dataset-info.js";

export interface Mixture {
  readonly sources: readonly MixSource[];
  readonly rows: number | undefined;
  readonly seed: number;
}

// Numbers of a config file are text.
const amount = z.coerce.number("a number").nonnegative();
const whole = z.coerce.number("a whole number").int().nonnegative();
const sourceSchema = z.strictObject({
  data: z.string().min(1),
  ...{ share: amount.optional(), rows: whole.optional(), weight: amount.optional() },
  ...namingSchema.shape,
});
const schema = z.strictObject({
  sources: z.array(z.unknown()).min(1),
  rows: z.coerce.number("a whole number").int().positive().optional(),
  seed: whole.default(42),
});

/** Undefined: the name is of files. UserError `bad_data`. */
export function mixtureOf(name: string): Mixture | undefined {
  if (!/^\s*[[{]/.test(name)) return undefined;
  let said: unknown;
  try {
    said = JSON.parse(name);
  } catch {
    // A pattern of files may begin so.
    return undefined;
  }
  const { sources, rows, seed } = read(schema, Array.isArray(said) ? { sources: said } : said, []);
  return {
    ...{ rows, seed },
    sources: sources.map((source, i): MixSource => {
      if (typeof source === "string") return mixSourceOf(source, rows !== undefined);
      const { data, share, rows: own, weight, ...naming } = read(sourceSchema, source, ["sources", i]);
      const given = Object.entries({ share, rows: own, weight }).filter(([, value]) => value !== undefined);
      if (given.length > 1)
        throw bad(
          `sources ${i + 1} (${data}): it has ${given.map(([key]) => key).join(" and ")}, expected one of them`,
        );
      if ((weight !== undefined) !== (rows !== undefined) && (weight !== undefined || given.length > 0))
        throw bad(
          rows === undefined
            ? `sources ${i + 1} (${data}): weight divides the rows of the mix, and how many they are is not said. Give rows beside sources, or share in place of weight`
            : `sources ${i + 1} (${data}): the mix has rows, which weights divide: expected weight, came ${given[0]![0]}`,
        );
      const much =
        rows !== undefined
          ? { weight: weight ?? 1 }
          : own !== undefined
            ? { rows: own }
            : { share: share ?? 1 };
      return { data, ...much, ...(Object.keys(naming).length > 0 && { naming }) };
    }),
  };
}

/** UserError `bad_data` naming the source, from 1, and the key. */
function read<T>(schema: z.ZodType<T>, value: unknown, at: readonly PropertyKey[]): T {
  const parsed = schema.safeParse(value, inWords);
  if (parsed.success) return parsed.data;
  const { path = [], message = "" } = parsed.error.issues[0] ?? {};
  throw bad(
    `${[...at, ...path].map((part) => (typeof part === "number" ? part + 1 : String(part))).join(" ")}: ${message}`,
  );
}

const bad = (what: string): UserError => new UserError("bad_data", `data, a mix of sources: ${what}.`);

/** SHA-256 over what the sources hold, how much of each is taken and how they are read. */
export const mixtureDigest = ({ sources, ...mixture }: Mixture, digests: readonly string[]): string =>
  createHash("sha256")
    .update(
      canonicalJson({
        ...mixture,
        rows: mixture.rows ?? null,
        sources: sources.map((source, i) => ({ ...source, data: digests[i] })),
      }),
    )
    .digest("hex");
