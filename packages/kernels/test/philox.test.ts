// Known answers of Random123 (its file kat_vectors, philox4x32 10) and what the functions on top promise.
import { permutation, philox4x32, uniform, uniform4 } from "@posttrain/kernels";
import { describe, expect, it } from "vitest";

describe("philox4x32", () => {
  it.each([
    [
      [0, 0],
      [0, 0, 0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0xa4093822, 0x299f31d0],
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)("key %j, counter %j", (key, counter, expected) => {
    expect(philox4x32(key, counter)).toEqual([...expected]);
  });
});

it("uniform numbers lie in [0, 1), differ by stream and counter, and have the mean and variance of a uniform", () => {
  const count = 20_000;
  const values = Array.from({ length: count }, (_, i) => uniform(5, "training", [i, 0, 0, 0]));
  const mean = values.reduce((a, b) => a + b, 0) / count;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / count;
  expect(values.every((x) => x >= 0 && x < 1)).toBe(true);
  // Five standard errors.
  expect(Math.abs(mean - 1 / 2)).toBeLessThan(5 * Math.sqrt(1 / 12 / count));
  expect(Math.abs(variance - 1 / 12)).toBeLessThan(5 * Math.sqrt(1 / 180 / count));
  expect(new Set(values).size).toBe(count);
  expect(uniform(5, "evaluation", [0, 0, 0, 0])).not.toBe(values[0]);
  expect(uniform(6, "training", [0, 0, 0, 0])).not.toBe(values[0]);
  expect(uniform4(5, "training", [0, 0, 0, 0]).every((x) => x >= 0 && x < 1)).toBe(true);
});

it("a permutation holds every index once and differs by seed and visit", () => {
  const first = permutation(1, "shuffling", 0, 1000);
  expect(Int32Array.from(first).sort()).toEqual(Int32Array.from({ length: 1000 }, (_, i) => i));
  expect(permutation(1, "shuffling", 0, 1000)).toEqual(first);
  expect(permutation(1, "shuffling", 1, 1000)).not.toEqual(first);
  expect(permutation(2, "shuffling", 0, 1000)).not.toEqual(first);
});
