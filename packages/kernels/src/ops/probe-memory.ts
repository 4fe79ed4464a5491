import { probeMemoryForward } from "../binding.generated.js";
import type { Device } from "../device.js";
import { KernelError } from "../errors.js";
import { fill } from "./fill.js";

/** Bytes a second between the device's compute threads and memory. What a copy or an update reads and what it writes both count. */
export interface MemoryRates {
  /** One array read in four runs, prefetched. */
  readonly read: number;
  /** One array copied to another, stored past the caches. */
  readonly copy: number;
  /** One array changed in place. */
  readonly update: number;
}

/** The memory rates of the device over arrays of `bytes` each: several times the caches, or it is those that are measured. */
export async function probeMemory(device: Device, bytes = 1 << 27): Promise<MemoryRates> {
  if (!(Number.isInteger(bytes) && bytes >= 1 << 20 && bytes <= 2 ** 33)) {
    throw new KernelError(
      "kernel_argument",
      `probeMemory: bytes is ${String(bytes)}, expected a whole number from 1048576 to 8589934592`,
    );
  }
  return device.run(async (scope) => {
    const size = Math.floor(bytes / 4);
    const [x, y] = [scope.empty([size]), scope.empty([size])];
    fill(x, 1);
    fill(y, 1);
    const rate = async (kind: number, moved: number): Promise<number> => {
      await device.drain();
      const start = performance.now();
      probeMemoryForward(y, x, kind);
      await device.drain();
      return (moved * 1000) / (performance.now() - start);
    };
    const read = await rate(0, bytes);
    const copy = await rate(1, 2 * bytes);
    return { read, copy, update: await rate(2, 2 * bytes) };
  });
}
