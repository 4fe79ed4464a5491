/** Names of data that are mixes: what `data mix` would write is what every reader reads. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { dataDigest, mixRows, readRows } from "../src/index.js";
import { folderWith } from "./support/qwen25.js";

const lines = (name: string, count: number): string =>
  Array.from({ length: count }, (_, i) => `{"${name}":${i}}\n`).join("");

async function read(name: string, options: Parameters<typeof readRows>[1] = {}) {
  const rows: { line: number; at: string; value: unknown }[] = [];
  let digest = "";
  const onEnd = (found: string): void => {
    digest = found;
  };
  for await (const { line, place, value } of readRows(name, { ...options, onEnd }))
    rows.push({ line, at: `${place.path.split("/").at(-1)}:${place.line}`, value });
  return { rows, digest };
}

test("the rows are those of data mix, with places in their own files and a digest of all that decides", async () => {
  const folder = await folderWith({ "a.jsonl": lines("a", 40), "b.jsonl": lines("b", 10) });
  const [a, b] = [join(folder, "a.jsonl"), join(folder, "b.jsonl")];
  const name = JSON.stringify([`${a}=0.5`, { data: b, rows: "25" }]);
  const { rows, digest } = await read(name);
  const mix = await mixRows(
    [
      { data: a, share: 0.5 },
      { data: b, rows: 25 },
    ],
    { seed: 42 },
  );
  const mixed: unknown[] = [];
  for await (const { value } of mix.rows) mixed.push(value);
  expect(rows.map(({ value }) => value)).toEqual(mixed);
  expect(rows.map(({ line }) => line)).toEqual(Array.from({ length: 45 }, (_, i) => i + 1));
  const first = rows[0]!.value as { readonly a?: number; readonly b?: number };
  expect(rows[0]!.at).toBe(first.a === undefined ? `b.jsonl:${first.b! + 1}` : `a.jsonl:${first.a + 1}`);
  expect(await dataDigest(name)).toBe(digest);
  const others = await Promise.all(
    [
      JSON.stringify([`${a}=0.6`, `${b}=25`]),
      JSON.stringify({ sources: [`${a}=0.5`, `${b}=25`], seed: 1 }),
      JSON.stringify([a]),
    ].map(dataDigest),
  );
  expect(new Set([digest, await dataDigest(a), ...others]).size).toBe(5);
  // Weights divide a number of rows.
  const weighed = await read(
    JSON.stringify({ sources: [`${a}=3`, { data: b, weight: 1 }], rows: 20, seed: 7 }),
  );
  expect(weighed.rows.filter(({ at }) => at.startsWith("a"))).toHaveLength(15);
});

test("each source says what its columns are called, and rows without a value are told once a pass", async () => {
  const folder = await folderWith({
    "a.jsonl": '{"ask":"2+3?","say":"5"}\n',
    "b.jsonl": '{"prompt":"1+1?","completion":"2"}\n{"prompt":\n{"prompt":"2+2?","completion":"4"}\n',
  });
  const [a, b] = [join(folder, "a.jsonl"), join(folder, "b.jsonl")];
  const name = JSON.stringify([{ data: a, columns: { prompt: "ask", completion: "say" } }, b]);
  const bad: string[] = [];
  const { rows } = await read(name, { onBadRow: (_, __, place) => bad.push(`${place.line}`) });
  expect(bad).toEqual(["2"]);
  expect(new Set(rows.map(({ value }) => JSON.stringify(value)))).toEqual(
    new Set([
      '{"prompt":"2+3?","completion":"5"}',
      '{"prompt":"1+1?","completion":"2"}',
      '{"prompt":"2+2?","completion":"4"}',
    ]),
  );
  await expect(read(name)).rejects.toThrow(/b\.jsonl, line 2/);
});

test("what is no mix is told with the source and the key", async () => {
  for (const [said, message] of [
    [[{ data: "a", share: 1, rows: 3 }], /sources 1 \(a\): it has share and rows, expected one/],
    [[{ data: "a", weight: 2 }], /weight divides the rows of the mix.*Give rows beside sources/],
    [{ sources: [{ data: "a", share: 0.5 }], rows: 5 }, /expected weight, came share/],
    [[{ data: "a", colums: {} }], /sources 1: .*colums/],
    [[{ data: "a", share: "much" }], /sources 1 share/],
    [["a=much"], /sources has "a=much": expected DATA, DATA=0\.5/],
    [[], /sources/],
  ] as const)
    await expect(read(JSON.stringify(said)), JSON.stringify(said)).rejects.toThrow(message);
  // A pattern may begin with a bracket.
  await expect(read("[ab].jsonl")).rejects.toMatchObject({ code: "missing_file" });
});
