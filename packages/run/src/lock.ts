/**
 * One writer for a run folder. The lock is a file that names its process; a process that is gone, killed or of an
 * earlier boot, holds nothing, so that a killed run resumes without anyone cleaning up.
 *
 * The file appears whole (hard link of a finished one). A dead process's lock is moved away before it is deleted: who
 * moved away a living one (another starter was faster) puts it back and starts over.
 */
import { randomBytes } from "node:crypto";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { z } from "zod";
import { asCannotWrite } from "./durable.js";

const holderSchema = z.object({
  token: z.string(),
  pid: z.int(),
  /** Clock ticks from boot to the process's start: tells it from a later one with the same pid. */
  started: z.string(),
  boot: z.string(),
  host: z.string(),
  since: z.string(),
});
type Holder = z.infer<typeof holderSchema>;

export interface RunLock {
  release(): Promise<void>;
}

const lockFile = ".lock";

/** Takes the lock of `dir`, an existing folder. Throws UserError `run_locked` when another process has it, `cannot_write`. */
export async function lockRun(dir: string): Promise<RunLock> {
  const path = join(dir, lockFile);
  const own: Holder = {
    token: randomBytes(12).toString("hex"),
    pid: process.pid,
    started: (await startOf(process.pid)) ?? "",
    boot: await bootId(),
    host: hostname(),
    since: new Date().toISOString(),
  };
  const draft = `${path}.${own.token}`;
  try {
    await writeFile(draft, `${JSON.stringify(own)}\n`, { flag: "wx" });
    for (;;) {
      try {
        await link(draft, path);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const holder = await readHolder(path);
      if (holder === "gone") continue;
      if (holder !== "broken" && (await isAlive(holder, own))) throw locked(dir, path, holder);
      await takeAway(path, holder);
    }
  } catch (cause) {
    throw asCannotWrite(path, cause);
  } finally {
    await rm(draft, { force: true }).catch(() => undefined);
  }
  return {
    release: async () => {
      try {
        const holder = await readHolder(path);
        if (typeof holder === "object" && holder.token === own.token) await rm(path, { force: true });
      } catch {
        // What stays when the disk refuses is the lock of a process that is about to be gone, which holds nothing; and the error that
        // ended the run is the one to tell.
      }
    },
  };
}

async function readHolder(path: string): Promise<Holder | "gone" | "broken"> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return "gone";
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return "broken"; // no lock of ours was ever half-written: a crash of the whole machine left it empty
  }
}

async function takeAway(path: string, holder: Holder | "broken"): Promise<void> {
  const aside = `${path}.${randomBytes(12).toString("hex")}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  const moved = await readHolder(aside);
  const same =
    typeof moved === "object" && typeof holder === "object" ? moved.token === holder.token : moved === holder;
  if (!same) await link(aside, path);
  await rm(aside, { force: true });
}

async function isAlive(holder: Holder, own: Holder): Promise<boolean> {
  if (holder.host !== own.host) return true; // cannot be known from here
  if (holder.boot !== own.boot) return false;
  if (holder.pid === own.pid) return true;
  const started = await startOf(holder.pid);
  if (started !== undefined) return started === holder.started;
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** From /proc, where there is one. A zombie is dead. */
async function startOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields === undefined ? undefined : fields[0] === "Z" ? "gone" : fields[19];
}

async function bootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "")).trim();
}

function locked(dir: string, path: string, { pid, host, since }: Holder): UserError {
  return new UserError(
    "run_locked",
    `${dir} is being written by process ${pid} on ${host}, since ${since}. Two writers would destroy the run: wait for it, stop it, ` +
      `or give another output_dir. If that process is certainly gone (its machine was switched off), delete ${path}.`,
  );
}
