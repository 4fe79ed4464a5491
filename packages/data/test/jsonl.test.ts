import { appendFile, rename, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { type DataRow, readRows } from "../src/index.js";
import { folderWith, userError } from "./support/qwen25.js";

async function readAll(path: string): Promise<Pick<DataRow, "line" | "value">[]> {
  const rows: Pick<DataRow, "line" | "value">[] = [];
  for await (const { line, value } of readRows(path)) rows.push({ line, value });
  return rows;
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

test("a missing file, a folder, an empty file", async () => {
  const folder = await folderWith({ "empty.jsonl": "", "blank.jsonl": "\n \r\n\n" });
  expect(await userError("missing_file", () => readAll(join(folder, "none.jsonl")))).toContain(
    "none.jsonl does not exist",
  );
  expect(await userError("empty_file", () => readAll(folder))).toContain("holds no rows");
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

test("refuses what JSON.parse would change silently: repeated keys, __proto__", async () => {
  for (const [line, expected] of [
    ['{"a": 1, "b": {"c": 1, "c": 2}}', 'line 1 gives the key "c" twice in one object'],
    ['{"a": "{\\"b\\": 1}", "a" : 2}', 'gives the key "a" twice'],
    ['{"a\\u0062": 1, "ab": 2}', 'gives the key "ab" twice'],
    ['[{"a": 1}, {"a": 2, "b": ["a", {"a": 3}], "b": 1}]', 'gives the key "b" twice'],
    ['{"a": [{"__proto__": {"b": 1}}]}', "has a key __proto__"],
  ] as const) {
    expect(await userError("bad_line", async () => readAll(await file(`${line}\n`)))).toContain(expected);
  }
  const fine = '{"a": {"b": 1}, "b": [{"b": ":"}, {"b": "\\":"}], "c": "\\\\", ":": 0.5}';
  expect(await readAll(await file(fine))).toEqual([{ line: 1, value: JSON.parse(fine) }]);
});

test("NUL bytes: torn files, and what looks like text but is not", async () => {
  const torn = await file(Buffer.concat([Buffer.from('{"a":1}\n{"a":2'), Buffer.alloc(4096)]));
  expect(await userError("bad_line", () => readAll(torn))).toContain(
    "line 2 holds a NUL byte, the 7th of the line",
  );
  // An escape is text like any other.
  expect(await readAll(await file('"\\u0000"'))).toEqual([{ line: 1, value: "\0" }]);
  expect(await userError("bad_line", async () => readAll(await file('{"a": \u001b[31m}')))).not.toContain(
    "\u001b",
  );
});

test("gzip: several members, a cut, what follows the end, a bomb", async () => {
  const members = [gzipSync('{"a":1}\n{"a":'), gzipSync("2}\n"), Buffer.alloc(512)];
  expect(await readAll(await file(Buffer.concat(members), "rows.jsonl.gz"))).toHaveLength(2);
  const broken = async (bytes: Buffer) =>
    userError("unreadable_file", async () => readAll(await file(bytes, "rows.jsonl.gz")));
  const packed = gzipSync(Array.from({ length: 50_000 }, (_, i) => `{"a":${i}}\n`).join(""));
  expect(await broken(packed.subarray(0, packed.length >> 1))).toMatch(
    /cannot be read from line \d{4,} on: .*As gzip it is cut short or broken/,
  );
  expect(await broken(Buffer.concat([packed, Buffer.from("more")]))).toContain("cut short or broken");
  expect(await broken(Buffer.from('{"a":1}\n'))).toContain("cut short or broken");
  const line = Buffer.from(`{"text":"${"a".repeat(1 << 20)}"}\n`);
  const bomb = gzipSync(Buffer.concat(Array.from({ length: 64 }, () => line)));
  expect(await broken(Buffer.concat(Array.from({ length: 6 }, () => bomb)))).toMatch(
    /grew to \d{9} bytes from \d{6} up to line \d{3}: more than rows of text can be packed/,
  );
});

test("a device or a pipe, which no resumed run could read again", async () => {
  expect(await userError("unreadable_file", () => readAll("/dev/null"))).toContain("is a pipe or a device");
});

test("a file that is cut, or put in another's place, while it is read", async () => {
  for (const change of [
    (path: string) => truncate(path, 10),
    async (path: string) => {
      await writeFile(`${path}.new`, '{"a":1}\n{"a":2}\n');
      await rename(`${path}.new`, path);
    },
  ]) {
    const path = await file('{"a":1}\n{"a":2}\n');
    expect(
      await userError("changed_file", async () => {
        for await (const { line } of readRows(path)) if (line === 1) await change(path);
      }),
    ).toContain(path);
  }
});

test("a file that grows while it is read", async () => {
  const path = await file('{"a":1}\n{"a":2}\n');
  const message = await userError("changed_file", async () => {
    for await (const { line } of readRows(path)) if (line === 1) await appendFile(path, '{"a":3}\n');
  });
  expect(message).toContain("changed while it was read");
});

test.each([
  ["1f8b0800", "gzip"],
  ["28b52ffd", "zstd"],
  ["504b0304", "zip"],
  ["5041523115", "Parquet"],
  ["4152524f57310000", "Arrow"],
  ["fd377a585a00", "xz"],
  ["425a683931", "bzip2"],
  ["80049523", "pickle"],
])("a file that begins with %s is called what it is: %s", async (start, name) => {
  const dir = await folderWith({
    "rows.jsonl": Buffer.concat([Buffer.from(start, "hex"), Buffer.alloc(100)]),
  });
  const message = await userError("unreadable_file", async () => {
    for await (const row of readRows(join(dir, "rows.jsonl"))) void row;
  });
  expect(message).toContain(name);
  expect(message).not.toContain("UTF-16");
});
