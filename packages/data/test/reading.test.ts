/** Rows from every kind of file: the same values, in order, with their places; and what is wrong with a file, named. */
import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import {
  type DataRow,
  dataDigest,
  placeText,
  type ReadRowsOptions,
  readRows,
  stringifyJson,
} from "../src/index.js";
import { folderWith, userError } from "./support/qwen25.js";

const FIXTURES = join(import.meta.dirname, "fixtures", "files");

async function readAll(data: string, options: ReadRowsOptions = {}): Promise<DataRow[]> {
  const rows: DataRow[] = [];
  for await (const row of readRows(data, options)) rows.push(row);
  return rows;
}

/** Values as JSON: of LosslessNumbers with their digits. */
const valuesOf = async (data: string): Promise<string[]> =>
  (await readAll(data)).map(({ value }) => stringifyJson(value));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  return join(await folderWith({ [name]: content }), name);
}

test("JSON arrays: any white space, elements by their number, JSON Lines of that name too", async () => {
  const array = '\ufeff [ {"a": "],[{\\"", "n": 9007199254740993},\n\n{"a": [[1.0], {}]} , 3 ,"x"]\n';
  expect(await valuesOf(await file("a.json", array))).toEqual([
    '{"a":"],[{\\"","n":9007199254740993}',
    '{"a":[[1.0],{}]}',
    "3",
    '"x"',
  ]);
  const path = await file("a.json", array);
  expect((await readAll(path)).map(({ place }) => placeText(place))[1]).toBe(`${path}, element 2`);
  expect(await valuesOf(await file("b.json", '{"a":1}\n{"a":2}\n'))).toEqual(['{"a":1}', '{"a":2}']);
  // Across the chunks of a stream.
  const rows = Array.from({ length: 3000 }, (_, i) => ({ text: `${"é🦙]".repeat(i % 97)}\\"${i}` }));
  expect(await valuesOf(await file("c.json", JSON.stringify(rows, null, 1)))).toEqual(
    rows.map((row) => JSON.stringify(row)),
  );
});

test.each([
  ['[{"a":1},{"a":', "line 1: the array ends inside element 2"],
  ['[{"a":1},\n', "line 2: the array ends after element 1"],
  ['[{"a":1}', "the array ends inside element 1"],
  ['[{"a":1},,{"a":2}]', "expected an element after element 1, came ,"],
  ['[{"a":1},]', "expected an element after element 1, came ]"],
  ['[{"a":1}]\n{"a":2}', "line 2: more follows the end of the array"],
  ['[{"a":1}\n{"a":2}]', "element 1"],
  ['[{"a":NaN}]', "NaN and Infinity are no JSON"],
  ['[{"a":1,"a":2}]', 'element 1 gives the key "a" twice'],
  ["[]", "holds no rows"],
])("a bad JSON array: %s", async (content, expected) => {
  const path = await file("rows.json", content);
  const message = await readAll(path).then(
    () => "no error",
    (error: Error) => `${error.name} ${error.message}`,
  );
  expect(message).toContain("UserError");
  expect(message).toContain(expected);
});

test("CSV: quoted fields, a BOM, CRLF, other delimiters; lists as JSON, empty cells as null", async () => {
  const expected = [
    '{"prompt":"a, \\"b\\"","completion":"c\\nd","label":true}',
    '{"prompt":"x","completion":null,"label":false}',
  ];
  const comma = 'prompt,completion,label\r\n"a, ""b""","c\nd",true\r\nx,,False\r\n';
  expect(await valuesOf(await file("a.csv", `\ufeff${comma}`))).toEqual(expected);
  expect(await valuesOf(await file("a.csv.gz", gzipSync(comma)))).toEqual(expected);
  expect(
    await valuesOf(await file("a.csv", 'prompt;completion;label\n"a, ""b""";"c\nd";true\nx;;False\n')),
  ).toEqual(expected);
  expect(
    await valuesOf(await file("a.tsv", 'prompt\tcompletion\tlabel\n"a, ""b"""\t"c\nd"\ttrue\nx\t\tFalse\n')),
  ).toEqual(expected);
  const nested = await file("a.csv", 'messages,answer\n"[{""role"": ""user"", ""content"": ""q""}]",007\n');
  expect(await valuesOf(nested)).toEqual(['{"messages":[{"role":"user","content":"q"}],"answer":"007"}']);
});

