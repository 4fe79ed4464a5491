/**
 * Proves, on this machine and once per process, each limit that a sandbox is trusted for: a small program tries to pass it,
 * and must be stopped. Programs that need what cannot be proven are not run (needed-limits.ts).
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockFile } from "@posttrain/run";
import { bubblewrapLaunch, bubblewrapStarted, type Layout, type Program } from "./bubblewrap.js";
import { type Exit, startContained } from "./contained-process.js";
import { type Limits, withDefaults } from "./limits.js";
import {
  type Limit,
  missingTool,
  type Proof,
  proofOf,
  refusedLanguages,
  remediesOf,
  UnprovenLimits,
  unproven,
} from "./needed-limits.js";
import { type Language, languages } from "./task.js";
import { javascriptTool, pythonTool, type Tool } from "./toolchains.js";

export interface SelfTest {
  /** In which programs can be run: undefined where what all of them need could not be proven. */
  readonly layout: Layout | undefined;
  readonly proofs: readonly Proof[];
  /** Languages whose programs are not run natively here: a limit that they need is not proven. */
  readonly refused: readonly Language[];
  /** What to do about limits that do not hold; undefined if all do. */
  readonly remedy: string | undefined;
}

let done: Promise<SelfTest> | undefined;

/** The layout for programs in these languages. Throws UnprovenLimits where one that they need is not proven. */
export async function layoutFor(...wanted: readonly Language[]): Promise<Layout> {
  const { layout, proofs } = await nativeSelfTest();
  const missing = unproven(proofs, wanted);
  if (layout === undefined || missing.length > 0) throw new UnprovenLimits(missing, wanted);
  return layout;
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
  if (missing.length > 0) return concluded(undefined, missing.map(missingTool));
  const tried: SelfTest[] = [];
  for (const layout of isRoot() ? (["drop", "userns"] as const) : (["userns"] as const)) {
    tried.push(concluded(layout, await prove(layout)));
    if (tried.at(-1)!.remedy === undefined) break;
  }
  // The one that lets most programs run.
  return tried.reduce((best, other) => (other.refused.length < best.refused.length ? other : best));
}

function concluded(layout: Layout | undefined, proofs: readonly Proof[]): SelfTest {
  const refused = refusedLanguages(proofs);
  const missing = proofs.filter(({ holds }) => !holds);
  return {
    layout: refused.length < languages.length ? layout : undefined,
    proofs,
    refused,
    remedy: missing.length === 0 ? undefined : remediesOf(missing),
  };
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
const shellProbes = (canary: string, port: number): readonly (readonly [Limit, string])[] => [
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
    const proofs = await Promise.all([
      ...shellProbes(canary.path, port).map(async ([limit, script]) => {
        const exit = await run(layout, {
          argv: ["/bin/bash", "--norc", "-c", script],
          memory: "address-space",
        });
        return proofOf(limit, layout, shellProof(exit));
      }),
      proveProcesses(layout),
      proveFiles(layout),
      proveMemory(layout),
      proveReservedMemory(layout),
      ...pythonProofs.map((proof) => proveInPython(layout, proof)),
      proveTime(layout),
      proveOutput(layout),
      proveGroup(layout),
    ]);
    if (visits === 0) return proofs;
    const evidence = `a listener on this machine had ${visits} visits`;
    return proofs.map((proof) =>
      proof.limit === "no network" ? { ...proof, holds: false, evidence } : proof,
    );
  } finally {
    server.close();
    await canary.remove();
  }
}

function run(layout: Layout, program: Program, limits: Limits = small): Promise<Exit> {
  const launch = bubblewrapLaunch(layout, { stdin: "", ...program }, limits);
  return startContained(launch, limits, { hasStarted: bubblewrapStarted }).exit;
}

function shellProof(exit: Exit): { readonly holds: boolean; readonly evidence: string } {
  const said = `${exit.stdout.toString("utf8")}${exit.stderr.toString("utf8")}`.trim().slice(0, 200);
  if (!exit.started) return { holds: false, evidence: said || "the sandbox did not start" };
  return { holds: exit.stdout.toString("utf8").trim() === "HELD", evidence: said || `exit ${exit.code}` };
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
  return proofOf("processes", layout, {
    holds: said === "BEGUN" && exit.stopped !== "wall" && complained !== "",
    evidence: complained || said || `exit ${exit.code}`,
  });
}

async function proveFiles(layout: Layout): Promise<Proof> {
  const script = "n=0; while [ $n -lt 5000 ]; do : >/tmp/$n; n=$((n+1)); done; sleep 60; echo GOT";
  const exit = await run(
    layout,
    { argv: ["/bin/bash", "--norc", "-c", script], memory: "address-space" },
    { ...small, cpuSeconds: 10 },
  );
  const holds = exit.started && exit.stopped === "files";
  return proofOf("number of files", layout, { holds, evidence: exit.stopped ?? `exit ${exit.code}` });
}

interface PythonProof {
  readonly limit: Limit;
  readonly program: string;
  readonly limits: Partial<Limits>;
  /** By how it ended, and the lines that it wrote. */
  readonly holds: (exit: Exit, words: readonly string[]) => boolean;
}

const spentMemory = ({ stopped }: Exit): boolean => stopped === "memory";

/**
 * What takes system calls that a shell has no words for. What they hold they keep for seconds, so that a busy machine has the time to see it; they
 * are ended at once where their limit holds, and last a quarter of a minute where it does not.
 */
