/**
 * Files of every kind with a few bytes changed, cut or doubled: rows or a UserError that names the file come out, nothing else. And long files: memory does not follow
 * them. Seeded, so that a failure names its round; `npm run test:long` goes further.
 */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createGzip, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { readRows, stringifyJson, UserError } from "../src/index.js";
import { folderWith, random } from "./support/qwen25.js";

const isLong = process.env["POSTTRAIN_TEST_LONG"] === "1";
const ROUNDS = isLong ? 5000 : 250;
const LONG_BYTES = isLong ? 200_000_000 : 40_000_000;
const LONG_FILES = ["long.jsonl", "long.json", ...(isLong ? ["long.csv", "long.jsonl.gz"] : [])];

const rows = Array.from({ length: 30 }, (_, i) => ({
  n: i,
  text: `é🦙 "quoted", ${i}`,
  messages: [{ role: "user", content: `${i}` }],
}));
const csv = `n,text,messages\n${rows.map(({ n, text, messages }) => `${n},"${text.replaceAll('"', '""')}","${JSON.stringify(messages).replaceAll('"', '""')}"`).join("\n")}\n`;
const jsonl = rows.map((row) => `${JSON.stringify(row)}\n`).join("");

test("changed bytes: rows or a UserError", async () => {
  const parquet = await readFile(join(import.meta.dirname, "fixtures", "files", "types.parquet"));
  const files: readonly (readonly [string, Buffer])[] = [
    ["rows.jsonl", Buffer.from(jsonl)],
    ["rows.jsonl.gz", gzipSync(jsonl)],
    ["rows.json", Buffer.from(JSON.stringify(rows, null, 1))],
    ["rows.csv", Buffer.from(csv)],
    ["rows.parquet", parquet],
  ];
  const folder = await folderWith({});
  const next = random(3);
  const ends = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const [name, whole] = files[round % files.length]!;
    const bytes = Buffer.from(whole);
    const at = (): number => Math.floor(next() * bytes.length);
    for (let changes = Math.floor(next() * 4); changes > 0; changes--) bytes[at()] = Math.floor(next() * 256);
    const cut =
      next() < 0.3
        ? bytes.subarray(0, at())
        : next() < 0.1
          ? Buffer.concat([bytes, bytes.subarray(at())])
          : bytes;
    const path = join(folder, name);
    await writeFile(path, cut);
    let end = "rows";
    try {
      // What comes out is JSON.
      for await (const { value } of readRows(path)) stringifyJson(value);
    } catch (error) {
      if (!(error instanceof UserError)) throw new Error(`round ${round}, ${name}`, { cause: error });
      expect(error.message, `round ${round}`).toContain(path);
      end = error.code;
    }
    ends.set(`${name} ${end}`, (ends.get(`${name} ${end}`) ?? 0) + 1);
  }
  // Each way out is taken, or the fuzzing tests nothing.
  for (const [name] of files) {
    expect(ends.get(`${name} rows`), name).toBeGreaterThan(0);
    expect(
      [...ends.keys()].some((end) => end.startsWith(name) && !end.endsWith(" rows")),
      name,
    ).toBe(true);
  }
});

test("memory does not follow the length of a file", async () => {
  const folder = await folderWith({});
  for (const name of LONG_FILES) {
    const path = join(folder, name);
    const file = createWriteStream(path);
    const out = name.endsWith(".gz") ? createGzip({ level: 1 }) : file;
    if (out !== file) out.pipe(file);
    const [head, row, between, tail] = name.includes("jsonl")
      ? ["", JSON.stringify(rows[0]), "\n", "\n"]
      : name.endsWith(".csv")
        ? ["n,text\n", '1,"a ""b"" é"', "\n", "\n"]
        : ["[", JSON.stringify(rows[0]), ",\n", "]"];
    const block = Array.from({ length: 5000 }, () => row).join(between);
    out.write(head);
    let written = 0;
    for (let first = true; written < LONG_BYTES; first = false) {
      const part = first ? block : between + block;
      written += part.length;
      if (!out.write(part)) await once(out, "drain");
    }
    out.end(tail);
    await once(file, "close");
    const before = process.memoryUsage().rss;
    let [read, most] = [0, 0];
    for await (const _ of readRows(path))
      if (++read % 5000 === 0) most = Math.max(most, process.memoryUsage().rss);
    expect(read % 5000, name).toBe(0);
    expect(most - before, name).toBeLessThan(150_000_000);
  }
});
