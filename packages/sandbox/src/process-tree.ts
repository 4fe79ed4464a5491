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

/** What a socket's buffers may grow to, to send and to receive: what was asked for is doubled by the kernel. */
let socketSizes: { readonly any: number; readonly tcp: number } | undefined;

function largestSocket(): { readonly any: number; readonly tcp: number } {
  const setting = (name: string, usual: number): number =>
    Number(/(\d+)\s*$/.exec(read(`/proc/sys/net/${name}`) ?? "")?.[1] ?? usual);
  const either = (kind: string): number =>
    Math.max(setting(`core/${kind}_default`, 212_992), 2 * setting(`core/${kind}_max`, 212_992));
  socketSizes ??= {
    any: either("rmem") + either("wmem"),
    tcp: setting("ipv4/tcp_rmem", 6 << 20) + setting("ipv4/tcp_wmem", 4 << 20),
  };
  return socketSizes;
}

/**
 * The most bytes that a sandbox's sockets may hold in the kernel, seen through its first process. What they do hold is charged to
 * no process and told by nobody; how many there are is.
 */
export function socketMemory(pid: number): number {
  const counts = ["sockstat", "sockstat6"].map((name) => read(`/proc/${pid}/net/${name}`) ?? "").join("\n");
  const sum = (pattern: RegExp): number =>
    [...counts.matchAll(pattern)].reduce((total, [, count]) => total + Number(count), 0);
  const { any, tcp } = largestSocket();
  return any * sum(/^sockets: used (\d+)/gm) + tcp * sum(/^TCP6?: inuse (\d+)/gm);
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