const pythonProofs: readonly PythonProof[] = [
  {
    limit: "memory of all processes",
    program: `
import os, time
for _ in range(8):
    if os.fork() == 0:
        kept = bytearray(b'x') * (12 << 20)
        time.sleep(20)
        os._exit(0)
time.sleep(15)
print('GOT')`,
    limits: { memoryMb: 64 },
    holds: spentMemory,
  },
  {
    // Each is refused, or what it holds is counted.
    limit: "memory that no process has",
    program: `
import ctypes, os, time
c = ctypes.CDLL(None)
c.shmat.restype = ctypes.c_void_p
c.shmdt.argtypes = [ctypes.c_void_p]
piece = b'x' * (4 << 20)
def memfds():
    files = [os.memfd_create('x') for _ in range(24)]
    for file in files: os.write(file, piece)
def system_v():
    for _ in range(24):
        key = c.shmget(0, len(piece), 0o1600)
        if key < 0: raise OSError
        at = c.shmat(key, None, 0)
        ctypes.memset(at, 1, len(piece))
        c.shmdt(at)
def file_systems():
    if c.unshare(0x10020000) or c.mount(b'none', b'/tmp', b'tmpfs', 0, None): raise OSError
    for i in range(24):
        with open('/tmp/%d' % i, 'wb') as file: file.write(piece)
for hoard in (memfds, system_v, file_systems):
    try: hoard()
    except (AttributeError, OSError): continue
    time.sleep(5)
    print('GOT', hoard.__name__)
    break
else: print('HELD')`,
    limits: { memoryMb: 64 },
    holds: (exit, words) => spentMemory(exit) || words.join() === "HELD",
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
import socket, time
pairs = []
while len(pairs) < 120:
    pair = socket.socketpair()
    pairs.append(pair)
    for end in pair:
        end.setblocking(False)
        try:
            while True: end.send(b'x' * 60000)
        except BlockingIOError: pass
time.sleep(15)
print('GOT')`,
    limits: { memoryMb: 32 },
    holds: spentMemory,
  },
];

async function proveInPython(layout: Layout, { limit, program, limits, holds }: PythonProof): Promise<Proof> {
  const untried = (evidence: string): Proof =>
    proofOf(limit, layout, {
      holds: false,
      evidence,
      remedy: "It takes a python3 that every user may run to try it: apt-get install python3.",
    });
  let said = "python3 is not installed";
  for (const { argv, folders } of await pythons()) {
    const exit = await run(
      layout,
      {
        argv: [...argv, "-S", "-c", `print('BEGUN', flush=True)\n${program}`],
        folders,
        memory: "address-space",
      },
      { ...small, ...limits },
    );
    const [begun, ...words] = exit.stdout.toString("utf8").trim().split("\n");
    said = [...words, exit.stderr.toString("utf8").trim()].join(" ").trim().slice(-200);
    // That sandboxes start at all is for the other proofs; here it may be a python3 that this user cannot read.
    if (begun !== "BEGUN") continue;
    return proofOf(limit, layout, {
      holds: holds(exit, words),
      evidence: exit.stopped ?? (said || `exit ${exit.code}`),
    });
  }
  return untried(said);
}

/** The one of the PATH, and the system's: the first may lie where only its owner reads. */
async function pythons(): Promise<readonly Tool[]> {
  const own = await pythonTool().then(
    (tool) => [tool],
    () => [],
  );
  const system = "/usr/bin/python3";
  return existsSync(system) ? [...own, { argv: [system, "-I", "-B"], folders: [] }] : own;
}

async function proveMemory(layout: Layout): Promise<Proof> {
  // As little as bash starts with: it takes a second of CPU time for 100 MB.
  const limits = { ...roomy, memoryMb: 64 };
  const script = "echo BEGUN; x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo GOT";
  const argv = ["/bin/bash", "--norc", "-c", script];
  return proofOf(
    "memory",
    layout,
    stoppedBetween(await run(layout, { argv, memory: "address-space" }, limits)),
  );
}

/** Node as the program: V8 reserves far more than it takes. */
async function proveReservedMemory(layout: Layout): Promise<Proof> {
  const { argv, folders } = await javascriptTool();
  const script =
    "console.log('BEGUN');const a=[];for(let i=0;i<40;i++)a.push(Buffer.alloc(2**24,1));console.log('GOT')";
  const program: Program = { argv: [...argv, "-e", script], folders, memory: "data" };
  const exit = await run(layout, program, { ...roomy, processes: 64 });
  return proofOf("memory of run-times that reserve more than they use", layout, stoppedBetween(exit));
}

const roomy: Limits = { ...small, cpuSeconds: 5 };

function stoppedBetween({ stdout, stopped, code }: Exit): {
  readonly holds: boolean;
  readonly evidence: string;
} {
  return {
    holds: stdout.includes("BEGUN") && !stdout.includes("GOT"),
    evidence: stopped ?? `exit ${code}`,
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
  return proofOf("time", layout, {
    holds,
    evidence: `a loop ended after ${spin.wallSeconds.toFixed(1)} s, a sleep after ${wait.wallSeconds.toFixed(1)} s`,
  });
}

async function proveOutput(layout: Layout): Promise<Proof> {
  const exit = await run(layout, {
    argv: ["/bin/bash", "--norc", "-c", "head -c 10000000 /dev/zero; echo GOT >&2"],
    memory: "address-space",
  });
  return proofOf("output", layout, {
    holds: exit.started && exit.stopped === "output" && exit.stdout.length <= 65_536,
    evidence: `${exit.stdout.length} bytes came`,
  });
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
  return proofOf("the whole process group dies", layout, {
    holds: exit.started && exit.wallSeconds < 60,
    evidence: `over after ${exit.wallSeconds.toFixed(1)} s`,
  });
}
