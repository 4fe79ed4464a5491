/** LLaMA-Factory's registry of datasets, dataset_info.json: which file a name stands for, and what its columns and roles are called. */
import { z } from "zod";
import { isJsonObject } from "../lossless-json.js";
import { readRegularFile } from "../regular-file.js";
import { inWords } from "../row-check.js";
import { parseStrictJson } from "../strict-json.js";
import { UserError } from "../user-error.js";

const name = z.string().min(1).optional();

/** What columns and roles of a file are called: our name -> the file's. Names are LLaMA-Factory's, and TRL's for columns. */
export const namingSchema = z.object({
  formatting: z.enum(["alpaca", "sharegpt"]).optional(),
  ranking: z.boolean().optional(),
  columns: z
    .strictObject({
      ...{
        prompt: name,
        query: name,
        response: name,
        history: name,
        messages: name,
        system: name,
        tools: name,
      },
      ...{ chosen: name, rejected: name, kto_tag: name, completion: name, label: name, text: name },
    })
    .optional(),
  tags: z
    .strictObject({
      ...{ role_tag: name, content_tag: name, user_tag: name, assistant_tag: name },
      ...{ observation_tag: name, function_tag: name, system_tag: name },
    })
    .optional(),
});
export type Naming = z.output<typeof namingSchema>;

const entrySchema = z.looseObject({
  ...namingSchema.shape,
  file_name: name,
  split: name,
  subset: name,
  num_samples: z.int().min(1).optional(),
});
export type DatasetEntry = z.output<typeof entrySchema> & { readonly file_name: string };

/** Throws UserError for a registry that cannot be read, and a dataset that it has not or that is no file; undefined for the former where it need not be. */
export async function readDatasetInfo(
  path: string,
  dataset: string,
  mustBe: boolean,
): Promise<DatasetEntry | undefined> {
  const refuse = (text: string, cause?: unknown): UserError =>
    new UserError("bad_data", `${path}: ${text}`, { cause });
  let info: unknown;
  try {
    info = parseStrictJson((await readRegularFile(path)).toString("utf8"));
  } catch (error) {
    throw refuse((error as Error).message, error);
  }
  if (!isJsonObject(info)) throw refuse("expected an object of datasets by their names.");
  if (!Object.hasOwn(info, dataset)) {
    if (!mustBe) return undefined;
    throw refuse(
      `it has no dataset ${dataset}; it has ${Object.keys(info).slice(0, 20).join(", ") || "none"}.`,
    );
  }
  const parsed = entrySchema.safeParse(info[dataset], inWords);
  if (!parsed.success) {
    const { path: at = [], message = "" } = parsed.error.issues[0] ?? {};
    throw refuse(`${[dataset, ...at].join(".")}: ${message}.`);
  }
  const { file_name: file } = parsed.data;
  if (file === undefined) {
    const elsewhere = Object.keys(parsed.data).find((key) => /_url$/.test(key));
    throw refuse(
      `${dataset} has no file_name${elsewhere === undefined ? "" : ` but ${elsewhere}`}: download its files and give their name as file_name, from where ${path} is.`,
    );
  }
  return { ...parsed.data, file_name: file };
}
