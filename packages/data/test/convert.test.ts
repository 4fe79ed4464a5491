/** Rows of every form as rows of every other, and back: the same row again, or an error that says why not; and rows through Parquet. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import {
  canonicalJson,
  createConverter,
  createParquetFile,
  type DataFormat,
  dataFormats,
  detectFormat,
  originalColumn,
  parseJson,
  readRows,
  UserError,
} from "../src/index.js";
import { folderWith, random } from "./support/qwen25.js";

type Row = Readonly<Record<string, unknown>>;
const user = (content: string) => ({ role: "user", content });
const assistant = (content: string) => ({ role: "assistant", content });
const call = {
  role: "assistant",
  content: "",
  tool_calls: [{ type: "function", function: { name: "add", arguments: { a: 1 } } }],
};

const EXAMPLES: Readonly<Record<DataFormat, readonly Row[]>> = {
  tokens: [{ input_ids: [1, 2, 3] }],
  "preference-tokens": [{ prompt_ids: [1], chosen_ids: [2], rejected_ids: [3] }],
  responses: [{ prompt: "q", responses: ["a", "b"], labels: [true, false] }],
  text: [{ text: "Some text.", source: "web" }],
  messages: [
    { messages: [{ role: "system", content: "s" }, user("q"), assistant("a")], answer: 7 },
    {
      messages: [user("q"), call, { role: "tool", content: "1", name: "add" }, assistant("a")],
      tools: [{ name: "add" }],
    },
    { messages: [user("q"), { ...assistant("a"), loss_weight: 0 }, user("r"), assistant("b")] },
    { messages: [user("q"), { ...assistant("a"), reasoning_content: "because" }] },
  ],
  sharegpt: [
    {
      conversations: [
        { from: "human", value: "q" },
        { from: "gpt", value: "a" },
      ],
      system: "s",
    },
    {
      conversations: [
        { from: "human", value: "q" },
        { from: "function_call", value: '{"name": "f", "arguments": {"x":1}}' },
        { from: "observation", value: "2" },
        { from: "gpt", value: "a" },
      ],
      tools: '[{"name": "f"}]',
    },
  ],
  alpaca: [
    { instruction: "q", input: "", output: "a" },
    { instruction: "q", input: "more", output: "a", history: [["x", "y"]], system: "s", id: "k" },
    { instruction: "q", output: "a" },
  ],
  "prompt-completion": [
    { prompt: "q", completion: " a" },
    { prompt: [user("q")], completion: [assistant("a")] },
  ],
  prompt: [
    { prompt: "q", answer: "42" },
    { prompt: [user("q")], ground_truth: "1", data_source: "gsm8k" },
  ],
  question: [{ question: "q", answer: "42" }, { problem: "q" }],
  verl: [
    {
      data_source: "openai/gsm8k",
      prompt: [user("q")],
      ability: "math",
      reward_model: { style: "rule", ground_truth: "7" },
      extra_info: { index: 0, split: "train" },
    },
  ],
  preference: [
    { prompt: "q", chosen: " a", rejected: " b", margin: 0.5 },
    { prompt: [user("q")], chosen: [assistant("a")], rejected: [assistant("b")] },
    { prompt: [user("q")], chosen: "a", rejected: "b" },
    { messages: [user("q")], chosen: assistant("a"), rejected: assistant("b") },
  ],
  "preference-implicit": [
    { chosen: [user("q"), assistant("a")], rejected: [user("q"), assistant("b")] },
    { chosen: "\n\nHuman: q\n\nAssistant: a", rejected: "\n\nHuman: q\n\nAssistant: b" },
  ],
  "preference-sharegpt": [
    {
      conversations: [{ from: "human", value: "q" }],
      chosen: { from: "gpt", value: "a" },
      rejected: { from: "gpt", value: "b" },
    },
  ],
  "preference-alpaca": [{ instruction: "q", input: "i", chosen: "a", rejected: "b" }],
  "preference-nemo": [
    {
      context: [user("q")],
      completions: [
        { rank: 1, completion: [assistant("b")] },
        { rank: 0, completion: [assistant("a")] },
      ],
      task_name: "t",
    },
  ],
  unpaired: [
    { prompt: "q", completion: "a", label: true },
    { prompt: [user("q")], completion: [assistant("a")], label: false },
  ],
  "unpaired-messages": [{ messages: [user("q"), assistant("a")], label: false }],
};

const PLACE = { path: "rows.jsonl", line: 1 };

test("each example is read as what it is", () => {
  for (const [format, rows] of Object.entries(EXAMPLES))
    for (const row of rows) expect([row, detectFormat(row)]).toEqual([row, format]);
});

/** There and back; false where the way there is an error. */
function thereAndBack(row: Row, from: DataFormat, to: DataFormat): boolean {
  let there: readonly Row[];
  try {
    there = createConverter({ to })(row, PLACE).rows;
  } catch (error) {
    if (!(error instanceof UserError))
      throw new Error(`${from} to ${to}: ${JSON.stringify(row)}`, { cause: error });
    expect(error.code, error.message).toBe("cannot_convert");
    return false;
  }
  for (const made of there) expect([from, to, detectFormat(made)]).toEqual([from, to, to]);
  const back = createConverter({ to: from });
  const again = there.flatMap((made) => back(made, PLACE).rows);
  expect(again.map(canonicalJson), `${from} to ${to} and back`).toEqual([canonicalJson(row)]);
  return true;
}

