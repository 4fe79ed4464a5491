/**
 * The folder of a run: begun once, gone on with as often as it takes. One process writes at a time; a folder that holds something
 * else, or a run that nobody asked to resume, is refused before anything is written.
 */
import { mkdir, readdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { UserError } from "@posttrain/data";
import { stringify } from "yaml";
import {
  type Checkpoint,
  checkpointSteps,
  type Damage,
  isLeftover,
  newestCheckpoint,
  setAside,
  sweepLeftovers,
  verifyCheckpoint,
} from "./checkpoint.js";
import { asCannotWrite, writeDurably } from "./durable.js";
import { lockRun, type RunLock } from "./lock.js";
import { missingLines } from "./step-log.js";

export interface Run {
  readonly dir: string;
  /** Where the run goes on from; undefined: from its beginning. */
  readonly checkpoint: Checkpoint | undefined;
  /** Newer checkpoints that do not verify; begin() moves them out of the way, as damaged-checkpoint-<step>. */
  readonly damaged: readonly Damage[];
  /** What is missing of the logs by step that the checkpoint's run had here: a sentence for each. */
  readonly missing: readonly string[];
  /**
   * Makes the folder and takes its lock, if that is still to do, and writes the resolved config. Call it when everything that can be
   * refused has been looked at.
   */
  begin(config: Readonly<Record<string, unknown>>): Promise<void>;
  /** Before a begun run writes into its folder again: it is still there and ours. Throws UserError `run_moved`, `run_locked`. */
  check(): Promise<void>;
  close(): Promise<void>;
}

/** false: a new run. true: the newest checkpoint that verifies. A path: that checkpoint. */
export type Resume = boolean | string;

/** The resolved config, written first by every run: what tells a run's folder from any other. */
const configFile = "config.yaml";

/**
 * Looks at `dir` and takes its lock when there is a run to resume. Throws UserError: `output_dir_used`, `not_a_run`,
 * `no_sound_checkpoint`, `not_a_checkpoint`, `damaged_checkpoint`, `run_locked`, `cannot_write`.
 */
export async function openRun(dir: string, resume: Resume): Promise<Run> {
  const names = await namesIn(dir);
  const inside = typeof resume === "string" && resolve(dirname(resume)) === resolve(dir);
  if (resume === false || (typeof resume === "string" && !inside)) {
    if (names.length > 0) throw used(dir, names, resume);
    return runIn(dir, resume === false ? undefined : await verifyCheckpoint(resume), [], [], undefined);
  }
  if (!names.includes(configFile) && (await stepsIn(dir, names)).length === 0) {
    if (names.length === 0) return runIn(dir, undefined, [], [], undefined);
    throw new UserError(
      "not_a_run",
      `output_dir ${dir} holds no run to resume: it has neither ${configFile} nor checkpoints, but ${listed(names)}. Check the path, or begin a new run in a new folder.`,
    );
  }
  const lock = await lockRun(dir);
  try {
    await sweepLeftovers(dir);
    const { checkpoint, damaged } =
      typeof resume === "string"
        ? { checkpoint: await verifyCheckpoint(resume), damaged: [] }
        : await newestCheckpoint(dir);
    if (checkpoint === undefined && damaged.length > 0) {
      throw new UserError(
        "no_sound_checkpoint",
        `${dir}: none of its checkpoints is sound. ${damaged.map(({ reason }) => reason).join(" ")}`,
      );
    }
    const { logs = {}, step = 0 } = checkpoint?.manifest ?? {};
    return runIn(dir, checkpoint, damaged, await missingLines(dir, logs, step), lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function runIn(
  dir: string,
  checkpoint: Checkpoint | undefined,
  damaged: readonly Damage[],
  missing: readonly string[],
  held: RunLock | undefined,
): Run {
  let lock = held;
  return {
    dir,
    checkpoint,
    damaged,
    missing,
    begin: async (config) => {
      try {
        if (lock === undefined) {
          await mkdir(dir, { recursive: true });
          lock = await lockRun(dir);
          const names = await namesIn(dir);
          if (names.length > 0) throw used(dir, names, false); // another process was faster
          await sweepLeftovers(dir);
        } else {
          await setAside(dir, checkpoint?.manifest.step ?? 0, damaged.length > 0 ? "damaged" : "superseded");
        }
      } catch (cause) {
        throw asCannotWrite(dir, cause);
      }
      await writeDurably(join(dir, configFile), stringify(config));
    },
    check: async () => {
      await lock?.check();
    },
    close: async () => {
      await lock?.release();
      lock = undefined;
    },
  };
}

/** Without the lock and its drafts, and without what a process left that was killed before its run had begun. */
async function namesIn(dir: string): Promise<readonly string[]> {
  const names = await readdir(dir).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    const kind = (await stat(dir).catch(() => undefined))?.isDirectory()
      ? "cannot be read"
      : "is not a folder";
    throw new UserError(
      "bad_output_dir",
      `output_dir ${dir} ${kind} (${error.message}). Give another folder.`,
      {
        cause: error,
      },
    );
  });
  return names.filter((name) => !name.startsWith(".lock") && !isLeftover(name)).sort();
}

const stepsIn = async (dir: string, names: readonly string[]): Promise<readonly number[]> =>
  names.length === 0 ? [] : checkpointSteps(dir);

function used(dir: string, names: readonly string[], resume: Resume): UserError {
  const isRun = names.includes(configFile);
  const remedy =
    typeof resume === "string"
      ? `resume_from_checkpoint names a checkpoint of another run (${join(resume)}), which goes on in a new, empty output_dir.`
      : isRun
        ? "Go on with that run with --resume_from_checkpoint, or give a new folder."
        : "Give a new or an empty folder.";
  return new UserError(
    "output_dir_used",
    `output_dir ${dir} ${isRun ? "holds a run already" : `is not empty: it holds ${listed(names)}`}. ${remedy}`,
  );
}

function listed(names: readonly string[]): string {
  return names.length <= 3
    ? names.join(", ")
    : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`;
}
