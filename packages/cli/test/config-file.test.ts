// The config file as text: what YAML may surprise with, and mutated files, which are a config or one paragraph, nothing else.
import { UserError } from "@posttrain/data";
import { sftConfig } from "@posttrain/sft";
import { expect, it } from "vitest";
import { parseConfigFile } from "../src/config-file.js";
import { checkOptions } from "../src/options.js";

const read = (text: string | Buffer) => parseConfigFile(Buffer.from(text as string), "c.yaml");
const valuesOf = (text: string): unknown =>
  Object.fromEntries(read(text).settings.map(({ name, value }) => [name, value]));
const problemsOf = (text: string): readonly string[] => read(text).problems.map(({ text }) => text);

it("keeps what was written, whatever a version of YAML would make of it", () => {
  const text = [
    "a: 1e-5 # why",
    "b: 1.10",
    "c: no",
    "d: '1'",
    'e: "null"',
    "f: 2024-01-01",
    "g: ~/models/x",
    "h: [1, two]",
    "i:\n- x\n- y",
    "j: &here runs/x",
    "k: *here",
    "l: >-\n  one\n  two",
    "m: 012",
    "__proto__: x",
  ];
  const values = {
    a: "1e-5",
    b: "1.10",
    c: "no",
    d: "1",
    e: "null",
    f: "2024-01-01",
    g: "~/models/x",
    h: ["1", "two"],
    i: ["x", "y"],
    j: "runs/x",
    k: "runs/x",
    l: "one two",
    m: "012",
    ["__proto__"]: "x",
  };
  expect(valuesOf(text.join("\n"))).toEqual(values);
  expect(valuesOf(`\ufeff${text.join("\r\n")}`)).toEqual(values);
  expect(valuesOf(`%YAML 1.1\n---\n${text.join("\n")}\n...\n`)).toEqual(values);
  expect(valuesOf('{"a": 1, "b": true}')).toEqual({ a: "1", b: "true" });
});

it("knows the line of each key", () => {
  const { settings } = read("# head\n\na: 1\nb:\n  - x\n  - y\nc: 2\n");
  expect(settings.map(({ source }) => source)).toEqual(
    [3, 4, 7].map((line) => ({ kind: "file", path: "c.yaml", line })),
  );
});

it.each<[text: string | Buffer, says: string]>([
  ["", "is empty. A line of it is `name: value`"],
  ["# only a comment\n", "is empty."],
  ["null\n", "holds no options."],
  ["- a\n", "holds a list, expected a mapping of options."],
  ["learning_rate 1e-5\n", 'holds the text "learning_rate 1e-5", expected a mapping'],
  ["a: 1\n---\nb: 2\n", "holds 2 documents, the second from line 2 on; expected one."],
  ["a: 1\n\tb: 2\n", "line 2, column 1: a tab, which YAML does not allow"],
  ["a: b: c\n", "line 1, column 4: a colon in a value: put the value in quotes."],
  ["a: !!int 3\n", "line 1, column 4: a tag (a word that begins with !)"],
  ['a: "x\n', "line 2, column 1: something is missing here"],
  ["[".repeat(50_000), "is nested more than 16 levels deep"],
  ["? ".repeat(100_000), "is nested more than 16 levels deep"],
  [`a: ${"{b: ".repeat(50_000)}`, "is nested more than 16 levels deep"],
  [Buffer.from("a: 1\nb: \xff\n", "latin1"), "has bytes on line 2 that are not UTF-8"],
  [Buffer.from("\ufeffa: 1\n", "utf16le"), "is UTF-16"],
  ["a: 1\n".repeat(60_000), "has 300000 bytes: that is no config"],
])("refuses a file, case %#", (text, says) => {
  const refusal = (): unknown => read(text);
  expect(refusal).toThrow(UserError);
  expect(refusal).toThrow(
    `The config file c.yaml ${says.startsWith("line") ? "is not the YAML of a config: " : ""}${says}`,
  );
});

