// Seeded arbitrary JavaScript values for the fuzzing children: what a caller could pass by mistake or on purpose.
import { philox4x32 } from "@posttrain/data";

export const sentinel = new Error("thrown by a getter of the fuzzer");

export class Dice {
  readonly #seed: number;
  #next = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  below(n: number): number {
    return philox4x32([this.#seed, 7], [this.#next++, 0, 0, 0])[0] % n;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

/** A typed array whose memory went elsewhere. */
function detached(): Float32Array {
  const array = new Float32Array(16);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}

const throwing = (target: object): object =>
  new Proxy(target, {
    get: () => {
      throw sentinel;
    },
    getPrototypeOf: () => {
      throw sentinel;
    },
  });

function getterArray(side: () => void): number[] {
  const array = [2, 3];
  Object.defineProperty(array, 1, {
    get: () => {
      side();
      return 3;
    },
  });
  return array;
}

/** Any value at all; `side` runs inside a getter (it may free or close what the call is using). */
export function anything(dice: Dice, side: () => void): unknown {
  const makers: readonly (() => unknown)[] = [
    () => undefined,
    () => null,
    () => dice.pick([true, false]),
    () =>
      dice.pick([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0, 1, -1, 0.5, -2.5]),
    () => dice.pick([2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53, 2 ** 53 + 2, -(2 ** 53), 2 ** 63, 1e300, 5e-324]),
    () => dice.below(20),
    () =>
      dice.pick(["", "f32", "cpu", "avx2", "7", "\0", "é".repeat(50), "x".repeat(5000), "/", "/dev/null"]),
    () => dice.pick([Symbol("s"), Symbol.iterator]),
    () => dice.pick([0n, 2n ** 64n, -1n]),
    () => ({}),
    () => ({ handle: {}, shape: [1], dtype: "f32", device: {}, length: 3, valueOf: () => 3 }),
    () => Object.create(null),
    () => () => undefined,
    () => async () => undefined,
    () => class {},
    () => Promise.resolve(1),
    () => new Date(Number.NaN),
    () => /x/,
    () => new Map([[1, 2]]),
    () => [],
    () => [dice.below(4), dice.below(4)],
    () => Object.assign(new Array(3), { 0: 1, 2: 3 }),
    () => [1, "2", null],
    () => [65536, 65536],
    () => [2 ** 53, 2 ** 53, 0],
    () => [2 ** 31, 2 ** 31, 2 ** 31, 2 ** 31],
    () => [65536, 65536, 0, 65536],
    () => [-1],
    () => [0.5, Number.NaN],
    () => new Array(5).fill(1),
    () => throwing([1, 2]),
    () => throwing({}),
    () => new Proxy([1, 2], {}),
    () => new Proxy(() => 1, {}),
    () =>
      getterArray(() => {
        throw sentinel;
      }),
    () => getterArray(side),
    () => ({
      get length(): number {
        throw sentinel;
      },
    }),
    () => new ArrayBuffer(16),
    () => detached(),
    () => detached().buffer,
    () => new SharedArrayBuffer(16),
    () => new Float32Array(new SharedArrayBuffer(16)),
    () => new DataView(new ArrayBuffer(16)),
    () => new Float32Array(dice.below(7)),
    () => new Float64Array(dice.below(7)),
    () => new Int32Array(dice.below(7)),
    () => new Uint8Array(dice.below(20)),
    () => new Uint8ClampedArray(4),
    () => new BigInt64Array(2),
    () => new Uint16Array(dice.below(7)),
    () => new Float32Array(new ArrayBuffer(16), 4, 2),
    () => Buffer.from("abc"),
    () => Object.create(Float32Array.prototype),
    () => globalThis,
  ];
  return dice.pick(makers)();
}
