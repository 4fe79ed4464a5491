/**
 * The system calls that a graded program is refused: a seccomp program, as bytes, that bubblewrap loads before it starts
 * anything. It names what honest programs do without and what would take them around a limit: memory that belongs to no
 * process, namespaces of their own (a tmpfs mounted in one has no limit), reaching into other processes, and the parts of
 * the kernel where its bugs are found. Everything else is allowed.
 *
 * A refused call fails as it does on a kernel that lacks it (ENOSYS) where programs then take another way, else EPERM.
 * Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux.
 */
import { constants } from "node:os";
import { controlled } from "./cgroup.js";

const { EPERM, ENOSYS, EAFNOSUPPORT } = constants.errno;

/** Name, number on x86_64, number on aarch64. Above 423 all architectures share their numbers. */
const refused: Readonly<Record<"EPERM" | "ENOSYS", readonly (readonly [string, number, number])[]>> = {
  EPERM: [
    // Namespaces and mounts.
    ["unshare", 272, 97],
    ["setns", 308, 268],
    ["mount", 165, 40],
    ["umount2", 166, 39],
    ["pivot_root", 155, 41],
    ["chroot", 161, 51],
    ["open_tree", 428, 428],
    ["move_mount", 429, 429],
    ["fsopen", 430, 430],
    ["fsconfig", 431, 431],
    ["fsmount", 432, 432],
    ["fspick", 433, 433],
    ["mount_setattr", 442, 442],
    // Other processes: the first one of the namespace is the sandbox's own.
    ["ptrace", 101, 117],
    ["process_vm_readv", 310, 270],
    ["process_vm_writev", 311, 271],
    ["pidfd_getfd", 438, 438],
    ["kcmp", 312, 272],
    // A pipe keeps whole huge pages alive of which it was given a byte.
    ["vmsplice", 278, 75],
  ],
  ENOSYS: [
    // Memory that no process is charged for.
    ["memfd_create", 319, 279],
    ["memfd_secret", 447, 447],
    ["shmget", 29, 194],
    ["semget", 64, 190],
    ["msgget", 68, 186],
    ["mq_open", 240, 180],
    ["add_key", 248, 217],
    ["request_key", 249, 218],
    ["keyctl", 250, 219],
    ["inotify_init1", 294, 26],
    ["fanotify_init", 300, 262],
    ["landlock_create_ruleset", 444, 444],
    // Ways into the kernel.
    ["bpf", 321, 280],
    ["perf_event_open", 298, 241],
    ["userfaultfd", 323, 282],
    ["io_uring_setup", 425, 425],
    // Its flags lie in memory, where a filter cannot look: the C library goes on to clone.
    ["clone3", 435, 435],
  ],
};

/** Only the old architecture has these. */
const onlyX64: readonly (readonly [string, number])[] = [["inotify_init", 253]];

const numbers = {
  x64: { clone: 56, fcntl: 72, socket: 41, rt_sigaction: 13, architecture: 0xc000003e },
  arm64: { clone: 220, fcntl: 25, socket: 198, rt_sigaction: 134, architecture: 0xc00000b7 },
} as const;

/** CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET. */
const newNamespaces = 0x7e020000;
const setPipeSize = 1031;
const childSignal = 17;
/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK (which getaddrinfo asks for addresses). */
const families = [1, 2, 10, 16];

export interface FilterOptions {
  /**
   * Leave SIGCHLD alone: a process that ignores it has children whose CPU time no process inherits, so where /proc is
   * what the time is read from, nothing may be set for it (the call succeeds and does nothing).
   */
  readonly childSignal: boolean;
}

/** Undefined on a machine whose numbers are not known here. */
export function syscallFilter(
  options: FilterOptions = { childSignal: controlled().cpu },
  machine: string = process.arch,
): Buffer | undefined {
  if (machine !== "x64" && machine !== "arm64") return undefined;
  const { architecture, clone, fcntl, socket, rt_sigaction } = numbers[machine];
  const column = machine === "x64" ? 1 : 2;
  return assemble([
    // Another architecture's calls have other numbers: 32-bit ones through int 0x80, and x32's.
    load(field.architecture),
    ...unless(equal(architecture), [give(killProcess)]),
    load(field.number),
    ...(machine === "x64" ? when(atLeast(0x40000000), [give(killProcess)]) : []),
    ...(["EPERM", "ENOSYS"] as const).flatMap((name) =>
      refused[name].flatMap((call) => when(equal(call[column]), [give(errno(constants.errno[name]))])),
    ),
    ...(machine === "x64" ? onlyX64.flatMap(([, nr]) => when(equal(nr), [give(errno(ENOSYS))])) : []),
    ...when(equal(clone), [
      load(field.argument(0)),
      ...when(anyOf(newNamespaces), [give(errno(EPERM))]),
      give(allow),
    ]),
    ...when(equal(fcntl), [
      load(field.argument(1)),
      ...when(equal(setPipeSize), [give(errno(EPERM))]),
      give(allow),
    ]),
    ...when(equal(socket), [
      load(field.argument(0)),
      ...families.flatMap((family) => when(equal(family), [give(allow)])),
      give(errno(EAFNOSUPPORT)),
    ]),
    ...(options.childSignal
      ? []
      : when(equal(rt_sigaction), [
          load(field.argument(0)),
          ...unless(equal(childSignal), [give(allow)]),
          // Asking without setting passes a null pointer.
          load(field.argument(1)),
          ...unless(equal(0), [give(errno(0))]),
          load(field.argument(1) + 4),
          ...unless(equal(0), [give(errno(0))]),
        ])),
    give(allow),
  ]);
}

/** One instruction of classic BPF: struct sock_filter of linux/filter.h. */
interface Instruction {
  readonly code: number;
  readonly ifTrue: number;
  readonly ifFalse: number;
  readonly value: number;
}

interface Condition {
  readonly code: number;
  readonly value: number;
}

/** Offsets in struct seccomp_data; an argument's lower half comes first, all machines here are little-endian. */
const field = { number: 0, architecture: 4, argument: (i: number): number => 16 + 8 * i };

const allow = 0x7fff0000;
const killProcess = 0x80000000;
const errno = (value: number): number => 0x00050000 | value;

const load = (offset: number): Instruction => ({ code: 0x20, ifTrue: 0, ifFalse: 0, value: offset });
const give = (value: number): Instruction => ({ code: 0x06, ifTrue: 0, ifFalse: 0, value });
const equal = (value: number): Condition => ({ code: 0x15, value });
const atLeast = (value: number): Condition => ({ code: 0x35, value });
const anyOf = (value: number): Condition => ({ code: 0x45, value });

const when = (condition: Condition, then: readonly Instruction[]): Instruction[] => [
  { ...condition, ifTrue: 0, ifFalse: then.length },
  ...then,
];
const unless = (condition: Condition, then: readonly Instruction[]): Instruction[] => [
  { ...condition, ifTrue: then.length, ifFalse: 0 },
  ...then,
];

function assemble(instructions: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(8 * instructions.length);
  for (const [i, { code, ifTrue, ifFalse, value }] of instructions.entries()) {
    bytes.writeUInt16LE(code, 8 * i);
    bytes.writeUInt8(ifTrue, 8 * i + 2);
    bytes.writeUInt8(ifFalse, 8 * i + 3);
    bytes.writeUInt32LE(value, 8 * i + 4);
  }
  return bytes;
}
