/** Mixes of sources: how much of each, in which order, and that the seed decides it all. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { type MixSource, mixRows } from "../src/index.js";
import { folderWith } from "./support/qwen25.js";

const lines = (name: string, count: number): string =>
  Array.from({ length: count }, (_, i) => `{"${name}":${i}}\n`).join("");

async function mixed(sources: readonly MixSource[], seed = 1, rows?: number) {
  const mix = await mixRows(sources, { seed, rows });
  const found: { source: number; row: number }[] = [];
  for await (const { source, value } of mix.rows)
    found.push({ source, row: Object.values(value as object)[0] as number });
  return { parts: mix.parts.map(({ of, taken }) => [of, taken]), found };
}

const rowsOf = (found: readonly { source: number; row: number }[], source: number): number[] =>
  found.filter((one) => one.source === source).map(({ row }) => row);

test("shares, numbers, several passes, weights", async () => {
  const folder = await folderWith({ "a.jsonl": lines("a", 40), "b.jsonl": lines("b", 10) });
  const [a, b] = [join(folder, "a.jsonl"), join(folder, "b.jsonl")];
  const { parts, found } = await mixed([
    { data: a, share: 0.5 },
    { data: b, share: 2.5 },
  ]);
  expect(parts).toEqual([
    [40, 20],
    [10, 25],
  ]);
  const [some, again] = [rowsOf(found, 0), rowsOf(found, 1)];
  // In the order of the file, each once; of the other two whole passes and half of one.
  expect(some).toEqual([...new Set(some)].sort((x, y) => x - y));
  expect(some).not.toEqual(Array.from({ length: 20 }, (_, i) => i));
  expect(again.slice(0, 20)).toEqual([...Array(10).keys(), ...Array(10).keys()]);
  expect(new Set(again.slice(20)).size).toBe(5);
  // Interleaved: neither stands in one block.
  const changes = found.filter(({ source }, i) => i > 0 && found[i - 1]!.source !== source).length;
  expect(changes).toBeGreaterThan(10);
  expect(
    await mixed([
      { data: a, share: 0.5 },
      { data: b, share: 2.5 },
    ]),
  ).toEqual({ parts, found });
  expect(
    (
      await mixed(
        [
          { data: a, share: 0.5 },
          { data: b, share: 2.5 },
        ],
        2,
      )
    ).found,
  ).not.toEqual(found);
  expect(
    (
      await mixed([
        { data: a, rows: 3 },
        { data: b, rows: 0 },
      ])
    ).parts,
  ).toEqual([
    [40, 3],
    [10, 0],
  ]);
  expect(
    (
      await mixed(
        [
          { data: a, weight: 2 },
          { data: b, weight: 1 },
        ],
        1,
        11,
      )
    ).parts,
  ).toEqual([
    [40, 7],
    [10, 4],
  ]);
  await expect(mixed([{ data: a, weight: 0 }], 1, 5)).rejects.toThrow("all weights are 0");
});
