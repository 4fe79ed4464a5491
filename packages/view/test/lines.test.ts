// Files of lines as they grow, are torn, cut back, replaced.
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { followLines, readLineAt } from "../src/lines.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-view-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function follow(): {
  readonly path: string;
  readonly lines: string[];
  readonly restarts: () => number;
  readonly take: () => Promise<void>;
} {
  const path = join(folder, `log-${files++}.jsonl`);
  const lines: string[] = [];
  let restarts = 0;
  const take = followLines(path, {
    line: (text) => lines.push(text),
    restart: () => {
      restarts++;
      lines.length = 0;
    },
  });
  return { path, lines, restarts: () => restarts, take };
}

test("takes what has come, and each line once", async () => {
  const { path, lines, take, restarts } = follow();
  await take();
  expect(lines).toEqual([]);
  writeFileSync(path, "one\ntwo\n");
  await take();
  await take();
  appendFileSync(path, "three\n");
  await Promise.all([take(), take()]);
  expect(lines).toEqual(["one", "two", "three"]);
  expect(restarts()).toBe(0);
});

test("waits for the rest of a torn line, wherever it is torn", async () => {
  const { path, lines, take } = follow();
  const bytes = Buffer.from('{"a":"äöü"}\n{"b":2}\n');
  for (const byte of bytes) {
    appendFileSync(path, Buffer.of(byte));
    await take();
  }
  expect(lines).toEqual(['{"a":"äöü"}', '{"b":2}']);
});

test("begins again where a file was cut back, as a resumed run does, even to grow beyond its old length", async () => {
  const { path, lines, take, restarts } = follow();
  writeFileSync(path, "1\n2\n3\n4\n");
  await take();
  writeFileSync(`${path}.new`, "1\n2\n");
  renameSync(`${path}.new`, path);
  appendFileSync(path, "3 again\n4 again\n5\n");
  await take();
  expect(lines).toEqual(["1", "2", "3 again", "4 again", "5"]);
  expect(restarts()).toBe(1);
});

test.each([
  ["shorter", "1\n", ["1"]],
  ["longer", "other\nlines\nthan before\n", ["other", "lines", "than before"]],
])("begins again where the same file has become another, %s", async (_, text, expected) => {
  const { path, lines, take } = follow();
  writeFileSync(path, "1\n2\n3\n");
  await take();
  truncateSync(path, 0);
  appendFileSync(path, text);
  await take();
  expect(lines).toEqual(expected);
});

test("begins again where a file was replaced by one that ends alike", async () => {
  const { path, lines, take } = follow();
  const rest = "x".repeat(1000);
  writeFileSync(path, `old\n${rest}\n`);
  await take();
  writeFileSync(`${path}.new`, `new\n${rest}\n`);
  renameSync(`${path}.new`, path);
  await take();
  expect(lines).toEqual(["new", rest]);
});

test("forgets what a file had that is gone", async () => {
  const { path, lines, take, restarts } = follow();
  writeFileSync(path, "1\n");
  await take();
  rmSync(path);
  await take();
  expect(lines).toEqual([]);
  expect(restarts()).toBe(1);
});

test("says where lines lie, across the pieces that a file is read in", async () => {
  const path = join(folder, "long.jsonl");
  const long = "x".repeat(3 * 1024 * 1024 + 7);
  writeFileSync(path, `first\n${long}\nlast ü\n`);
  const places: { start: number; bytes: number }[] = [];
  const take = followLines(path, { line: (_, at) => places.push(at), restart: () => undefined });
  await take();
  expect(places.map(({ start }) => start)).toEqual([0, 6, 6 + long.length + 1]);
  expect(await readLineAt(path, places[2]!)).toBe("last ü");
  expect(await readLineAt(path, places[1]!)).toBe(long);
});
