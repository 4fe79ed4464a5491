// pipeline.json in a pipeline's folder: of every step what it was begun with, whether it is done, and what it made. Old or new after a kill, never half.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { writeDurably } from "@posttrain/run";
import { z } from "zod";

const madeSchema = z.strictObject({ path: z.string(), sha256: z.string() });

const recordSchema = z.strictObject({
  state: z.enum(["begun", "done"]),
  /** What its result is a function of: its command, options that change something, digests of what it reads, posttrain's version. */
  of: z.record(z.string(), z.unknown()),
  /** Where it writes, by option. */
  outputs: z.record(z.string(), z.string()),
  /** Of a step that is done: what others may read, with its digest. */
  made: z.record(z.string(), madeSchema),
  /** Of a step that is about to begin: what is still to be set aside. */
  aside: z.array(z.string()).optional(),
  /** Of the command, once it has ended. */
  exit_code: z.int().optional(),
  /** A worker was asked for it. */
  on_worker: z.literal(true).optional(),
  begun: z.string(),
  ended: z.string().optional(),
});
export type StepRecord = z.infer<typeof recordSchema>;

const manifestSchema = z.strictObject({
  schema: z.literal("pipeline@1"),
  posttrain: z.string(),
  pipeline: z.string(),
  steps: z.record(z.string(), recordSchema),
});
export type PipelineManifest = z.infer<typeof manifestSchema>;

const fileIn = (dir: string): string => join(dir, "pipeline.json");

/** Undefined where there is none yet. UserError `bad_manifest`. */
export async function readManifest(dir: string): Promise<PipelineManifest | undefined> {
  const path = fileIn(dir);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new UserError("bad_manifest", `${path} cannot be read (${error.message}).`, { cause: error });
  });
  if (text === undefined) return undefined;
  const parsed = manifestSchema.safeParse(json(text));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new UserError(
    "bad_manifest",
    `${path} is no manifest of a pipeline (${issue?.path.join(".")}: ${issue?.message}). It was changed or damaged: put back a copy, or take another output_dir.`,
  );
}

export function writeManifest(dir: string, manifest: PipelineManifest): Promise<void> {
  return writeDurably(fileIn(dir), `${JSON.stringify(manifest, null, 2)}\n`);
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