test.each([
  ["a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, the header names 2 columns (a, b)"],
  ["a,b\n1,2\n1\n", "line 3 has 1 fields"],
  ["a,a\n1,2\n", 'line 1 names the column "a" twice'],
  ["a,,b\n1,2,3\n", "line 1 names no column 2"],
  ['a,b\n1,"2\n', "is no CSV"],
  ["messages\n\"[{'role': 'user'}]\"\n", "column messages is not JSON"],
  ["a,b\n", "holds no rows"],
])("a bad CSV: %j", async (content, expected) => {
  const path = await file("rows.csv", content);
  await expect(readAll(path)).rejects.toThrow(expected);
});

test("CSV that is no UTF-8 names its line", async () => {
  const bytes = Buffer.concat([Buffer.from("a,b\n1,2\n"), Buffer.from([0x33, 0xff]), Buffer.from(",4\n")]);
  expect(await userError("bad_line", async () => readAll(await file("rows.csv", bytes)))).toContain(
    "line 3 is not UTF-8: byte 2",
  );
});

test("Parquet as pyarrow writes it: integers and decimals by their digits, dates, lists, structs, maps, nulls", async () => {
  const row =
    '{"data_source":"openai/gsm8k","prompt":[{"role":"user","content":"1+1?","name":null}],"reward_model":{"style":"rule","ground_truth":"2"},' +
    '"big":9007199254740993,"ubig":18446744073709551615,"score":1.0,"price":123456789012345678.90,"day":"2026-11-30","at":"2026-11-30T06:40:00.123456",' +
    '"at_utc":"2026-11-30T06:40:00Z","clock":"06:40:00.000005","tags":["a","b"],"lists":[[1,2],[]],"counts":{"a":1},"ok":true}';
  for (const name of ["types.parquet", "types-brotli.parquet", "types-lz4.parquet"]) {
    const values = await valuesOf(join(FIXTURES, name));
    expect(values).toHaveLength(3);
    expect(values[0]).toBe(row);
    expect(JSON.parse(values[1]!)).toMatchObject({
      big: -1,
      price: -0.05,
      day: "1969-12-31",
      lists: [null],
      ok: false,
    });
    expect(
      new Set(Object.values(JSON.parse(values[2]!) as object).map((value) => JSON.stringify(value))),
    ).toEqual(new Set(["null", '{"style":null,"ground_truth":null}']));
  }
  const [, , last] = await readAll(join(FIXTURES, "types.parquet"));
  expect(placeText(last!.place)).toMatch(/types\.parquet, row 3$/);
});

test("Parquet that is cut, empty, something else, or broken inside", async () => {
  const whole = await readFile(join(FIXTURES, "types.parquet"));
  const broken = async (bytes: Uint8Array, name = "rows.parquet") =>
    userError("unreadable_file", async () => readAll(await file(name, bytes)));
  expect(await broken(whole.subarray(0, 3000))).toContain("its footer cannot be read");
  expect(await broken(Buffer.from('{"a":1}\n'))).toContain("does not begin with PAR1");
  expect(await broken(whole, "rows.jsonl")).toContain(
    "is Parquet, not JSON Lines, as its first bytes say. Name it .parquet",
  );
  const holed = Buffer.from(whole);
  holed.fill(0xff, 4, 60);
  expect(await broken(holed)).toMatch(/row group 0, column data_source \(ZSTD\) cannot be read/);
});

test("zstd: several frames, a cut", async () => {
  const path = await file("rows.jsonl", '{"a":1}\n{"a":2}\n');
  execFileSync("zstd", ["-q", path]);
  const frame = await readFile(`${path}.zst`);
  expect(await valuesOf(await file("rows.jsonl.zst", Buffer.concat([frame, frame])))).toHaveLength(4);
  expect(
    await userError("unreadable_file", async () =>
      readAll(await file("rows.jsonl.zst", frame.subarray(0, 12))),
    ),
  ).toContain("As zstd it is cut short or broken");
});

