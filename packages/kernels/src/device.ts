// A device: an execution stream, its threads and its memory. Ops enqueue and return; only read() and drain() wait.
//
// The backend is the cpu, or a library beside the addon (native.ts): "cuda" is the first GPU, "cuda:1" the second, "auto" the first GPU where it can
// be used and the cpu elsewhere. The cpu path (amx, avx512, avx2, plain) is chosen when the device is opened; all
// give the same bits. POSTTRAIN_CPU forces one, POSTTRAIN_THREADS sets the number of compute threads. One more path, amx_emulated, is slow
// and for tests: amx with the tiles in C++.
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { opNames } from "./binding.generated.js";
import { KernelError } from "./errors.js";
import { askedMemoryLimit, defaultMemoryLimit } from "./machine-memory.js";
import type { Messages } from "./messages.js";
import { backendFile, backends, type DeviceHandle, type DeviceStatus, native } from "./native.js";
import { Scope } from "./scope.js";
import type { Tape } from "./tape.js";
import { kindOf } from "./tensor.js";

export interface DeviceOptions {
  /** "cpu", another one of backends() with its number behind a colon, the file of one, or "auto". Default: POSTTRAIN_DEVICE, else "cpu". */
  readonly backend?: string | undefined;
  /** Of the cpu: "amx", "avx512", "avx2" or "plain". Default: POSTTRAIN_CPU, else the fastest that this machine has. */
  readonly path?: string | undefined;
  /** Compute threads. Default: POSTTRAIN_THREADS, else one per core. */
  readonly threads?: number | undefined;
  /** The most bytes that tensors may take. Default: POSTTRAIN_MEMORY, else 0.9 of what the machine or the container has. */
  readonly memoryLimit?: number | undefined;
  /** Marked bytes around each tensor and no reuse of memory until checkGuards(); for tests. */
  readonly guards?: boolean | undefined;
  /** No arithmetic, and memory that is counted but not touched: to learn what a computation takes. Only what is written can be read. */
  readonly dry?: boolean | undefined;
  /** To the devices of other ranks that train together with this one. Who opened them closes them. */
  readonly messages?: Messages | undefined;
}

/** The cpu paths that this machine can run, fastest first. */
export function cpuPaths(): readonly string[] {
  return native().cpuPaths();
}

export class Device {
  readonly handle: DeviceHandle;
  /** "cpu", and of it "avx512"; "cuda", and of it "sm_90". */
  readonly backend: string;
  readonly path: string;
  /** Of a GPU: what it is, with its memory and driver. Else "". */
  readonly description: string;
  /** Whether its tensors are in memory of its own and not the host's. */
  readonly ownMemory: boolean;
  /** Why "auto" took no GPU. */
  readonly passedOver: string | undefined;
  readonly threads: number;
  /** The most bytes that its tensors may take. */
  readonly memoryLimit: number;
  /** What opens another one like it. */
  readonly options: Pick<DeviceOptions, "backend" | "path" | "threads" | "memoryLimit"> & {
    readonly ownMemory: boolean;
  };
  readonly messages: Messages | undefined;
  /** Computes nothing. */
  readonly dry: boolean;

  constructor(
    handle: DeviceHandle,
    {
      backend,
      threads,
      messages,
      dry,
      passedOver,
    }: Pick<DeviceOptions, "messages"> & {
      readonly backend: string;
      readonly dry: boolean;
      readonly threads: number;
      readonly passedOver?: string | undefined;
    },
  ) {
    this.handle = handle;
    const names = native().describeDevice(handle);
    const { memoryLimit } = names;
    this.backend = names.backend;
    this.path = names.path;
    this.description = names.description;
    this.ownMemory = names.description !== "";
    this.passedOver = passedOver;
    this.options = {
      backend,
      path: backend === "cpu" ? names.path : undefined,
      threads,
      memoryLimit,
      ownMemory: this.ownMemory,
    };
    this.threads = threads;
    this.memoryLimit = memoryLimit;
    this.messages = messages;
    this.dry = dry;
  }

  /** A scope that its caller ends; with a tape, ops record their backward rules there. */
  scope(tape?: Tape): Scope {
    return new Scope(this, tape);
  }

  /** Runs `body` in a scope of its own and ends it, also when `body` throws. */
  async run<T>(body: (scope: Scope) => Promise<T> | T, tape?: Tape): Promise<T> {
    const scope = this.scope(tape);
    try {
      return await body(scope);
    } finally {
      tape?.clear();
      scope.end();
    }
  }

  /** Settles when everything enqueued so far is done; rejects with the error of the first op that failed. */
  drain(): Promise<void> {
    return native().drain(this.handle);
  }