it("names what is wrong with single keys, all at once", () => {
  const text = "a: 1\na: 2\nb:\nc: ~\nd: {x: 1}\ne: [1, [2]]\nf: [1, null]\ng: *x\n1: 2\n[h]: 3\n? \n: 4\n";
  expect(problemsOf(text)).toEqual([
    "c.yaml, line 2: a is given again, first on line 1: keep one of them.",
    "c.yaml, line 3: b has no value: give one, or remove the line to take the default.",
    "c.yaml, line 4: c has no value: give one, or remove the line to take the default.",
    "c.yaml, line 5: d holds a mapping: an option has a value, or a list of values.",
    "c.yaml, line 6: e holds a list with a list in it: an option has a value, or a list of values.",
    "c.yaml, line 7: f holds a list with nothing in it: an option has a value, or a list of values.",
    "c.yaml, line 8: g holds the alias *x, and no anchor &x stands before it: an option has a value, or a list of values.",
    "c.yaml, line 10: a key is a list, expected the name of an option.",
    "c.yaml, line 11: a key is nothing, expected the name of an option.",
  ]);
});

it("of 3,000 mutated files makes a config or a UserError", () => {
  const seeds = [
    "model_name_or_path: m\ndata: rows.jsonl # rows\noutput_dir: &r runs/1\nlearning_rate: 1e-5\nseed: *r\n",
    "data:\n  - a\n  - b\nloss_on: [assistant]\n? max_steps\n: 3\n",
    '{"model_name_or_path": "m", "data": ["a", "b"], "seed": null, x: {y: [1, {z: 2}]}}\n',
    "a: |\n  text\n  more\nb: >-\n folded\nc: 'it''s'\nd: \"\\u00e9\\n\"\n",
    "max_steps: 3\n---\n- 1\n...\n%YAML 1.1\n---\n!!map {a: !x b}\n",
  ].map((text) => Buffer.from(text));
  const tokens = [
    "*a",
    "&a ",
    "<<: ",
    "!!",
    "\t",
    "---\n",
    "? ",
    ": ",
    "[",
    "{",
    "}",
    "\0",
    "\ufeff",
    "%",
    "|",
    "\r",
    "- ",
    "'",
    '"',
    "\xff",
  ];
  const random = createRandom(20_261_125);
  let configs = 0;
  for (let i = 0; i < 3000; i++) {
    let bytes = seeds[random(seeds.length)]!;
    for (let edits = 1 + random(3); edits > 0; edits--) {
      const [from, to] = [random(bytes.length + 1), random(bytes.length + 1)].sort((a, b) => a - b) as [
        number,
        number,
      ];
      const token = Buffer.from(tokens[random(tokens.length)]!, random(2) === 0 ? "utf8" : "latin1");
      const kinds = [
        [bytes.subarray(0, from), token, bytes.subarray(from)],
        [bytes.subarray(0, from), bytes.subarray(Math.min(to, from + 9))],
        [bytes.subarray(0, to), bytes.subarray(from)],
        [bytes.subarray(0, from), Buffer.of(random(256)), bytes.subarray(from + 1)],
      ];
      bytes = Buffer.concat(kinds[random(kinds.length)]!);
    }
    try {
      const { settings, problems } = parseConfigFile(bytes, "c.yaml");
      configs++;
      checkOptions("sft", sftConfig, settings, { problems });
    } catch (error) {
      if (!(error instanceof UserError))
        throw new Error(`${JSON.stringify(bytes.toString("latin1"))}: ${error}`, { cause: error });
      expect(error.message).not.toMatch(/undefined|\[object|NaN/);
    }
  }
  // A reader that refuses everything would pass too.
  expect(configs).toBeGreaterThan(500);
  expect(configs).toBeLessThan(2500);
});

/** Mulberry32: whole numbers below `limit`. */
function createRandom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}
