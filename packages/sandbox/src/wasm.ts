/**
 * Interpreters in WebAssembly: pyodide and QuickJS, each in a locked Node process (docs/sandbox.md), inside bubblewrap where
 * this machine proves it, else inside namespaces where it offers them. A process serves one program at a time and is put
 * back to a fresh state in between; one that a program hogged, broke or left something in is replaced.
 */
import { execFile } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { bubblewrapLaunch, bubblewrapStarted, type Layout } from "./bubblewrap.js";
import {
  type ContainedProcess,
  type Exit,
  type Launch,
  type StopReason,
  startContained,
} from "./contained-process.js";
import { type Interpreter, type Role, roleScript, sourceText } from "./interpreter.js";
import { type Limits, withDefaults } from "./limits.js";
import { type LineChannel, lineChannel } from "./line-channel.js";
import { ownFile, packageFolder } from "./packages.js";

export type Containment = Layout | "unshare" | "process";

type WasmLanguage = "python" | "javascript";

interface Worker {
  readonly process: ContainedProcess;
  readonly channel: LineChannel;
  /** Told when the process ends: the lease of now. (A promise would keep what every lease of its life hung on it.) */
  ended: ((exit: Exit) => void) | undefined;
}

const idle = new Map<string, Worker[]>();
/** Two programs at a time: two cores' worth is what one machine's grading keeps ready. */
const keptIdle = 2;
const lifetimeCpuSeconds = 1800;
const snapshots = new Map<string, Promise<Buffer>>();

/** What Node itself needs beside a program's memory. */
const overheadMb = 512;

export async function openWasm(
  language: WasmLanguage,
  role: Role,
  containment: Containment,
  limits: Limits,
  signal: AbortSignal | undefined,
): Promise<Interpreter> {
  const key = [language, role, containment, limits.memoryMb].join(" ");
  for (let worker = idle.get(key)?.pop(); worker !== undefined; worker = idle.get(key)?.pop()) {
    if (worker.process.isRunning()) return lease(worker, key, limits, signal);
  }
  return lease(await start(language, role, containment, limits), key, limits, signal);
}

/** Ends the processes that wait for more programs. They end with this process anyway. */
export async function closeIdle(): Promise<void> {
  const workers = [...idle.values()].flat();
  idle.clear();
  for (const { process } of workers) process.stop("done");
  await Promise.all(workers.map(({ process }) => process.exit));
}

function lease(worker: Worker, key: string, limits: Limits, signal: AbortSignal | undefined): Interpreter {
  const { process, channel } = worker;
  const begun = performance.now();
  const cpuBefore = process.cpuSeconds();
  const used = (): { cpuSeconds: number; wallSeconds: number } => ({
    cpuSeconds: process.cpuSeconds() - cpuBefore,
    wallSeconds: (performance.now() - begun) / 1000,
  });
  let asked = 0;
  let over = false;
  let stoppedBy: StopReason | undefined;
  let release: (exit: Exit) => void = () => {};
  const released = new Promise<Exit>((resolve) => {
    release = resolve;
  });
  process.ref();

  const timer = setInterval(() => {
    const { cpuSeconds, wallSeconds } = used();
    if (cpuSeconds > limits.cpuSeconds) stop("cpu");
    else if (wallSeconds > limits.wallSeconds) stop("wall");
  }, 50);
  const abort = (): void => stop("cancelled");
  signal?.addEventListener("abort", abort, { once: true });

  const finish = (exit: Exit): void => {
    worker.ended = undefined;
    clearInterval(timer);
    signal?.removeEventListener("abort", abort);
    release({ ...exit, ...used(), stopped: stoppedBy ?? exit.stopped });
  };
  const stop = (reason: StopReason): void => {
    if (over) return;
    over = true;
    stoppedBy = reason;
    if (reason !== "done" || asked !== 0 || used().cpuSeconds + cpuBefore > lifetimeCpuSeconds)
      process.stop(reason);
    else void putBack();
  };
  const putBack = async (): Promise<void> => {
    channel.send("fresh");
    const patience = setTimeout(() => process.stop("done"), 10_000);
    const answer = await channel.receive();
    clearTimeout(patience);
    const waiting = idle.get(key) ?? [];
    if (answer === "=fresh" && waiting.length < keptIdle) {
      process.unref();
      waiting.push(worker);
      idle.set(key, waiting);
      finish({
        code: 0,
        signal: null,
        stopped: "done",
        started: true,
        stdout: Buffer.alloc(0),
        stderr: Buffer.alloc(0),
        cpuSeconds: 0,
        wallSeconds: 0,
      });
    } else process.stop("done");
  };
  worker.ended = finish;
  // It may have ended since it was asked whether it runs.
  if (!process.isRunning()) void process.exit.then((exit) => worker.ended?.(exit));
  if (signal?.aborted) abort();

  // A worker's "ready" came when it started; each lease begins as a fresh process would.
  let ready = true;
  return {
    send: (line) => {
      if (line.startsWith('{"op":"program"'))
        asked += 2; // Its end, then its output.
      else if (!line.startsWith("input ")) asked++;
      channel.send(line);
    },
    receive: async () => {
      if (ready) {
        ready = false;
        return process.isRunning() ? "ready" : undefined;
      }
      const line = await channel.receive();
      if (line === "!output") {
        over = true;
        stoppedBy = "output";
        process.stop("output");
        return undefined;
      }
      // A question of the tests' is answered by the next send, which is no new request.
      asked--;
      return line;
    },
    stop,
    exit: released,
  };
}

