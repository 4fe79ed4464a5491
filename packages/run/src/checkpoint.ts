/**
 * Checkpoints as transactions. checkpoint-<step> is written under another name, synced, digested, given its manifest.json last,
 * then renamed: a folder of that name with a manifest whose digests hold is complete, anything else is none. What a killed
 * process leaves has other names and is swept away by the next run.
 */
import { createHash, randomBytes } from "node:crypto";
import { readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { canonicalJson, readRegularFile, UserError } from "@posttrain/data";
import { z } from "zod";
import { asCannotWrite, fileDigest, syncPath, writeDurably } from "./durable.js";

const manifestFile = "manifest.json";
const digest = z.string().regex(/^[0-9a-f]{64}$/, "expected a SHA-256");

/** What a run was made of: traced by digest, the path is a help for people. */
const parentSchema = z.strictObject({ kind: z.string(), path: z.string(), sha256: digest });
export type Parent = z.infer<typeof parentSchema>;

const manifestSchema = z.strictObject({
  schema: z.literal("checkpoint@1"),
  step: z.int().nonnegative(),
  created: z.string(),
  identity: z.record(z.string(), z.unknown()),
  /** Differences of the identity that somebody accepted, with the step from which they hold. */
  accepted: z.array(
    z.strictObject({
      step: z.int(),
      key: z.string(),
      before: z.unknown().optional(),
      now: z.unknown().optional(),
    }),
  ),
  parents: z.array(parentSchema),
  /** How many lines each log by step of the run folder had. */
  logs: z.record(z.string(), z.int().nonnegative()).optional(),
  files: z.record(z.string(), z.strictObject({ bytes: z.int().nonnegative(), sha256: digest })),
  /** Of the canonical JSON of all the above. */
  sha256: digest,
});
export type Manifest = z.infer<typeof manifestSchema>;

export interface Checkpoint {
  readonly dir: string;
  readonly manifest: Manifest;
}

export interface NewCheckpoint extends Pick<Manifest, "step" | "identity" | "accepted" | "parents" | "logs"> {
  /** About how many bytes `write` will write: nothing is begun when the disk has less. */
  readonly bytes: number;
  /** Makes the folder `dir` and everything in it, synced. */
  readonly write: (dir: string) => Promise<void>;
}

/** A number as we write it: checkpoint-004 is somebody else's. */
const checkpointName = /^checkpoint-(0|[1-9]\d*)$/;
/** What killed processes leave: unfinished files and checkpoints, unfinished deletions. */
export const isLeftover = (name: string): boolean => /\.(?:partial|trash)-[0-9a-f]{12}$/.test(name);

/**
 * Writes checkpoint-<step> into `runDir`, in place of one with that name. Throws UserError
 * `disk_full`, `cannot_write`; earlier checkpoints are untouched.
 */
export async function writeCheckpoint(runDir: string, checkpoint: NewCheckpoint): Promise<Checkpoint> {
  const { step, identity, accepted, parents, logs, bytes, write } = checkpoint;
  const dir = join(runDir, `checkpoint-${step}`);
  await checkSpace(runDir, dir, bytes);
  const partial = `${dir}.partial-${randomBytes(6).toString("hex")}`;
  try {
    await write(partial);
    const files = await digestFiles(partial);
    const created = new Date().toISOString();
    const manifest = sealed({
      schema: "checkpoint@1",
      step,
      created,
      identity,
      accepted,
      parents,
      ...(logs && { logs }),
      files,
    });
    await writeDurably(join(partial, manifestFile), `${JSON.stringify(manifest, null, 2)}\n`);
    await replace(partial, dir);
    await syncPath(runDir);
    return { dir, manifest };
  } catch (cause) {
    await rm(partial, { recursive: true, force: true }).catch(() => undefined); // the first error is the one to tell
    // What was refused inside has a name that is gone by now: the checkpoint's is the one to tell.
    const refused = cause instanceof UserError && cause.code === "cannot_write" ? cause.cause : cause;
    throw asCannotWrite(dir, refused);
  }
}

/** Reads a checkpoint and holds every file against its digest. Throws UserError `not_a_checkpoint`, `damaged_checkpoint` naming the file. */
export async function verifyCheckpoint(dir: string): Promise<Checkpoint> {
  const path = join(dir, manifestFile);
  const bytes = await readRegularFile(path).catch((error: NodeJS.ErrnoException) => {
    const what = error.code === "ENOENT" ? `has no ${manifestFile}` : `cannot be read (${error.message})`;
    throw new UserError(
      "not_a_checkpoint",
      `${dir} ${what}: it is no complete checkpoint. Name a folder checkpoint-<step> of a run, or its newest by --resume_from_checkpoint without a value.`,
      { cause: error },
    );
  });
  const manifest = parseManifest(path, bytes.toString("utf8"));
  for (const [name, { bytes, sha256 }] of Object.entries(manifest.files)) {
    const file = join(dir, name);
    const size = await stat(file).then(
      (stats) => stats.size,
      () => undefined,
    );
    if (size === undefined) throw damaged(file, "is missing");
    if (size !== bytes) throw damaged(file, `has ${size} bytes, ${manifestFile} says ${bytes}`);
    const found = await fileDigest(file);
    if (found !== sha256) {
      throw damaged(
        file,
        `has the SHA-256 ${found.slice(0, 12)}..., ${manifestFile} says ${sha256.slice(0, 12)}...`,
      );
    }
  }
  return { dir, manifest };
}

export interface Damage {
  readonly dir: string;
  readonly reason: string;
}

/** The newest checkpoint of a run that verifies, and the newer ones that do not. */
export async function newestCheckpoint(
  runDir: string,
): Promise<{ readonly checkpoint: Checkpoint | undefined; readonly damaged: readonly Damage[] }> {
  const damaged: Damage[] = [];
  for (const step of (await checkpointSteps(runDir)).reverse()) {
    const dir = join(runDir, `checkpoint-${step}`);
    try {
      return { checkpoint: await verifyCheckpoint(dir), damaged };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      damaged.push({ dir, reason: error.message });
    }
  }
  return { checkpoint: undefined, damaged };
}

/** Steps of the folders called checkpoint-<step>, ascending; whether they verify is another question. */
export async function checkpointSteps(runDir: string): Promise<number[]> {
  const steps: number[] = [];
  for (const step of await stepsInNames(runDir)) {
    const there = await stat(join(runDir, `checkpoint-${step}`)).catch(() => undefined);
    if (there?.isDirectory()) steps.push(step);
  }
  return steps;
}

/** Of whatever is called checkpoint-<step>, ascending. */
async function stepsInNames(runDir: string): Promise<readonly number[]> {
  const names = await readdir(runDir);
  return names
    .flatMap((name) => checkpointName.exec(name)?.[1] ?? [])
    .map(Number)
    .filter(Number.isSafeInteger)
    .sort((a, b) => a - b);
}

/** Deletes all but the newest `keep` checkpoints. A killed deletion leaves nothing that looks like a checkpoint. */
export async function pruneCheckpoints(runDir: string, keep: number): Promise<void> {
  const steps = await checkpointSteps(runDir);
  for (const step of steps.slice(0, Math.max(0, steps.length - keep))) {
    await discard(join(runDir, `checkpoint-${step}`));
  }
}

/** Deletes what killed processes left in a folder that this one has locked. */
export async function sweepLeftovers(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (isLeftover(name)) await rm(join(dir, name), { recursive: true, force: true });
  }
}

