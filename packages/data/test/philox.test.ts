// Philox4x32-10 against the authors' known answers (Random123 1.14.0, tests/kat_vectors), and what is built on it.
import { describe, expect, it } from "vitest";
import { permutation, philox4x32, uniform, uniform4 } from "../src/index.js";

describe("philox4x32", () => {
  it("gives Random123's known answers", () => {
    expect(philox4x32([0, 0], [0, 0, 0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    const ones = 0xffffffff;
    expect(philox4x32([ones, ones], [ones, ones, ones, ones])).toEqual([
      0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd,
    ]);
    expect(philox4x32([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344])).toEqual([
      0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
    ]);
  });
});

describe("uniform", () => {
  it("has 53 bits of the first two words", () => {
    const [a, b] = philox4x32([7, 4], [1, 2, 3, 4]);
    const exact = (BigInt(a) << 21n) + BigInt(b >>> 11);
    expect(uniform(7, "training", [1, 2, 3, 4])).toBe(Number(exact) / 2 ** 53);
    expect(uniform4(7, "training", [1, 2, 3, 4])).toEqual(
      philox4x32([7, 4], [1, 2, 3, 4]).map((word) => word / 2 ** 32),
    );
  });

  it("lies in [0, 1) and is even: mean, variance and ten bins of 100,000 draws within five standard errors", () => {
    const count = 100_000;
    const bins = new Array<number>(10).fill(0);
    let sum = 0;
    let squares = 0;
    for (let i = 0; i < count; i++) {
      const u = uniform(1, "evaluation", [i, 0, 0, 0]);
      expect(u >= 0 && u < 1).toBe(true);
      sum += u;
      squares += u * u;
      bins[Math.floor(u * 10)] = (bins[Math.floor(u * 10)] as number) + 1;
    }
    expect(Math.abs(sum / count - 1 / 2)).toBeLessThan(5 * Math.sqrt(1 / 12 / count));
    expect(Math.abs(squares / count - 1 / 3)).toBeLessThan(5 * Math.sqrt(4 / 45 / count));
    for (const bin of bins) expect(Math.abs(bin - count / 10)).toBeLessThan(5 * Math.sqrt(count * 0.1 * 0.9));
  });

  it("differs between seeds, streams and each word of the counter", () => {
    const draws = [
      uniform(1, "training", [0, 0, 0, 0]),
      uniform(2, "training", [0, 0, 0, 0]),
      uniform(1, "shuffling", [0, 0, 0, 0]),
      uniform(1, "training", [1, 0, 0, 0]),
      uniform(1, "training", [0, 1, 0, 0]),
      uniform(1, "training", [0, 0, 1, 0]),
      uniform(1, "training", [0, 0, 0, 1]),
    ];
    expect(new Set(draws).size).toBe(draws.length);
  });
});

describe("permutation", () => {
  it("holds each index once, another order for each visit and seed, the same when asked again", () => {
    const first = permutation(5, "shuffling", 0, 1000);
    expect([...first].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(permutation(5, "shuffling", 0, 1000)).toEqual(first);
    expect(permutation(5, "shuffling", 1, 1000)).not.toEqual(first);
    expect(permutation(6, "shuffling", 0, 1000)).not.toEqual(first);
    expect([...permutation(5, "shuffling", 0, 1)]).toEqual([0]);
    expect(permutation(5, "shuffling", 0, 0).length).toBe(0);
  });

  it("gives every order of three the same chance, within five standard errors", () => {
    const counts = new Map<string, number>();
    for (let visit = 0; visit < 6000; visit++) {
      const order = permutation(3, "shuffling", visit, 3).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values())
      expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt((6000 * 5) / 36));
  });
});