test("every example in every form, and back", () => {
  const ways = new Set<string>();
  for (const from of dataFormats)
    for (const to of dataFormats)
      for (const row of EXAMPLES[from])
        if (thereAndBack(row, from, to) && from !== to) ways.add(`${from} ${to}`);
  // Each of these is a way that somebody goes.
  expect([...ways]).toEqual(
    expect.arrayContaining([
      ...[
        "messages sharegpt",
        "sharegpt messages",
        "messages alpaca",
        "alpaca messages",
        "messages prompt-completion",
      ],
      ...[
        "alpaca sharegpt",
        "preference preference-nemo",
        "preference-nemo preference",
        "preference unpaired",
      ],
      ...[
        "preference-implicit preference",
        "preference-sharegpt preference",
        "preference-alpaca preference-sharegpt",
      ],
      ...["preference messages", "prompt verl", "unpaired unpaired-messages", "messages prompt"],
    ]),
  );
});

test("a row that was changed since is no copy of what it was", () => {
  const [row] = createConverter({ to: "messages" })(EXAMPLES.preference[1], PLACE).rows;
  expect(row![originalColumn]).toMatchObject({ format: "preference" });
  const changed = { ...row, messages: [user("q"), assistant("other")] };
  expect(() => createConverter({ to: "preference" })(changed, PLACE)).toThrow("a preference has two");
});

test("what a form has no place for is an error that says what", () => {
  const to = (row: Row, format: DataFormat) => () => createConverter({ to: format })(row, PLACE);
  expect(to(EXAMPLES.messages[1]!, "alpaca")).toThrow("rows.jsonl, line 1: it cannot be written as alpaca");
  expect(to(EXAMPLES.messages[3]!, "sharegpt")).toThrow("reasoning_content, which ShareGPT does not know");
  expect(to(EXAMPLES.messages[0]!, "preference")).toThrow("a preference has two");
  expect(to({ ...EXAMPLES.messages[0]!, input_ids: [1] }, "tokens")).not.toThrow();
  expect(to({ a: 1 }, "messages")).toThrow("its columns are a");
  const ranked = [0, 0].map((rank, i) => ({ rank, completion: [assistant(`${i}`)] }));
  expect(to({ context: [user("q")], completions: ranked }, "preference")).toThrow("both have rank 0");
});