/** Moves the checkpoints beyond `step`, and what else has their names, out of the way of a run that goes on from there: <word>-checkpoint-<n>. */
export async function setAside(runDir: string, step: number, word: string): Promise<void> {
  for (const later of await stepsInNames(runDir)) {
    if (later <= step) continue;
    const target = join(runDir, `${word}-checkpoint-${later}`);
    await rm(target, { recursive: true, force: true });
    await rename(join(runDir, `checkpoint-${later}`), target);
  }
}

async function checkSpace(runDir: string, dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(runDir);
  const free = bavail * bsize;
  if (free >= bytes) return;
  const megabytes = (value: number): string => `${(value / 1e6).toFixed(1)} MB`;
  throw new UserError(
    "disk_full",
    `${dir} needs about ${megabytes(bytes)}, but ${megabytes(free)} are free there. Nothing was begun, earlier checkpoints are whole: free space, ` +
      "set a smaller save_total_limit, or take another output_dir; then resume with --resume_from_checkpoint.",
  );
}

/** Digests of the files below `dir`, by their path in it. */
async function digestFiles(dir: string): Promise<Manifest["files"]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .sort();
  const files: Manifest["files"] = {};
  for (const path of paths) {
    const { size } = await stat(join(dir, path));
    files[path] = { bytes: size, sha256: await fileDigest(join(dir, path)) };
  }
  return files;
}

function sealed(content: Omit<Manifest, "sha256">): Manifest {
  return { ...content, sha256: sealOf(content) };
}

function sealOf(content: Omit<Manifest, "sha256">): string {
  // Through JSON once: what is undefined is absent on disk too.
  const plain: unknown = JSON.parse(JSON.stringify(content));
  return createHash("sha256").update(canonicalJson(plain)).digest("hex");
}

function parseManifest(path: string, text: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged(path, "is not JSON");
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw damaged(path, `is no manifest of this version (${issue?.path.join(".")}: ${issue?.message})`);
  }
  const { sha256, ...content } = parsed.data;
  if (sealOf(content) !== sha256) throw damaged(path, "does not agree with its own SHA-256");
  return parsed.data;
}

async function replace(partial: string, dir: string): Promise<void> {
  const trash = `${dir}.trash-${randomBytes(6).toString("hex")}`;
  const there = await stat(dir).catch(() => undefined);
  if (there !== undefined) await rename(dir, trash);
  await rename(partial, dir);
  if (there !== undefined) await rm(trash, { recursive: true, force: true });
}

async function discard(dir: string): Promise<void> {
  const trash = `${dir}.trash-${randomBytes(6).toString("hex")}`;
  await rename(dir, trash);
  await rm(trash, { recursive: true, force: true });
}

function damaged(file: string, what: string): UserError {
  return new UserError(
    "damaged_checkpoint",
    `${file} ${what}: this checkpoint is damaged. Resume from another one, or put back the file from a copy.`,
  );
}
