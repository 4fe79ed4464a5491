/**
 * Watches what the kernel's own limits leave open: RLIMIT_CPU and RLIMIT_AS count one process, not its children, and
 * shared memory counts nowhere. Reads /proc from outside the sandbox, where the candidate cannot lie about it.
 */
import { readdirSync, readFileSync, statfsSync } from "node:fs";

export interface Usage {
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly processes: number;
}

// USER_HZ and the page size as every Linux that Node runs on reports them to user space (ARM may have 64 KiB pages:
// then memory is read from VmRSS, which is in kB).
const ticksPerSecond = 100;

/** CPU time and resident memory of a process and all below it; undefined when it is gone or /proc is not there. */
export function usageOf(pid: number): Usage | undefined {
  let cpuTicks = 0;
  let memoryBytes = 0;
  let processes = 0;
  const queue = [pid];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const stat = read(`/proc/${next}/stat`);
    if (stat === undefined) continue;
    processes++;
    // After the command's closing parenthesis: state is field 3, utime..cstime are fields 14 to 17.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    for (let i = 11; i <= 14; i++) cpuTicks += Number(fields[i]);
    const status = read(`/proc/${next}/status`) ?? "";
    memoryBytes +=
      1024 * (kilobytes(status, "RssAnon") + kilobytes(status, "RssShmem") + kilobytes(status, "VmPTE"));
    queue.push(...childrenOf(next));
  }
  return processes === 0 ? undefined : { cpuSeconds: cpuTicks / ticksPerSecond, memoryBytes, processes };
}

export interface FilesInMemory {
  readonly bytes: number;
  /** More files than one of its file systems has pages: bubblewrap cannot bound their number. */
  readonly tooMany: boolean;
}

const tmpfs = 0x01021994;

/** What a sandbox's file systems in memory hold, by their path and size, seen through its first process. */
export function filesInMemory(pid: number, sizes: Readonly<Record<string, number>>): FilesInMemory {
  let bytes = 0;
  let tooMany = false;
  for (const [path, size] of Object.entries(sizes)) {
    try {
      const { type, bsize, blocks, bfree, files, ffree } = statfsSync(`/proc/${pid}/root${path}`);
      // In its first moments the process still sees the host's.
      if (type !== tmpfs || blocks !== Math.ceil(size / bsize)) continue;
      // An inode and its name take about 1 KiB of the kernel's.
      bytes += bsize * (blocks - bfree) + 1024 * (files - ffree);
      tooMany ||= files - ffree > blocks;
    } catch {} // It ended in between.
  }
  return { bytes, tooMany };
}

/** Ends a process and all below it. It is held still first, so that it starts nothing in between. */
export function killTree(pid: number): void {
  send(pid, "SIGSTOP");
  for (const child of childrenOf(pid)) killTree(child);
  send(pid, "SIGKILL");
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {} // It ended in between.
}

function childrenOf(pid: number): number[] {
  let tasks: string[];
  try {
    tasks = readdirSync(`/proc/${pid}/task`);
  } catch {
    return []; // It ended in between.
  }
  return tasks.flatMap((task) =>
    (read(`/proc/${pid}/task/${task}/children`) ?? "").split(" ").filter(Boolean).map(Number),
  );
}

function kilobytes(status: string, key: string): number {
  const at = status.indexOf(`${key}:`);
  return at < 0 ? 0 : Number.parseInt(status.slice(at + key.length + 1), 10);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined; // It ended in between, or this is no Linux.
  }
}
