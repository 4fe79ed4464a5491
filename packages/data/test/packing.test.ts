import { expect, test } from "vitest";
import { type PackingStrategy, packBestFit, packPieces, splitPrompt } from "../src/index.js";
import { fixture, random } from "./support/qwen25.js";

interface PackingCase {
  readonly id: string;
  readonly strategy: PackingStrategy | "extract_prompt";
  readonly seq_length: number;
  readonly examples: Readonly<Record<string, readonly (readonly number[])[]>>;
  readonly expected: Readonly<Record<string, readonly (readonly number[])[]>>;
}

test("TRL's packing cases", async () => {
  const cases = await fixture<PackingCase>("trl-packing/cases.jsonl");
  expect(cases).toHaveLength(5);
  for (const { id, strategy, seq_length: capacity, examples, expected } of cases) {
    if (strategy === "extract_prompt") {
      const { chosen, rejected } = examples as unknown as { chosen: string; rejected: string };
      expect(splitPrompt(chosen, rejected), id).toEqual(expected);
      continue;
    }
    const bins = packPieces(
      examples.input_ids!.map((row) => row.length),
      capacity,
      strategy,
    );
    for (const [column, rows] of Object.entries(expected)) {
      const packed = bins.map((bin) =>
        column === "seq_lengths"
          ? bin.map(({ start, end }) => end - start)
          : bin.flatMap(({ row, start, end }) => examples[column]![row]!.slice(start, end)),
      );
      expect(packed, `${id} ${column}`).toEqual(rows);
    }
  }
});

test("bfd cuts what bfd_split keeps; wrapped leaves no room", () => {
  const pieces = (strategy: PackingStrategy) =>
    packPieces([5, 0, 2, 1], 4, strategy).map((bin) => bin.map(({ row, start, end }) => [row, start, end]));
  expect(pieces("bfd")).toEqual([
    [[0, 0, 4]],
    [
      [2, 0, 2],
      [3, 0, 1],
    ],
  ]);
  expect(pieces("bfd_split")).toEqual([
    [[0, 0, 4]],
    [
      [2, 0, 2],
      [0, 4, 5],
      [3, 0, 1],
    ],
  ]);
  expect(pieces("wrapped")).toEqual([
    [[0, 0, 4]],
    [
      [0, 4, 5],
      [2, 0, 2],
      [3, 0, 1],
    ],
  ]);
});

test("the prompt that two answers share", () => {
  const user = { role: "user", content: "Sky?" };
  const answer = (content: string) => ({ role: "assistant", content });
  expect(splitPrompt([user, answer("Blue")], [user, answer("Green")])).toEqual({
    prompt: [user],
    chosen: [answer("Blue")],
    rejected: [answer("Green")],
  });
  // The two emoji share their first code unit.
  expect(splitPrompt("a \u{1f680}", "a \u{1f681}")).toEqual({
    prompt: "a",
    chosen: " \u{1f680}",
    rejected: " \u{1f681}",
  });
  expect(splitPrompt("Q: yes", "Q: yes and no")).toEqual({
    prompt: "Q: ye",
    chosen: "s",
    rejected: "s and no",
  });
  expect(splitPrompt("no", "yes")).toEqual({ prompt: "", chosen: "no", rejected: "yes" });
  expect(splitPrompt("same", "same")).toBeUndefined();
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

test("memory follows the rows, not the capacity", () => {
  const before = process.memoryUsage().arrayBuffers;
  for (const capacity of [1e9, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
    const { bins, waste } = packBestFit([3, 900, 20], capacity);
    expect(bins).toEqual([[1, 2, 0]]);
    expect(waste).toBe(capacity - 923);
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10e6);
});

test("lengths that do not fit are the caller's mistake", () => {
  expect(() => packBestFit([3, 5], 4)).toThrow("row 1 has length 5, expected 0 to 4");
  expect(() => packBestFit([1], 0)).toThrow("capacity 0");
  expect(packBestFit([], 4)).toEqual({ bins: [], capacity: 4, tokens: 0, waste: 0 });
});
