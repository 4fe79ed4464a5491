import { expect, test } from "vitest";
import { packBestFit } from "../src/index.js";
import { fixture, random } from "./support/qwen25.js";

interface PackingCase {
  readonly id: string;
  readonly strategy: string;
  readonly seq_length: number;
  readonly examples: { readonly input_ids: readonly (readonly number[])[] };
  readonly expected: { readonly input_ids: readonly (readonly number[])[]; readonly seq_lengths: unknown };
}

test("TRL's best-fit-decreasing cases; what is too long is split or cut before", async () => {
  const cases = (await fixture<PackingCase>("trl-packing/cases.jsonl")).filter((one) =>
    /^bfd/.test(one.strategy),
  );
  expect(cases.length).toBeGreaterThan(0);
  for (const { id, strategy, seq_length: capacity, examples, expected } of cases) {
    const rows = examples.input_ids.flatMap((row) => {
      const parts: (readonly number[])[] = [];
      for (let at = 0; at < row.length; at += capacity) parts.push(row.slice(at, at + capacity));
      return strategy === "bfd_split" ? parts : parts.slice(0, 1);
    });
    const { bins } = packBestFit(
      rows.map((row) => row.length),
      capacity,
    );
    expect(
      bins.map((bin) => bin.flatMap((row) => rows[row]!)),
      id,
    ).toEqual(expected.input_ids);
    expect(
      bins.map((bin) => bin.map((row) => rows[row]!.length)),
      id,
    ).toEqual(expected.seq_lengths);
  }
});

/** The rule as it reads, in O(n * bins). */
function plainBestFit(lengths: readonly number[], capacity: number): number[][] {
  const order = [...lengths.keys()]
    .filter((i) => lengths[i]! > 0)
    .sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const bins: { rows: number[]; room: number; since: number }[] = [];
  for (const [time, row] of order.entries()) {
    const length = lengths[row]!;
    const fitting = bins
      .filter((bin) => bin.room >= length)
      .sort((a, b) => a.room - b.room || a.since - b.since);
    const bin = fitting[0] ?? { rows: [], room: capacity, since: 0 };
    if (!fitting[0]) bins.push(bin);
    bin.rows.push(row);
    bin.room -= length;
    bin.since = time;
  }
  return bins.map((bin) => bin.rows);
}

test("the same bins as the rule written plainly, on random lengths", () => {
  const next = random(5);
  for (let round = 0; round < 300; round++) {
    const capacity = 1 + Math.floor(next() * 40);
    const lengths = Array.from({ length: Math.floor(next() * 60) }, () =>
      Math.floor(next() * (capacity + 1)),
    );
    const { bins, tokens, waste } = packBestFit(lengths, capacity);
    expect(bins).toEqual(plainBestFit(lengths, capacity));
    expect(bins.flat().sort((a, b) => a - b)).toEqual([...lengths.keys()].filter((i) => lengths[i]! > 0));
    expect(tokens).toBe(lengths.reduce((sum, length) => sum + length, 0));
    expect(waste).toBe(bins.length * capacity - tokens);
  }
});

test("a million rows at 32,768 tokens take seconds, not hours", () => {
  const next = random(6);
  const lengths = Uint32Array.from({ length: 1_000_000 }, () => 1 + Math.floor(next() ** 4 * 32_768));
  const started = performance.now();
  const { bins, tokens, waste } = packBestFit(lengths, 32_768);
  expect(performance.now() - started).toBeLessThan(20_000);
  expect(waste / (bins.length * 32_768)).toBeLessThan(0.01);
  expect(tokens).toBe(lengths.reduce((sum, length) => sum + length, 0));
});

test("lengths that do not fit are the caller's mistake", () => {
  expect(() => packBestFit([3, 5], 4)).toThrow("row 1 has length 5, expected 0 to 4");
  expect(() => packBestFit([1], 0)).toThrow("capacity 0");
  expect(packBestFit([], 4)).toEqual({ bins: [], capacity: 4, tokens: 0, waste: 0 });
});