async function start(
  language: WasmLanguage,
  role: Role,
  containment: Containment,
  limits: Limits,
): Promise<Worker> {
  const shim = language === "javascript" ? sourceText("child/node-shim.js") : "";
  const script = `${shim}\n${roleScript(language, role)}`;
  const data = language === "python" ? [await snapshot(containment, limits), script] : [script];
  const process = startContained(
    wasmLaunch(language, role, containment, limits, data),
    processLimits(limits),
    {
      time: "manual",
      ...(containment === "drop" || containment === "userns" ? { hasStarted: bubblewrapStarted } : {}),
    },
  );
  const channel = lineChannel(process.toProgram, process.fromProgram, 64 << 20);
  if ((await channel.receive()) !== "ready") {
    process.stop("done");
    const { stderr } = await process.exit;
    throw new Error(
      `the WebAssembly ${language} did not start: ${stderr.toString("utf8").trim().slice(-500)}`,
    );
  }
  const worker: Worker = { process, channel, ended: undefined };
  void process.exit.then((exit) => worker.ended?.(exit));
  return worker;
}

/** A warm interpreter's memory, made once per process by a child that never sees a candidate. */
function snapshot(containment: Containment, limits: Limits): Promise<Buffer> {
  const known = snapshots.get(containment);
  if (known !== undefined) return known;
  const made = (async () => {
    const launch = wasmLaunch("python", "snapshot", containment, limits, []);
    const process = startContained(launch, processLimits(limits), { time: "manual" });
    const parts: Buffer[] = [];
    process.fromProgram.on("data", (part: Buffer) => parts.push(part));
    const { code, stderr } = await process.exit;
    if (code !== 0) throw new Error(`pyodide did not start: ${stderr.toString("utf8").trim().slice(-500)}`);
    return Buffer.concat(parts);
  })();
  snapshots.set(containment, made);
  made.catch(() => snapshots.delete(containment));
  return made;
}

/** Of the whole process over its life; each program's own time is the lease's to watch. */
function processLimits(limits: Limits): Limits {
  const memoryMb = limits.memoryMb + overheadMb;
  return {
    ...withDefaults(),
    memoryMb,
    cpuSeconds: 2 * lifetimeCpuSeconds,
    wallSeconds: 1e9,
    outputBytes: 1 << 20,
  };
}

function wasmLaunch(
  language: WasmLanguage,
  role: Role | "snapshot",
  containment: Containment,
  limits: Limits,
  data: readonly (string | Uint8Array)[],
): Launch {
  const node = realpathSync(process.execPath);
  const folders = [
    ownFile("child"),
    ...(language === "python" ? ["pyodide"] : ["quickjs-emscripten", "quickjs-emscripten-core", "@jitl"]).map(
      packageFolder,
    ),
  ];
  const script = ownFile("child", language === "python" ? "pyodide.mjs" : "quickjs.mjs");
  const argv = [
    node,
    "--experimental-permission",
    ...folders.map((folder) => `--allow-fs-read=${folder}/`),
    "--disallow-code-generation-from-strings",
    "--no-warnings",
    "--no-addons",
    "--max-old-space-size=256",
    script,
    role,
    String(limits.memoryMb),
  ];
  if (containment === "drop" || containment === "userns") {
    const program = {
      argv,
      folders: [node, ...folders].filter((path) => !path.startsWith("/usr/")),
      memory: "data" as const,
      data,
    };
    return bubblewrapLaunch(containment, program, processLimits(limits));
  }
  const prlimit = existsSync("/usr/bin/prlimit")
    ? ["/usr/bin/prlimit", `--data=${(limits.memoryMb + overheadMb) * 2 ** 20}`, "--core=0", "--fsize=0"]
    : [];
  const death = existsSync("/usr/bin/setpriv")
    ? ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--no-new-privs"]
    : [];
  // unshare outlives its parent unless it is told not to; what it starts forgets what it was told, and dies with unshare.
  const [command, ...args] = [
    ...(containment === "unshare" ? [...death, ...namespaces] : []),
    ...death,
    ...prlimit,
    ...argv,
  ];
  return { command: command!, args, env: {}, data };
}

const namespaces = [
  "unshare",
  "--user",
  "--map-root-user",
  "--net",
  "--ipc",
  "--uts",
  "--pid",
  "--fork",
  "--kill-child",
];

let unshareWorks: Promise<boolean> | undefined;

export function canUnshare(): Promise<boolean> {
  unshareWorks ??= new Promise((resolve) => {
    execFile(namespaces[0]!, [...namespaces.slice(1), "true"], { timeout: 10_000 }, (error) =>
      resolve(error === null),
    );
  });
  return unshareWorks;
}
