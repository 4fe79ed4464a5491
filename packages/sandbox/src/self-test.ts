/**
 * Proves, on this machine and once per process, each limit that a sandbox is trusted for: a small program tries to pass it,
 * and must be stopped. What cannot be proven is not used: the error says which proof failed and what would help.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { lockFile } from "@posttrain/run";
import { bubblewrapLaunch, bubblewrapStarted, type Layout, type Program } from "./bubblewrap.js";
import { controlled } from "./cgroup.js";
import { type Exit, startContained } from "./contained-process.js";
import { type Limits, withDefaults } from "./limits.js";
import { javascriptTool, pythonTool, type Tool } from "./toolchains.js";

export interface Proof {
  readonly limit: string;
  readonly holds: boolean;
  readonly evidence: string;
  /** It is named, and programs run all the same: what it leaves open is bounded by other limits. */
  readonly optional?: boolean;
}

export interface SelfTest {
  readonly layout: Layout | undefined;
  readonly proofs: readonly Proof[];
  /** What to do about a limit that does not hold; undefined if all do. */
  readonly remedy: string | undefined;
}

let done: Promise<SelfTest> | undefined;

/** The layout that proved every limit. Throws a UserError with the remedy if none did. */
export async function provenLayout(): Promise<Layout> {
  const { layout, proofs, remedy } = await nativeSelfTest();
  if (layout !== undefined) return layout;
  const failed = proofs.filter(fails).map(({ limit, evidence }) => `${limit} (${evidence})`);
  throw new UserError(
    "no_sandbox",
    `Programs are not run here: the sandbox could not prove ${failed.join("; ")}. ${remedy} Python and JavaScript also run in WebAssembly, with nothing to install.`,
  );
}

export function nativeSelfTest(): Promise<SelfTest> {
  done ??= proveNative();
  return done;
}

async function proveNative(): Promise<SelfTest> {
  const tools = await Promise.all(
    ["bwrap", "prlimit", ...(isRoot() ? ["setpriv"] : [])].map(
      async (name) => [name, await isThere(name)] as const,
    ),
  );
  const missing = tools.filter(([, there]) => !there).map(([name]) => name);
  if (missing.length > 0) {
    const proofs = missing.map((name) => ({ limit: name, holds: false, evidence: "not installed" }));
    return { layout: undefined, proofs, remedy: "Run: apt-get install bubblewrap util-linux." };
  }
  const layouts: Layout[] = isRoot() ? ["drop", "userns"] : ["userns"];
  let proofs: Proof[] = [];
  for (const layout of layouts) {
    proofs = await prove(layout);
    if (!proofs.some(fails)) return { layout, proofs, remedy: undefined };
  }
  const remedy =
    "Namespaces must be allowed: sysctl -w kernel.unprivileged_userns_clone=1 (and kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu); in a container, docker run --security-opt seccomp=unconfined --cap-add SYS_ADMIN.";
  return { layout: undefined, proofs, remedy };
}

function fails({ holds, optional }: Proof): boolean {
  return !holds && optional !== true;
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function isThere(command: string): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(command, ["--version"], { timeout: 10_000 }, (error) => resolve(error === null));
  });
}

const small: Limits = {
  ...withDefaults({ cpuSeconds: 1, memoryMb: 256, processes: 12, outputBytes: 65_536, fileMb: 8 }),
  wallSeconds: 90,
};

// Shell programs: dash or bash and coreutils are wherever bubblewrap is. Each prints HELD, or what it got hold of.
const shellProbes = (canary: string, port: number): readonly (readonly [string, string])[] => [
  [
    "no host files",
    `cat ${canary} 2>/dev/null && echo GOT; cat /etc/passwd 2>/dev/null && echo GOT; ls /home /root 2>/dev/null; echo HELD`,
  ],
  [
    "read-only root",
    'for d in / /usr /dev /sandbox; do (echo x > "$d/posttrain-probe") 2>/dev/null && echo "GOT $d"; done; echo HELD',
  ],
  [
    "another user",
    '[ "$(id -u)" = 0 ] && echo GOT root; grep -q "^CapEff:[[:space:]]*0*$" /proc/self/status || echo GOT capabilities; echo HELD',
  ],
  ["file size", "head -c 20000000 /dev/zero > /tmp/big 2>/dev/null && echo GOT; echo HELD"],
  [
    "all files together",
    "n=0; while [ $n -lt 8 ]; do head -c 3000000 /dev/zero > /tmp/f$n 2>/dev/null || { echo HELD; exit; }; n=$((n+1)); done; echo GOT",
  ],
  ["no network", `(exec 3<>/dev/tcp/127.0.0.1/${port}) 2>/dev/null && echo GOT; echo HELD`],
];

/**
 * Makes a file of this machine for programs to look for. It is locked while it is needed: what killed processes left of theirs, whose
 * locks went with them, is swept.
 */
