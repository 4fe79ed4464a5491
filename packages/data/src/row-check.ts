/** The check of a row against a zod schema, whose first issue becomes one sentence: field, what was expected, what came. */
import { z } from "zod";
import { isJsonNumber, stringifyJson } from "./lossless-json.js";
import { type RowPlace, rowError } from "./reading/place.js";
import { parseStrictJson } from "./strict-json.js";

/** Parquet-born files write absent fields as null. */
export const optional = <T extends z.ZodType>(schema: T) =>
  schema.nullish().transform((value) => value ?? undefined);

/** A value, or a JSON string of one, as older parquet files have it; an empty string is `empty`, if given. */
export function jsonOr<T extends z.ZodType>(schema: T, expected: string, empty?: z.input<T>) {
  return z
    .union([schema, z.string()], { error: `expected ${expected}` })
    .transform((value, context): z.output<T> => {
      if (typeof value !== "string") return value as z.output<T>;
      let message = `expected ${expected}`;
      try {
        const parsed = schema.safeParse(value.trim() === "" ? empty : parseStrictJson(value));
        if (parsed.success) return parsed.data;
      } catch (error) {
        message += ` (the text ${(error as Error).message.replace(/[.:,]? *$/, "")})`;
      }
      context.addIssue({ code: "custom", message, input: value });
      return z.NEVER;
    });
}

const units: Readonly<Record<string, string>> = { string: " characters", array: " items" };

/** For zod's parsers: what was expected, of schemas that have no words of their own. */
export const inWords: { readonly error: z.core.$ZodErrorMap } = {
  error: (issue) => {
    switch (issue.code) {
      case "invalid_type":
        return `expected ${issue.expected}`;
      case "invalid_value": {
        const values = issue.values.map((value) =>
          typeof value === "string" ? `"${value}"` : String(value),
        );
        return `expected ${values.length === 1 ? "" : "one of "}${values.join("|")}`;
      }
      case "too_small":
      case "too_big": {
        const [bound, sign] = issue.code === "too_small" ? [issue.minimum, ">"] : [issue.maximum, "<"];
        const unit = units[issue.origin];
        return `expected ${issue.origin} to ${unit ? "have" : "be"} ${sign}${issue.inclusive ? "=" : ""}${bound}${unit ?? ""}`;
      }
      default:
        return undefined;
    }
  },
};

/**
 * The schema's output, or a UserError that names the field: `bad_row`, or the code that the issue carries as
 * `params.code`.
 */
export function check<T extends z.ZodType>(schema: T, row: object, place: RowPlace): z.output<T> {
  const result = schema.safeParse(row, inWords);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path ?? [];
  const expected = issue?.message ?? "another value";
  throw rowError(
    issue?.code === "custom" && typeof issue.params?.code === "string" ? issue.params.code : "bad_row",
    place,
    `${fieldName(path)}: ${expected}, came ${describe(valueAt(row, path))}.`,
    result.error,
  );
}

/** `messages[1].content` */
function fieldName(path: readonly PropertyKey[]): string {
  return path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .slice(1);
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null ? (inner as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
}

/** A value in a few words, for "came ...". */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  const text = stringifyJson(value);
  const short = text.length > 60 ? `${text.slice(0, 57)}...` : text;
  const kind = isJsonNumber(value) ? "a number" : Array.isArray(value) ? "a list" : `a ${typeof value}`;
  return `${kind === "a object" ? "an object" : kind} ${short}`;
}