test("several files, folders, splits, globs: in order, lines counted on, one digest", async () => {
  const row = (n: number): string => `{"n":${n}}\n`;
  const folder = await folderWith({
    "data/train-00000-of-00002.jsonl": row(1),
    "data/train-00001-of-00002.jsonl": row(2) + row(3),
    "data/test-00000-of-00001.jsonl": row(4),
    "README.md": "# rows",
    "broken/train-00001-of-00002.jsonl": row(5),
    "plain/b.csv": "n\n7\n",
    "plain/a.json": "[6]",
  });
  const rows = await readAll(join(folder, "data:train"));
  expect(rows.map(({ line, value }) => [line, value])).toEqual([1, 2, 3].map((n) => [n, { n }]));
  expect(placeText(rows[2]!.place)).toBe(`${join(folder, "data/train-00001-of-00002.jsonl")}, line 2`);
  expect(await userError("bad_data", () => readAll(join(folder, "data")))).toContain(
    "several splits: test, train",
  );
  expect(await userError("missing_file", () => readAll(join(folder, "data:valid")))).toContain(
    "has no split valid",
  );
  expect(await userError("missing_file", () => readAll(join(folder, "broken")))).toContain(
    "train-00000-of-00002.jsonl is not there",
  );
  expect(await valuesOf(join(folder, "plain"))).toEqual(["6", '{"n":"7"}']);
  expect(await valuesOf(join(folder, "data/*-of-*.jsonl"))).toEqual(
    ["4", "1", "2", "3"].map((n) => `{"n":${n}}`),
  );
  expect(await valuesOf(`${join(folder, "plain/a.json")},${join(folder, "plain/b.csv")}`)).toHaveLength(2);
  expect(await userError("missing_file", () => readAll(join(folder, "*.parquet")))).toContain(
    "names no file",
  );
  let digest = "";
  await readAll(join(folder, "data:train"), { onEnd: (found) => (digest = found) });
  expect(digest).toBe(await dataDigest(join(folder, "data:train")));
  expect(digest).not.toBe(await dataDigest(join(folder, "data:test")));
});

test("goes on behind a row, in any kind of file", async () => {
  const folder = await folderWith({
    "a.jsonl": '{"a":1}\n\n{"a":2}\n',
    "b.json": '[{"a":3},{"a":4}]',
    "c.csv": "a\n5\n6\n",
  });
  await writeFile(join(folder, "d.parquet"), await readFile(join(FIXTURES, "types.parquet")));
  const all = await readAll(folder);
  expect(all).toHaveLength(9);
  for (const [i, { place }] of all.entries()) {
    const rest = all.slice(i + 1);
    expect(await readAll(folder, { after: place })).toEqual(rest);
  }
});

test("dataset_info.json: columns and tags by the names that it gives", async () => {
  const folder = await folderWith({
    "dataset_info.json": JSON.stringify({
      qa: { file_name: "qa.json", columns: { prompt: "question", response: "reply" }, num_samples: 1 },
      chat: {
        file_name: "chat.jsonl",
        formatting: "sharegpt",
        columns: { messages: "talk", system: "rules" },
        tags: { role_tag: "who", content_tag: "said", user_tag: "me", assistant_tag: "it" },
      },
      remote: { hf_hub_url: "a/b" },
    }),
    "qa.json": JSON.stringify([
      { question: "q", reply: "a", input: "kept", id: 7 },
      { question: "r", reply: "b" },
    ]),
    "chat.jsonl": JSON.stringify({
      rules: "s",
      talk: [
        { who: "me", said: "q" },
        { who: "it", said: "a", weight: 1 },
      ],
    }),
  });
  const of = (name: string) => valuesOf(join(folder, `dataset_info.json:${name}`));
  expect(await of("qa")).toEqual(['{"instruction":"q","output":"a","original_input":"kept","id":7}']);
  expect(await valuesOf(join(folder, ":chat").replace("/:", ":"))).toEqual([
    '{"system":"s","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a","weight":1}]}',
  ]);
  expect(await userError("bad_data", () => of("none"))).toContain("it has qa, chat, remote");
  expect(await userError("bad_data", () => of("remote"))).toContain("has no file_name but hf_hub_url");
});