async function layCanary(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith("posttrain-canary-")) continue;
    const left = join(tmpdir(), name);
    const lock = await lockFile(left).catch(() => undefined); // another user's
    if (lock === undefined || "holder" in lock) continue;
    await rm(left, { force: true });
    lock.close();
  }
  for (;;) {
    const path = join(tmpdir(), `posttrain-canary-${randomBytes(6).toString("hex")}`);
    const lock = await lockFile(path);
    if ("holder" in lock) continue; // somebody sweeps
    const remove = async (): Promise<void> => {
      await rm(path, { force: true });
      lock.close();
    };
    await chmod(path, 0o644);
    await writeFile(path, "canary");
    return { path, remove };
  }
}

async function prove(layout: Layout): Promise<Proof[]> {
  const canary = await layCanary();
  let visits = 0;
  const server = createServer(() => visits++);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  try {
    const tried = await Promise.all([
      ...shellProbes(canary.path, port).map(async ([limit, script]) => {
        const exit = await run(layout, {
          argv: ["/bin/bash", "--norc", "-c", script],
          memory: "address-space",
        });
        return shellProof(limit, exit);
      }),
      proveProcesses(layout),
      proveFiles(layout),
      proveMemory(layout),
      ...pythonProofs.map((proof) => proveInPython(layout, proof)),
      proveTime(layout),
      proveOutput(layout),
      proveGroup(layout),
    ]);
    const reached = {
      limit: "no network",
      holds: visits === 0,
      evidence: `a listener on this machine had ${visits} visits`,
    };
    return [...tried, reached];
  } finally {
    server.close();
    await canary.remove();
  }
}

function run(layout: Layout, program: Program, limits: Limits = small): Promise<Exit> {
  const launch = bubblewrapLaunch(layout, { stdin: "", ...program }, limits);
  return startContained(launch, limits, { hasStarted: bubblewrapStarted }).exit;
}

function shellProof(limit: string, exit: Exit): Proof {
  const said = `${exit.stdout.toString("utf8")}${exit.stderr.toString("utf8")}`.trim().slice(0, 200);
  if (!exit.started) return { limit, holds: false, evidence: said || "the sandbox did not start" };
  return {
    limit,
    holds: exit.stdout.toString("utf8").trim() === "HELD",
    evidence: said || `exit ${exit.code}`,
  };
}

/** Harmless whether it holds or not: at most 30 sleeps. bash says that it cannot fork before it tries again. */
async function proveProcesses(layout: Layout): Promise<Proof> {
  const script = "echo BEGUN; n=0; while [ $n -lt 30 ]; do sleep 60 & n=$((n+1)); done; echo GOT";
  const exit = await run(
    layout,
    { argv: ["/bin/bash", "--norc", "-c", script], memory: "address-space" },
    { ...small, outputBytes: 32 },
  );
  const said = exit.stdout.toString("utf8").trim();
  const complained = exit.stderr.toString("utf8").trim();
  return {
    limit: "processes",
    holds: said === "BEGUN" && exit.stopped !== "wall" && complained !== "",
    evidence: complained || said || `exit ${exit.code}`,
  };
}

async function proveFiles(layout: Layout): Promise<Proof> {
  const script = "n=0; while [ $n -lt 5000 ]; do : >/tmp/$n; n=$((n+1)); done; sleep 60; echo GOT";
  const exit = await run(
    layout,
    { argv: ["/bin/bash", "--norc", "-c", script], memory: "address-space" },
    { ...small, cpuSeconds: 10 },
  );
  const holds = exit.started && exit.stopped === "files";
  return {
    limit: "number of files",
    holds,
    evidence: exit.stopped ?? `exit ${exit.code}`,
  };
}

interface PythonProof {
  readonly limit: string;
  readonly program: string;
  readonly limits: Partial<Limits>;
  readonly holds: (exit: Exit) => boolean;
  /** It is only named where it does not hold. */
  readonly optional?: boolean;
  /** Why it cannot hold here. */
  readonly cannot?: () => string | undefined;
}

/** What takes system calls that a shell has no words for. */
const pythonProofs: readonly PythonProof[] = [
  {
    limit: "memory that no process has",
    program: `
import ctypes, os
c = ctypes.CDLL(None)
if hasattr(os, 'memfd_create'):
    try: os.memfd_create('x'); print('GOT memfd')
    except OSError: pass
if c.shmget(0, 4096, 0o1600) >= 0: print('GOT System V memory')
if c.unshare(0x10020000) == 0: print('GOT a namespace')
print('HELD')`,
    limits: {},
    holds: ({ stdout }) => stdout.toString("utf8").trim() === "HELD",
  },
  {
    limit: "time of all processes",
    program: `
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(30):
    if os.fork() == 0:
        end = time.process_time() + 0.1
        while time.process_time() < end: pass
        os._exit(0)
    try: os.wait()
    except ChildProcessError: pass
print('GOT')`,
    limits: { cpuSeconds: 0.5 },
    holds: ({ stopped }) => stopped === "cpu",
  },
  {
    limit: "memory that the kernel holds",
    program: `
import socket
pairs = []
while len(pairs) < 120:
    pair = socket.socketpair()
    pairs.append(pair)
    for end in pair:
        end.setblocking(False)
        try:
            while True: end.send(b'x' * 60000)
        except BlockingIOError: pass
print('GOT')`,
    limits: { memoryMb: 32 },
    holds: ({ stopped }) => stopped === "memory",
    optional: true,
    cannot: () =>
      controlled().memory
        ? undefined
        : "no control group can be made here: sockets, pipes and locks count for nobody; as root, or in systemd-run --user --scope -p Delegate=yes, they do",
  },
];

