// The only file that loads the native library, and its surface in types. Looks for the build of this checkout
// (packages/kernels/build/<variant>); when it cannot be loaded, the error says what was tried and which command helps.
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { asKernelError, KernelError } from "./errors.js";

declare const handle: unique symbol;
export type DeviceHandle = { readonly [handle]: "device" };
export type TensorHandle = { readonly [handle]: "tensor" };
export type MappingHandle = { readonly [handle]: "mapping" };

export interface DeviceStatus {
  /** Bytes of live tensors, now and at most. */
  readonly bytesInUse: number;
  readonly peakBytes: number;
  /** Bytes that the arena holds from the system (live and cached). */
  readonly reservedBytes: number;
  /** The most bytes of working memory that one op needed. */
  readonly scratchPeakBytes: number;
  readonly liveTensors: number;
  /** Tensors that the garbage collector found before anybody freed them. */
  readonly leakedTensors: number;
  /** Tasks in the stream, and how many fit. */
  readonly queued: number;
  readonly capacity: number;
}

export interface DeviceNames {
  readonly backend: string;
  readonly path: string;
  /** What a library says of its device, "" of the cpu. */
  readonly description: string;
  readonly memoryLimit: number;
}

interface Addon {
  cpuPaths(): string[];
  /** Of the cpu, or of the backend in `library`. */
  openDevice(
    path: string,
    threads: number,
    memoryLimit: number,
    guards: boolean,
    dry: boolean,
    library?: string,
    index?: number,
    limitAsked?: boolean,
  ): DeviceHandle;
  closeDevice(device: DeviceHandle): void;
  createTensor(device: DeviceHandle, dtype: number, shape: readonly number[], op: string): TensorHandle;
  viewTensor(tensor: TensorHandle, offset: number, shape: readonly number[]): TensorHandle;
  freeTensor(tensor: TensorHandle): void;
  write(tensor: TensorHandle, data: ArrayBufferView): void;
  read(tensor: TensorHandle): Promise<ArrayBuffer>;
  releaseCopy(buffer: ArrayBufferLike): void;
  drain(device: DeviceHandle): Promise<void>;
  recover(device: DeviceHandle): void;
  enqueue(op: number, ...args: readonly unknown[]): void;
  mapFile(path: string): MappingHandle;
  forgetPages(mapping: MappingHandle): void;
  mapTensor(
    device: DeviceHandle,
    mapping: MappingHandle,
    offset: number,
    dtype: number,
    shape: readonly number[],
  ): TensorHandle;
  describeDevice(device: DeviceHandle): DeviceNames;
  status(device: DeviceHandle): DeviceStatus;
  /** Calls and nanoseconds of each op of the table, one after the other. */
  opTimes(device: DeviceHandle): number[];
  resetPeak(device: DeviceHandle): void;
  checkGuards(device: DeviceHandle): number;
  opNames(): string[];
  /** Begins MPI from the library `file`, once in a process. */
  openMessages(file: string): { readonly rank: number; readonly size: number };
  sendMessage(rank: number, bytes: Uint8Array): Promise<void>;
  receiveMessage(rank: number, bytes: Uint8Array): Promise<void>;
  closeMessages(): Promise<void>;
}

/** The addon's file, whether it is there or not: `variant` is release, or what POSTTRAIN_NATIVE_VARIANT names (sanitizers). */
export function addonFile(): { readonly variant: string; readonly path: string } {
  const variant = process.env["POSTTRAIN_NATIVE_VARIANT"] ?? "release";
  return { variant, path: fileURLToPath(new URL(`../build/${variant}/kernels.node`, import.meta.url)) };
}

/** Where the library of a backend is, built or not: beside the addon. */
export function backendFile(backend: string): string {
  return join(dirname(addonFile().path), "backends", `${backend}.so`);
}

/** The backends there are: the cpu, and the libraries beside the addon. */
export function backends(): readonly string[] {
  const folder = dirname(backendFile("cpu"));
  const files = existsSync(folder) ? readdirSync(folder).sort() : [];
  return ["cpu", ...files.filter((name) => name.endsWith(".so")).map((name) => name.slice(0, -3))];
}

function load(): Addon {
  const { path } = addonFile();
  const build = "build it with: make -C packages/kernels/native (npm test and npm start do that)";
  if (!existsSync(path)) {
    throw new KernelError(
      "kernel_load",
      `The native kernels are not built for ${process.platform}-${process.arch}: ${path} does not exist; ${build}.`,
    );
  }
  try {
    return createRequire(import.meta.url)(path) as Addon;
  } catch (cause) {
    throw new KernelError(
      "kernel_load",
      `The native kernels at ${path} cannot be loaded on ${process.platform}-${process.arch}, Node ${process.versions.node}: ${
        cause instanceof Error ? cause.message : String(cause)
      }. After an update of Node, the compiler or the system, ${build}.`,
      { cause },
    );
  }
}

let loaded: Addon | undefined;

/** The addon, loaded at first use. Its errors come out as KernelError. */
export function native(): Addon {
  loaded ??= withKernelErrors(load());
  return loaded;
}

function withKernelErrors(addon: Addon): Addon {
  const wrap =
    (original: (...args: readonly unknown[]) => unknown) =>
    (...args: readonly unknown[]): unknown => {
      try {
        const result = original(...args);
        if (!(result instanceof Promise)) return result;
        return result.catch((error: unknown) => {
          throw asKernelError(error);
        });
      } catch (error) {
        throw asKernelError(error);
      }
    };
  return Object.fromEntries(
    Object.entries(addon).map(([name, original]) => [name, wrap(original)]),
  ) as unknown as Addon;
}

/** Puts op number `op` into the stream of its tensors' device. */
export function enqueue(op: number, ...args: readonly unknown[]): void {
  native().enqueue(op, ...args);
}
