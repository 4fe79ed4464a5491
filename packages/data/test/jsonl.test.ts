import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { type JsonlRecord, readJsonl, UserError } from "../src/index.js";
import { folderWith, random, userError } from "./support/qwen25.js";

async function readAll(path: string): Promise<JsonlRecord[]> {
  const records: JsonlRecord[] = [];
  for await (const record of readJsonl(path)) records.push(record);
  return records;
}

async function file(content: string | Uint8Array, name = "rows.jsonl"): Promise<string> {
  return join(await folderWith({ [name]: content }), name);
}

test("yields values with their lines: BOM, CRLF, blank lines, no feed at the end", async () => {
  const path = await file('\ufeff{"a":1}\r\n\r\n  \n{"b":"x\\r"}\r\n[2]');
  expect(await readAll(path)).toEqual([
    { line: 1, value: { a: 1 } },
    { line: 4, value: { b: "x\r" } },
    { line: 5, value: [2] },
  ]);
});

test("keeps characters whole across the chunks of a stream", async () => {
  const rows = Array.from({ length: 5000 }, (_, i) => ({ text: `${"é🦙".repeat(i % 97)}${i}` }));
  const path = await file(rows.map((row) => JSON.stringify(row)).join("\n"));
  expect((await readAll(path)).map((record) => record.value)).toEqual(rows);
});

test("reads gzip by its name, and says when it is cut short", async () => {
  const packed = gzipSync('{"a":1}\n{"a":2}\n');
  expect(await readAll(await file(packed, "rows.jsonl.gz"))).toHaveLength(2);
  const cut = await file(packed.subarray(0, packed.length - 9), "rows.jsonl.gz");
  expect(await userError("unreadable_file", () => readAll(cut))).toContain(cut);
});

test("a missing file, a folder, an empty file", async () => {
  const folder = await folderWith({ "empty.jsonl": "", "blank.jsonl": "\n \r\n\n" });
  expect(await userError("missing_file", () => readAll(join(folder, "none.jsonl")))).toContain(
    "none.jsonl does not exist",
  );
  expect(await userError("unreadable_file", () => readAll(folder))).toContain("is a folder");
  await userError("empty_file", () => readAll(join(folder, "empty.jsonl")));
  await userError("empty_file", () => readAll(join(folder, "blank.jsonl")));
});

test.each([
  ["a bad byte", [0x22, 0x61, 0xff, 0x22], "byte 3 of the line is 0xff"],
  ["a surrogate in UTF-8", [0x22, 0xed, 0xa0, 0x80, 0x22], "byte 3 of the line is 0xa0"],
  ["a character cut at the end of the line", [0x22, 0x22, 0xe2, 0x82], "byte 4 of the line is 0x82"],
])("names line and byte of broken UTF-8: %s", async (_, bytes, expected) => {
  const path = await file(
    Buffer.concat([Buffer.from('{"a":1}\n'), Buffer.from(bytes), Buffer.from("\n{}\n")]),
  );
  const message = await userError("bad_line", () => readAll(path));
  expect(message).toContain(`${path}, line 2 is not UTF-8: ${expected}`);
});

test("a BOM is for the start of the file alone", async () => {
  const path = await file('{"a":1}\n\ufeff{"a":2}\n');
  expect(await userError("bad_line", () => readAll(path))).toContain("line 2");
});

test("recognises UTF-16", async () => {
  const path = await file(Buffer.from('\ufeff{"a":1}\n', "utf16le"));
  expect(await userError("bad_line", () => readAll(path))).toContain("looks like UTF-16");
});

test("names line and reason of what is not JSON", async () => {
  const broken = await file('{"a":1}\n{"a":1,}\n');
  expect(await userError("bad_line", () => readAll(broken))).toMatch(/rows\.jsonl, line 2 .*is not JSON: .+/);
  const array = await file('[\n  {"a": 1}\n]\n');
  expect(await userError("bad_line", () => readAll(array))).toContain("jq -c '.[]'");
});

test("refuses what later steps would garble: half a surrogate pair, endless nesting, an endless line", async () => {
  const half = await file('{"a":["ok","\\ud83d"]}\n');
  expect(await userError("bad_line", () => readAll(half))).toContain("surrogate");
  expect(await readAll(await file('"\\ud83e\\udd99"'))).toEqual([{ line: 1, value: "🦙" }]);
  const deep = await file(`${"[".repeat(100_000)}${"]".repeat(100_000)}\n`);
  expect(await userError("bad_line", () => readAll(deep))).toContain("nests deeper");
  const long = await file(Buffer.concat([Buffer.from("{}\n"), Buffer.alloc(68_000_000, 0x20)]));
  expect(await userError("bad_line", () => readAll(long))).toContain("line 2 is longer than");
});

test("a file that grows while it is read", async () => {
  const path = await file('{"a":1}\n{"a":2}\n');
  const message = await userError("changed_file", async () => {
    for await (const { line } of readJsonl(path)) if (line === 1) await appendFile(path, '{"a":3}\n');
  });
  expect(message).toContain("changed while it was read");
});

test("random bytes give rows or a UserError, nothing else", async () => {
  const seeds = [
    '{"messages":[{"role":"user","content":"héllo 🦙"}]}\r\n',
    '{"input_ids":[1,2],"labels":[-100,2]}\n',
    "\n[]\n",
  ];
  const next = random(1);
  let refused = 0;
  const folder = await folderWith({});
  for (let round = 0; round < 400; round++) {
    const bytes = Buffer.from(seeds.map((seed) => seed.repeat(1 + Math.floor(next() * 3))).join(""));
    const edits = Math.floor(next() * 4);
    for (let k = 0; k < edits; k++) bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
    const path = join(folder, `${round}.jsonl`);
    await appendFile(path, round % 8 === 0 ? bytes.map(() => Math.floor(next() * 256)) : bytes);
    try {
      await readAll(path);
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
      refused++;
    }
  }
  // Both outcomes happen, or the fuzzing tests nothing.
  expect(refused).toBeGreaterThan(50);
  expect(refused).toBeLessThan(350);
});