async function proveInPython(layout: Layout, proof: PythonProof): Promise<Proof> {
  const { limit, program, limits, holds, optional = false, cannot } = proof;
  const unproven = (evidence: string): Proof => ({ limit, holds: false, evidence, optional: true });
  const reason = cannot?.();
  if (reason !== undefined) return unproven(reason);
  let tool: Tool;
  try {
    tool = await pythonTool();
  } catch {
    return unproven("python3, which would try it, is not installed");
  }
  const { argv, folders } = tool;
  const exit = await run(
    layout,
    { argv: [...argv, "-S", "-c", program], folders, memory: "address-space" },
    { ...small, ...limits },
  );
  const said = `${exit.stdout.toString("utf8")}${exit.stderr.toString("utf8")}`.trim().slice(-200);
  // That sandboxes start at all is for the other proofs; here it may be python3 that this user cannot read.
  if (!exit.started) return unproven(said);
  const evidence = exit.stopped ?? (said || `exit ${exit.code}`);
  return { limit, holds: holds(exit), evidence, optional };
}

/** Node as the program: shared memory and the two kinds of limit, by what V8 takes. */
async function proveMemory(layout: Layout): Promise<Proof> {
  const tool = await javascriptTool();
  const script =
    "console.log('BEGUN');const a=[];for(let i=0;i<40;i++)a.push(Buffer.alloc(2**24,1));console.log('GOT')";
  const node: Program = { argv: [...tool.argv, "-e", script], folders: tool.folders, memory: "data" };
  const shell: Program = {
    argv: [
      "/bin/bash",
      "--norc",
      "-c",
      "echo BEGUN; x=$(head -c 600000000 /dev/zero | tr '\\0' x); echo GOT",
    ],
    memory: "address-space",
  };
  const exits = await Promise.all([
    run(layout, node, { ...small, processes: 64, cpuSeconds: 5 }),
    run(layout, shell, { ...small, cpuSeconds: 5 }),
  ]);
  const holds = exits.every(({ stdout }) => stdout.includes("BEGUN") && !stdout.includes("GOT"));
  return {
    limit: "memory",
    holds,
    evidence: exits.map(({ code, stopped }) => stopped ?? `exit ${code}`).join(", "),
  };
}

async function proveTime(layout: Layout): Promise<Proof> {
  const [spin, wait] = await Promise.all([
    run(layout, { argv: ["/bin/bash", "--norc", "-c", "while :; do :; done"], memory: "address-space" }),
    run(
      layout,
      { argv: ["/bin/bash", "--norc", "-c", "sleep 30"], memory: "address-space" },
      { ...small, wallSeconds: 0.5 },
    ),
  ]);
  const holds =
    spin.started &&
    spin.code !== 0 &&
    spin.stopped !== "wall" &&
    wait.stopped === "wall" &&
    wait.wallSeconds < 25;
  return {
    limit: "time",
    holds,
    evidence: `a loop ended after ${spin.wallSeconds.toFixed(1)} s, a sleep after ${wait.wallSeconds.toFixed(1)} s`,
  };
}

async function proveOutput(layout: Layout): Promise<Proof> {
  const exit = await run(layout, {
    argv: ["/bin/bash", "--norc", "-c", "head -c 10000000 /dev/zero; echo GOT >&2"],
    memory: "address-space",
  });
  return {
    limit: "output",
    holds: exit.started && exit.stopped === "output" && exit.stdout.length <= 65_536,
    evidence: `${exit.stdout.length} bytes came`,
  };
}

/** A child in a session of its own must die with the program: its end of the pipe closes. */
async function proveGroup(layout: Layout): Promise<Proof> {
  const exit = await run(layout, {
    argv: [
      "/bin/bash",
      "--norc",
      "-c",
      "setsid sleep 80 & setsid bash -c 'sleep 80 & disown' & sleep 0.1; exit 0",
    ],
    memory: "address-space",
  });
  return {
    limit: "the whole process group dies",
    holds: exit.started && exit.wallSeconds < 60,
    evidence: `over after ${exit.wallSeconds.toFixed(1)} s`,
  };
}
