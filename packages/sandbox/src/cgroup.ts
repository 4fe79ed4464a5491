/**
 * A control group around one program, where this process may make one: the kernel then counts all that its processes use
 * together, whether they were waited for or not and whether memory is theirs or held for them (files in memory, pipes,
 * sockets, page tables), and holds the memory to its limit itself.
 *
 * Version 1 has a tree for each resource, version 2 one for all. A group is made below this process's own, so that what
 * counts for this process counts its programs too; in version 2, where a group with processes has no groups with
 * controllers below it, beside it.
 */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";

export interface ControlGroup {
  /** The command, run inside the group. */
  readonly command: (command: string, args: readonly string[]) => { command: string; args: string[] };
  /** CPU seconds so far; undefined where no group counts them. */
  readonly cpuSeconds: () => number | undefined;
  /** Whether a process was ended because the memory was spent; undefined where no group limits it. */
  readonly outOfMemory: () => boolean | undefined;
  /** Ends all that runs in it. */
  readonly kill: () => void;
  /** With whatever still runs in it. */
  readonly remove: () => Promise<void>;
}

interface Place {
  readonly folder: string;
  readonly version: 1 | 2;
  readonly cpu: boolean;
  readonly memory: boolean;
}

/** Of version 1's extra account: enough for a program that talks to itself. */
const socketBytes = 16 << 20;
const prefix = "posttrain-";
let known: readonly Place[] | undefined;

/** What control groups count and limit on this machine. */
export function controlled(): { readonly cpu: boolean; readonly memory: boolean } {
  known ??= places();
  return { cpu: known.some(({ cpu }) => cpu), memory: known.some(({ memory }) => memory) };
}

/** The kind of control group that counts time, or limits memory, on this machine. */
export function heldByGroup(resource: "cpu" | "memory"): string | undefined {
  known ??= places();
  const place = known.find((one) => one[resource]);
  return place === undefined ? undefined : `a control group (version ${place.version})`;
}