  /** Settles when the stream has room for much more: await it in loops, so that enqueueing never has to wait. */
  async ready(): Promise<void> {
    for (let status = this.status(); status.queued > status.capacity / 2; status = this.status()) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Forgets the error that sticks to the stream. What the failed and skipped ops should have written is undefined. */
  async recover(): Promise<void> {
    await this.drain().catch(() => undefined);
    native().recover(this.handle);
  }

  status(): DeviceStatus {
    return native().status(this.handle);
  }

  /** How often each op ran since the device was opened, and for how long: op of the table, calls, milliseconds. */
  opTimes(): readonly { readonly op: string; readonly calls: number; readonly milliseconds: number }[] {
    const times = native().opTimes(this.handle);
    return opNames.map((op, i) => ({
      op,
      calls: times[2 * i] as number,
      milliseconds: (times[2 * i + 1] as number) / 1e6,
    }));
  }

  resetPeak(): void {
    native().resetPeak(this.handle);
  }

  /** With guards: the number of tensors whose surroundings were overwritten. */
  async checkGuards(): Promise<number> {
    await this.drain();
    return native().checkGuards(this.handle);
  }

  /** Waits for the stream, then ends the threads and frees all memory. */
  async close(): Promise<void> {
    await this.drain().catch(() => undefined);
    native().closeDevice(this.handle);
  }
}

/** Opens a device. Throws KernelError when the asked-for backend or path is not there; never takes another one silently. */
export function openDevice(options: DeviceOptions = {}): Device {
  const backend = options.backend ?? (process.env["POSTTRAIN_DEVICE"] || undefined);
  return backend === "auto" ? openFastest(options) : open({ ...options, backend });
}

/** A GPU, or the cpu, which knows then why it is no GPU. */
function openFastest(options: DeviceOptions): Device {
  try {
    // A dry one would open anywhere.
    if (options.dry) void open({ ...options, backend: "cuda", dry: false }).close();
    return open({ ...options, backend: "cuda" });
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== "kernel_device") throw error;
    return open({ ...options, backend: "cpu" }, error.message);
  }
}

function open(options: DeviceOptions, passedOver?: string): Device {
  const names = native().opNames();
  if (names.join() !== opNames.join()) {
    throw new KernelError(
      "kernel_load",
      "The native kernels were built from another op table than this code: rebuild them with make -C packages/kernels/native.",
    );
  }
  const backend = options.backend ?? "cpu";
  const { library, index } = backend === "cpu" ? {} : libraryOf(backend);
  const path = library === undefined ? cpuPath(options.path) : "";
  const threads = options.threads ?? threadsFromEnvironment() ?? availableParallelism();
  const dry = options.dry ?? false;
  const asked = options.memoryLimit ?? (dry ? 2 ** 44 : askedMemoryLimit());
  const handle = native().openDevice(
    path,
    threads,
    asked ?? defaultMemoryLimit(),
    options.guards ?? false,
    dry,
    library,
    index,
    asked !== undefined,
  );
  return new Device(handle, { backend, threads, messages: options.messages, dry, passedOver });
}

function cpuPath(asked: string | undefined): string {
  const available = cpuPaths();
  const path = asked ?? process.env["POSTTRAIN_CPU"] ?? available[0] ?? "plain";
  const emulated = path === "amx_emulated" && available.includes("avx512");
  if (available.includes(path) || emulated) return path;
  throw new KernelError(
    "kernel_device",
    `The cpu path "${path}" is not available here (asked for by ${
      asked === undefined ? "POSTTRAIN_CPU" : "the path option"
    }); this machine has: ${available.join(", ")}.`,
  );
}

function libraryOf(backend: string): { readonly library: string; readonly index?: number } {
  if (typeof backend !== "string") {
    throw new KernelError("kernel_argument", `openDevice: backend is ${kindOf(backend)}, expected a string`);
  }
  const [, name = backend, number] = /^(.+):(\d+)$/.exec(backend) ?? [];
  const file = name.includes("/") ? name : backendFile(name);
  const index = Number(number ?? 0);
  if (existsSync(file)) return { library: file, index };
  const remedy = name === "cuda" ? " Where nvcc is, npm run build:cuda builds it." : "";
  throw new KernelError(
    "kernel_device",
    `The backend "${name}" is not built: ${file} does not exist; there are: ${backends().join(", ")}.${remedy}`,
  );
}

function threadsFromEnvironment(): number | undefined {
  const text = process.env["POSTTRAIN_THREADS"];
  if (text === undefined || text === "") return undefined;
  const threads = Number(text);
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
    throw new KernelError(
      "kernel_device",
      `POSTTRAIN_THREADS is "${text}", expected a whole number from 1 to 1024.`,
    );
  }
  return threads;
}
