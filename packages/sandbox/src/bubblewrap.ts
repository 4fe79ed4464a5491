/**
 * The command that runs a program under bubblewrap: namespaces of its own (network, processes, IPC, host name), a root
 * made of /usr and the toolchain read-only, a small /tmp, a user that is nobody, no capabilities, and the kernel's limits
 * set inside, where they count this program alone.
 *
 * Two layouts. `drop` (we are root): bubblewrap mounts as root, then setpriv becomes a user that no other process has, so
 * that the process limit holds (RLIMIT_NPROC does nothing for root). `userns` (we are not, or root may not mount):
 * a user namespace. What counts is what self-test.ts proves, not what is written here.
 */
import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import type { Launch } from "./contained-process.js";
import type { Limits } from "./limits.js";
import { syscallFilter } from "./syscall-filter.js";

export type Layout = "drop" | "userns";

export interface Program {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Host folders that it may read, at their own paths. */
  readonly folders?: readonly string[];
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly stdin?: string | Uint8Array;
  /** Contents of its descriptors 6, 7, ... */
  readonly data?: readonly (string | Uint8Array)[];
  /**
   * `address-space`: RLIMIT_AS, exact for programs that map what they use. `data`: RLIMIT_DATA, for run-times that
   * reserve more than they touch (V8, the JVM, Go).
   */
  readonly memory: "address-space" | "data";
  readonly stackMb?: number;
}

const inside = "/usr/local/bin:/usr/bin:/bin";

export function bubblewrapLaunch(layout: Layout, program: Program, limits: Limits): Launch {
  const files = Object.entries(program.files ?? {});
  const filter = syscallFilter();
  const data = [...(program.data ?? []), ...files.map(([, content]) => content)];
  const descriptor = 6 + data.length;
  const sizes = { "/tmp": limits.fileMb * 2 ** 20, "/dev/shm": 16 << 20 };
  const mounts = [
    ...["--ro-bind", "/usr", "/usr"],
    ...["bin", "sbin", "lib", "lib64", "lib32"].filter((name) => existsSync(`/${name}`)).flatMap(rootFolder),
    ...["--perms", "0755", "--dir", "/etc", "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"],
    // Before the folders: one of them may lie below the host's /tmp.
    ...tmpfs("/tmp", sizes["/tmp"]),
    ...(program.folders ?? []).flatMap((path) => [...openParents(path), "--ro-bind", path, path]),
    // The first process is bubblewrap's and, in a user namespace, of the program's own user: its memory is covered.
    ...["--proc", "/proc", "--tmpfs", "/proc/1", "--remount-ro", "/proc/1", "--dev", "/dev"],
    ...tmpfs("/dev/shm", sizes["/dev/shm"]),
    ...["--remount-ro", "/dev"],
    ...files.flatMap(([path], i) => [
      "--perms",
      "0555",
      "--ro-bind-data",
      String(descriptor - files.length + i),
      path,
    ]),
    ...["--remount-ro", "/", "--chdir", "/tmp"],
  ];
  const environment = { PATH: inside, HOME: "/tmp", TMPDIR: "/tmp", LANG: "C.UTF-8", ...program.env };
  const megabytes = String(limits.memoryMb * 2 ** 20);
  const cpu = Math.ceil(limits.cpuSeconds);
  const args = [
    ...(layout === "userns"
      ? ["--unshare-user", "--uid", "65534", "--gid", "65534"]
      : ["SETUID", "SETGID", "SETPCAP"].flatMap((name) => ["--cap-add", `CAP_${name}`])),
    ...["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"],
    ...["--die-with-parent", "--new-session", "--hostname", "sandbox", "--json-status-fd", "5", "--clearenv"],
    ...Object.entries(environment).flatMap(([key, value]) => ["--setenv", key, value]),
    ...mounts,
    ...(filter ? ["--seccomp", String(descriptor)] : []),
    "--",
    ...(layout === "drop" ? asNobodyElse() : []),
    "/usr/bin/prlimit",
    `--nproc=${limits.processes}`,
    `--cpu=${cpu}:${cpu + 1}`,
    program.memory === "data" ? `--data=${megabytes}` : `--as=${megabytes}`,
    `--fsize=${limits.fileMb * 2 ** 20}`,
    `--stack=${(program.stackMb ?? 8) * 2 ** 20}`,
    "--nofile=256",
    ...["--core=0", "--msgqueue=0", "--memlock=0", "--sigpending=1024"],
    ...program.argv,
  ];
  const { stdin } = program;
  const launch = {
    data: filter ? [...data, filter] : data,
    inMemory: sizes,
    env: {},
    ...(stdin === undefined ? {} : { stdin }),
  };
  // Root may read what nobody may not; where root has no right to mount, nobody's user namespace may still work.
  return layout === "userns" && process.getuid?.() === 0
    ? {
        ...launch,
        command: "setpriv",
        args: ["--reuid=65534", "--regid=65534", "--clear-groups", "bwrap", ...args],
        env: { PATH: inside },
      }
    : { ...launch, command: "bwrap", args, env: { PATH: process.env["PATH"] ?? inside } };
}

/** bubblewrap reports the PID of its namespace's first process once it runs; without that the sandbox itself failed. */
export function bubblewrapStarted(status: string): number | undefined {
  const pid = /"child-pid": (\d+)/.exec(status)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

function rootFolder(name: string): string[] {
  // Merged /usr everywhere that this runs; an old layout has real folders.
  return existsSync(`/usr/${name}`)
    ? ["--symlink", `usr/${name}`, `/${name}`]
    : ["--ro-bind", `/${name}`, `/${name}`];
}

/** A toolchain may lie below a home that only its owner enters: in the sandbox its parents are empty and open. */
function openParents(path: string): string[] {
  const parts = path.split("/").slice(1, -1);
  return parts.flatMap((_, i) => ["--perms", "0755", "--dir", `/${parts.slice(0, i + 1).join("/")}`]);
}

function tmpfs(path: string, bytes: number): string[] {
  return ["--perms", "1777", "--size", String(bytes), "--tmpfs", path];
}

/** A user and group number of its own for each program: its process limit then counts nobody else. */
function asNobodyElse(): string[] {
  const id = randomInt(1_000_000_000, 2_000_000_000);
  return [
    "/usr/bin/setpriv",
    `--reuid=${id}`,
    `--regid=${id}`,
    "--clear-groups",
    "--bounding-set=-all",
    "--inh-caps=-all",
    "--no-new-privs",
  ];
}