export function openControlGroup(memoryBytes: number): ControlGroup {
  known ??= places();
  const name = `${prefix}${randomBytes(8).toString("hex")}`;
  const groups = known.map((place) => ({ ...place, path: join(place.folder, name) }));
  for (const { path, memory, version } of groups) {
    mkdirSync(path);
    if (memory) limitMemory(path, version, memoryBytes);
  }
  const counting = groups.find(({ cpu }) => cpu);
  const limiting = groups.find(({ memory }) => memory);
  let cpuSeconds = 0;
  let outOfMemory = false;
  const kill = (): void => {
    for (const pid of groups.flatMap(({ path }) => read(join(path, "cgroup.procs"))?.split("\n") ?? [])) {
      try {
        if (Number(pid) > 0) process.kill(Number(pid), "SIGKILL");
      } catch {} // It ended in between.
    }
  };
  return {
    kill,
    command: (command, args) =>
      groups.length === 0
        ? { command, args: [...args] }
        : {
            command: "/bin/sh",
            args: ["-c", enter(groups.length), "sh", ...groups.map(({ path }) => path), command, ...args],
          },
    cpuSeconds: () => {
      if (counting === undefined) return undefined;
      const { path, version } = counting;
      const now =
        version === 1
          ? Number(read(join(path, "cpuacct.usage")) ?? 0) / 1e9
          : field(read(join(path, "cpu.stat")), "usage_usec") / 1e6;
      cpuSeconds = Math.max(cpuSeconds, now);
      return cpuSeconds;
    },
    outOfMemory: () => {
      if (limiting === undefined) return undefined;
      const { path, version } = limiting;
      const events = read(join(path, version === 1 ? "memory.oom_control" : "memory.events"));
      outOfMemory ||= field(events, "oom_kill") > 0;
      return outOfMemory;
    },
    remove: async () => {
      const deadline = performance.now() + 5000;
      // The kernel ends a killed namespace after the one that killed it has gone on.
      while (!groups.every(({ path }) => removed(path)) && performance.now() < deadline) {
        kill();
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
  };
}

function enter(groups: number): string {
  const each = Array.from({ length: groups }, (_, i) => `echo 0 >"$${i + 1}/cgroup.procs"`);
  return `${each.join(" && ")} && shift ${groups} && exec "$@"`;
}

function limitMemory(path: string, version: 1 | 2, bytes: number): void {
  // Swap is no way around it. Kernels without swap accounting have no such file.
  const [limit, swap, swapLimit] =
    version === 1
      ? ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes]
      : ["memory.max", "memory.swap.max", 0];
  writeFileSync(join(path, limit), String(bytes));
  // Version 1 counts the buffers of network sockets apart.
  const sockets = join(path, "memory.kmem.tcp.limit_in_bytes");
  if (existsSync(sockets)) writeFileSync(sockets, String(Math.min(socketBytes, bytes)));
  if (existsSync(join(path, swap))) writeFileSync(join(path, swap), String(swapLimit));
  if (version === 2) writeFileSync(join(path, "memory.oom.group"), "1");
}

/** Where groups can be made and entered, tried by doing it. */
function places(): readonly Place[] {
  const own = (read("/proc/self/cgroup") ?? "")
    .trim()
    .split("\n")
    .map((line) => line.split(":"));
  const mounts = (read("/proc/self/mountinfo") ?? "").trim().split("\n").flatMap(mountOf);
  const found: Place[] = [];
  for (const resource of ["cpuacct", "memory"] as const) {
    const wanted = { cpu: resource === "cpuacct", memory: resource === "memory" };
    const path = own.find(([, names = ""]) => names.split(",").includes(resource))?.[2];
    const mount = mounts.find(({ type, options }) => type === "cgroup" && options.includes(resource));
    if (path === undefined || mount === undefined) continue;
    const folder = join(mount.at, relative(mount.root, path));
    const file = wanted.cpu ? "cpuacct.usage" : "memory.limit_in_bytes";
    if (canMake(folder, (group) => existsSync(join(group, file))))
      found.push({ folder, version: 1, ...wanted });
  }
  const path = own.find(([id]) => id === "0")?.[2];
  const mount = mounts.find(({ type }) => type === "cgroup2");
  if (path === undefined || mount === undefined) return swept(found);
  const open = {
    cpu: !found.some(({ cpu }) => cpu),
    memory: !found.some(({ memory }) => memory),
  };
  // Time is counted in every group, memory where the group above hands its controller down.
  const above = ancestors(join(mount.at, relative(mount.root, path)), mount.at);
  const has = (group: string, file: string): boolean => existsSync(join(group, file));
  const whole = above.find((folder) => canMake(folder, (group) => has(group, "memory.max")));
  const folder = whole ?? above.find((folder) => canMake(folder, (group) => has(group, "cpu.stat")));
  if (folder !== undefined && (open.cpu || (open.memory && whole !== undefined))) {
    found.push({ folder, version: 2, cpu: open.cpu, memory: open.memory && whole !== undefined });
  }
  return swept(found);
}

/** Takes away what a killed process left: an empty group that is minutes old is nobody's. */
function swept(found: readonly Place[]): readonly Place[] {
  const old = Date.now() - 300_000;
  for (const { folder } of found) {
    for (const name of readdirSync(folder).filter((name) => name.startsWith(prefix))) {
      const path = join(folder, name);
      try {
        if (statSync(path).ctimeMs < old) removed(path);
      } catch {} // Another one swept it.
    }
  }
  return found;
}

interface Mount {
  readonly root: string;
  readonly at: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** A line of mountinfo: id, parent, device, root, mount point, options, optional fields, "-", type, source, options. */
function mountOf(line: string): Mount[] {
  const [before = "", after = ""] = line.split(" - ");
  const [, , , root, at] = before.split(" ");
  const [type, , options] = after.split(" ");
  if (root === undefined || at === undefined || type === undefined || options === undefined) return [];
  return [{ root, at, type, options: options.split(",") }];
}

function ancestors(folder: string, top: string): string[] {
  const all = [folder];
  while (all.at(-1) !== top && all.at(-1)!.startsWith(`${top}/`)) all.push(dirname(all.at(-1)!));
  return all;
}

function canMake(folder: string, fits: (group: string) => boolean): boolean {
  const group = join(folder, `${prefix}${randomBytes(8).toString("hex")}`);
  try {
    mkdirSync(group);
  } catch {
    return false; // Read-only, somebody else's, or not there.
  }
  try {
    // To be in it takes more than to make it: the group above both must be this user's too.
    return (
      fits(group) && spawnSync("/bin/sh", ["-c", enter(1), "sh", group, "true"], { env: {} }).status === 0
    );
  } finally {
    for (let tries = 0; tries < 100 && !removed(group); tries++) sleepSync(1);
  }
}

function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function removed(path: string): boolean {
  try {
    rmdirSync(path);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
  return true;
}

function field(text: string | undefined, key: string): number {
  return Number(new RegExp(`^${key} (\\d+)$`, "m").exec(text ?? "")?.[1] ?? 0);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined; // It is gone, or this is no Linux.
  }
}
