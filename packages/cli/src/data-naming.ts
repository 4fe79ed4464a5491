// What the columns and roles of a file are called, on the command line: OURS=THEIRS, by LLaMA-Factory's names.
import { namingSchema, UserError } from "@posttrain/data";
import { z } from "zod";

export const namingOptions = {
  formatting: z
    .enum(["alpaca", "sharegpt"])
    .optional()
    .describe("the form that columns names, as in dataset_info.json"),
  columns: z
    .array(z.string())
    .default([])
    .describe("what columns are called, such as prompt=question,response=reply (names of dataset_info.json)"),
  tags: z
    .array(z.string())
    .default([])
    .describe("what the parts of a turn are called, such as role_tag=role,user_tag=me"),
};

type NamingOptions = z.output<z.ZodObject<typeof namingOptions>>;

/** UserError `bad_option`. */
export function namingOf({
  formatting,
  columns,
  tags,
}: NamingOptions): z.output<typeof namingSchema> | undefined {
  if (formatting === undefined && columns.length + tags.length === 0) return undefined;
  const parsed = namingSchema.safeParse({
    formatting,
    columns: pairs("columns", columns),
    tags: pairs("tags", tags),
  });
  if (parsed.success) return parsed.data;
  const { path = [], message = "" } = parsed.error.issues[0] ?? {};
  throw new UserError("bad_option", `${path.join(".")}: ${message}.`);
}

function pairs(option: string, given: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    given.map((text) => {
      const [, ours, theirs] = /^([^=]+)=(.+)$/.exec(text) ?? [];
      if (ours === undefined || theirs === undefined) {
        throw new UserError(
          "bad_option",
          `${option} is ${JSON.stringify(text)}: expected OURS=THEIRS, such as prompt=question.`,
        );
      }
      return [ours, theirs];
    }),
  );
}
