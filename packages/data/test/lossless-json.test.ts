import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  asDouble,
  canonicalJson,
  createRecordIds,
  LosslessNumber,
  parseJson,
  parseSftRow,
  readRows,
  sameDecimal,
  stringifyJson,
  withDoubles,
} from "../src/index.js";
import { userError } from "./support/qwen25.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "lossless-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Numbers that a double changes, or that JavaScript spells in another way. */
const unusual = [
  "9007199254740992",
  "9007199254740993",
  "-9007199254740993",
  "10000000000000000",
  "12345678901234567890",
  "144115188075855872",
  `1${"0".repeat(400)}1`,
  "1.0",
  "-0",
  "-0.0",
  "0.10",
  "1e5",
  "1E+05",
  "1e21",
  "1e-6",
  "1e-06",
  "1e400",
  "-1e400",
  "1e-400",
  "0.1000000000000000055511151231257827",
  "0.10000000000000001",
  "1.7976931348623157e+308",
  "0.0000001",
];
const usual = [
  "0",
  "7",
  "-7",
  "9007199254740991",
  "-9007199254740991",
  "0.5",
  "-0.1",
  "0.30000000000000004",
  "1e-7",
];

test("a number is JavaScript's where that changes nothing, else its text", () => {
  for (const text of usual) expect(parseJson(text), text).toBe(Number(text));
  for (const text of unusual) expect(parseJson(text), text).toEqual(new LosslessNumber(text));
  expect(parseJson(' [1.0, {"a": 1e400}, "1.0", 7] ')).toEqual([
    new LosslessNumber("1.0"),
    { a: new LosslessNumber("1e400") },
    "1.0",
    7,
  ]);
});

test("what is no JSON stays none, with the text in the message and nothing of ours", () => {
  for (const text of [
    "01",
    "1.",
    ".5",
    "+1",
    "1e",
    "--1",
    "1.0.0",
    "1.0 2",
    "{1.0: 2}",
    '{"a": 1.0',
    "[1e400,]",
    "NaN",
    "-",
    "1e5e5",
    "0x10",
  ]) {
    let message = "";
    try {
      parseJson(text);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message, text).not.toBe("");
    expect(message, text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-/);
  }
  expect(() => parseJson(`${"[".repeat(100_000)}1.0`)).toThrow("nests deeper");
  expect(() => parseJson(`[${"7".repeat(1_000_001)}]`)).toThrow("holds a number of 1000001 characters");
});

