import { probeFmaForward } from "../binding.generated.js";
import type { Device } from "../device.js";
import { KernelError } from "../errors.js";
import type { Tensor } from "../tensor.js";

const operationsPerRound = 24 * 16 * 2;

/** The fp32 multiply-add rate of the device's compute threads, in floating-point operations a second, measured for `seconds`. */
export function probeFmaPeak(device: Device, seconds = 0.2): Promise<number> {
  return probeRate("probeFmaPeak", device, probeFmaForward, operationsPerRound, seconds);
}

/** Operations a second of an op that does so many in each of its rounds, on every thread. */
export async function probeRate(
  caller: string,
  device: Device,
  op: (y: Tensor, rounds: number) => void,
  operations: number,
  seconds: number,
): Promise<number> {
  if (!(seconds > 0 && seconds <= 10)) {
    throw new KernelError(
      "kernel_argument",
      `${caller}: seconds is ${String(seconds)}, expected more than 0 and at most 10`,
    );
  }
  return device.run(async (scope) => {
    const y = scope.empty([device.threads]);
    const time = async (rounds: number): Promise<number> => {
      await device.drain();
      const start = performance.now();
      op(y, rounds);
      await device.drain();
      return (performance.now() - start) / 1000;
    };
    let rounds = 1_000;
    let elapsed = await time(rounds);
    while (elapsed < seconds / 10) {
      rounds *= 4;
      elapsed = await time(rounds);
    }
    rounds = Math.ceil((rounds * seconds) / elapsed);
    return (operations * rounds * device.threads) / (await time(rounds));
  });
}