test("drawn conversations, there and back", () => {
  const next = random(7);
  const words = ["", "a", "é🦙", 'say "no"', "two\nlines", "{}", "[1]", " "];
  const word = (): string => `${words[Math.floor(next() * words.length)]}x`;
  let ways = 0;
  for (let round = 0; round < 300; round++) {
    const turns: Row[] = next() < 0.3 ? [{ role: "system", content: word() }] : [];
    for (let pairs = 1 + Math.floor(next() * 3); pairs > 0; pairs--) {
      turns.push(user(word()));
      if (next() < 0.3)
        turns.push({ ...call, content: next() < 0.5 ? "" : null }, { role: "tool", content: word() });
      turns.push({
        ...assistant(word()),
        ...(next() < 0.2 && { loss_weight: 1 }),
        ...(next() < 0.1 && { name: "n" }),
      });
    }
    const extras = {
      ...(next() < 0.3 && { id: round }),
      ...(next() < 0.2 && { input: word() }),
      ...(next() < 0.2 && { system: word() }),
    };
    for (const to of ["sharegpt", "alpaca", "prompt-completion", "prompt"] as const)
      if (thereAndBack({ messages: turns, ...extras }, "messages", to)) ways++;
  }
  expect(ways).toBeGreaterThan(600);
});

test("any rows through Parquet: kinds mixed or missing, numbers by their digits, null and nothing apart", async () => {
  const next = random(11);
  const values: readonly (() => unknown)[] = [
    () => null,
    () => next() < 0.5,
    () => Math.floor(next() * 100),
    () => parseJson("9007199254740993"),
    () => parseJson("18446744073709551616"),
    () => parseJson("1.0"),
    () => next(),
    () => "é🦙",
    () => [],
    () => ({}),
    () => [1, [2, null], "x"],
    () => ({ role: "user", content: "a" }),
    () => ({ role: "assistant", content: null, tool_calls: [{ function: { name: "f" } }] }),
    () => [
      { role: "user", content: "a" },
      { role: "assistant", content: "b", name: "n" },
    ],
  ];
  const folder = await folderWith({});
  for (let round = 0; round < 60; round++) {
    // A column has few kinds, as in files.
    const columns = ["a", "b", "c", "d"].map(
      (name) =>
        [
          name,
          Array.from(
            { length: 1 + Math.floor(next() * 2) },
            () => values[Math.floor(next() * values.length)]!,
          ),
        ] as const,
    );
    const rows = Array.from(
      { length: 1 + Math.floor(next() * 20) },
      (_, i) =>
        Object.fromEntries([
          ["n", i],
          ...columns.flatMap(([name, kinds]) =>
            next() < 0.2 ? [] : [[name, kinds[Math.floor(next() * kinds.length)]!()]],
          ),
        ]) as Row,
    );
    const path = join(folder, `${round}.parquet`);
    const parquet = createParquetFile();
    for (const row of rows) parquet.observe(row);
    const file = await parquet.open(path);
    for (const row of rows) file.write(row);
    file.end();
    const read: string[] = [];
    for await (const { value } of readRows(path)) read.push(canonicalJson(value));
    expect(read, `round ${round}`).toEqual(rows.map(canonicalJson));
  }
});

test("rows of AutoIF and of Stack Exchange's pairs are told by the names of their columns, and go back", async () => {
  const kinds = [
    {
      file: "demo-rows/autoif.jsonl",
      columns: { prompt: "instruction", query: "query", response: "response" },
      forms: ["alpaca", "messages"],
    },
    {
      file: "preferences/stack_exchange.jsonl",
      columns: { prompt: "question", chosen: "response_j", rejected: "response_k" },
      forms: ["preference", "preference-nemo"],
    },
  ] as const;
  for (const { file, columns, forms } of kinds) {
    const path = fileURLToPath(new URL(`fixtures/${file}`, import.meta.url));
    const [there, back] = [createConverter({ to: forms[1] }), createConverter({ to: forms[0] })];
    for await (const { value, place } of readRows(path, { naming: { columns } })) {
      const { from, rows } = there(value, place);
      expect(from).toBe(forms[0]);
      expect(rows).toHaveLength(1);
      expect(rows.flatMap((row) => back(row, place).rows).map(canonicalJson)).toEqual([canonicalJson(value)]);
    }
  }
});