/** A seeded generator: the same values each time. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    const mixed = Math.imul(state ^ (state >>> 13), 0x297a2d39);
    return ((mixed ^ (mixed >>> 16)) >>> 0) % below;
  };
}

function randomNumber(draw: (below: number) => number): string {
  const digits = (most: number): string => Array.from({ length: 1 + draw(most) }, () => draw(10)).join("");
  const whole = draw(3) === 0 ? "0" : `${1 + draw(9)}${draw(2) === 0 ? "" : digits(25)}`;
  const fraction = draw(2) === 0 ? "" : `.${digits(25)}`;
  const exponent = draw(3) > 0 ? "" : `${draw(2) === 0 ? "e" : "E"}${["", "+", "-"][draw(3)]}${digits(3)}`;
  return `${draw(3) === 0 ? "-" : ""}${whole}${fraction}${exponent}`;
}

function randomJson(draw: (below: number) => number, depth: number): string {
  const texts = ["", "1.0", "é", '"', "\\", "\n", "12345678901234567890", "😀", ": {[1e5", "-0"];
  const text = (): string => JSON.stringify(texts[draw(texts.length)]);
  const items = (make: (i: number) => string): string =>
    Array.from({ length: draw(5) }, (_, i) => make(i)).join(",");
  switch (draw(depth > 5 ? 6 : 9)) {
    case 0:
      return ["null", "true", "false"][draw(3)]!;
    case 1:
      return text();
    case 2:
      return unusual[draw(unusual.length)]!;
    case 3:
    case 4:
    case 5:
      return randomNumber(draw);
    case 6:
      return `[${items(() => randomJson(draw, depth + 1))}]`;
    default:
      return `{${items((i) => `"k${i}${draw(9)}":${randomJson(draw, depth + 1)}`)}}`;
  }
}

test("2,000 random values come out of reading and writing byte for byte, and again", async () => {
  const draw = random(12);
  const path = join(dir, "random.jsonl");
  writeFileSync(path, "");
  const lines = Array.from({ length: 2000 }, () => randomJson(draw, 0));
  appendFileSync(path, `${lines.join("\n")}\n`);
  let i = 0;
  for await (const { value } of readRows(path)) {
    expect(stringifyJson(value)).toBe(lines[i]);
    expect(stringifyJson({ ...(value as object), row: value })).toContain(`"row":${lines[i]}`);
    i++;
  }
  expect(i).toBe(2000);
});

test("writing: indented, bigints, values without such numbers as JSON.stringify has them", () => {
  expect(stringifyJson({ a: new LosslessNumber("1.0"), b: [2n ** 70n] }, 2)).toBe(
    '{\n  "a": 1.0,\n  "b": [\n    1180591620717411303424\n  ]\n}',
  );
  const plain = { a: undefined, b: [undefined, 1.5], c: new Date(0), d: "x" };
  expect(stringifyJson(plain)).toBe(JSON.stringify(plain));
  expect(stringifyJson({ ...plain, e: new LosslessNumber("-0") })).toBe(
    `${JSON.stringify(plain).slice(0, -1)},"e":-0}`,
  );
  // A writer that knows nothing of it changes no digit.
  expect(
    JSON.stringify(["1.0", "1e-06", "9007199254740993", "1e400"].map((text) => new LosslessNumber(text))),
  ).toBe('[1,0.000001,"9007199254740993","1e400"]');
});

test("doubles, for those who compute with them: another spelling, a fraction's nearest, nothing that would change a whole number", () => {
  const double = (text: string): unknown => asDouble(new LosslessNumber(text));
  expect(["1.0", "1e-06", "-0", "300.0", "1e2", "0.10000000000000001"].map(double)).toEqual([
    1, 1e-6, -0, 300, 100, 0.1,
  ]);
  for (const text of ["9007199254740993", "1e400", "1e-400", "4.0000000000000000001", "9007199254740992"])
    expect(double(text)).toEqual(new LosslessNumber(text));
  const plain = { a: [1, { b: "x" }] };
  expect(withDoubles(plain)).toBe(plain);
  expect(withDoubles({ a: [new LosslessNumber("1.0")], b: new LosslessNumber("1e400") })).toEqual({
    a: [1],
    b: new LosslessNumber("1e400"),
  });
  expect(sameDecimal("10e-1", "1.00")).toBe(true);
  expect(sameDecimal("-0", "0.0e5")).toBe(true);
  expect(sameDecimal("9007199254740993", "9007199254740992")).toBe(false);
});

test("writing: what is no number any more is a word, never null", () => {
  const values = { a: Number.NaN, b: [Number.POSITIVE_INFINITY, -Number.POSITIVE_INFINITY, null, 1] };
  const words = '"a":"NaN","b":["Infinity","-Infinity",null,1]';
  expect(stringifyJson(values)).toBe(`{${words}}`);
  expect(stringifyJson({ big: 2n ** 64n, ...values })).toBe(`{"big":18446744073709551616,${words}}`);
  expect(stringifyJson(Number.NaN)).toBe('"NaN"');
});

test("ids: what ordinary numbers had before, and one of its own for each number that no double is", () => {
  const rfc8785 = '{"n":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001,-0,1.0]}';
  expect(canonicalJson(parseJson(rfc8785))).toBe('{"n":[333333333.3333333,1e+30,4.5,0.002,1e-27,0,1]}');
  expect(canonicalJson(parseJson(rfc8785))).toBe(canonicalJson(JSON.parse(rfc8785)));
  const numbers = ["9007199254740992", "9007199254740993", "1e400", "1e401", "1e-400", "0"];
  const ids = numbers.map((text) => createRecordIds()(parseJson(`{"a": ${text}}`)));
  expect(new Set(ids).size).toBe(numbers.length);
});

test("token ids and weights of rows: other spellings are read, what is too large is named", async () => {
  const parse = (text: string) => parseSftRow(parseJson(text), { path: "rows.jsonl", line: 7 });
  expect(parse('{"input_ids": [1.0, 2e0], "labels": [-100.0, 2], "attention_mask": [1.0, 1]}')).toMatchObject(
    {
      inputIds: [1, 2],
      labels: [-100, 2],
    },
  );
  for (const [row, expected] of [
    [
      '{"input_ids": [1, 12345678901234567890]}',
      "input_ids[1]: expected a token id, came a number 12345678901234567890.",
    ],
    ['{"input_ids": [1e400]}', "input_ids[0]: expected a token id, came a number 1e400."],
    [
      '{"input_ids": [1], "labels": [9007199254740993]}',
      "labels[0]: expected a token id, came a number 9007199254740993.",
    ],
    [
      '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "loss_weight": 1e400}]}',
      "messages[1].loss_weight: expected 0 (not trained) or 1, came a number 1e400.",
    ],
    [
      '{"messages": [{"role": "user", "content": 1.0}]}',
      "messages[0].content: expected text, or a list of parts, came a number 1.0.",
    ],
  ] as const)
    expect(await userError("bad_row", () => parse(row))).toContain(expected);
  const weighted =
    '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "loss_weight": 0.0}]}';
  const row = parse(weighted);
  expect("untrained" in row && [...row.untrained]).toEqual([1]);
});
