/**
 * Files of every kind of row with a few bytes, tokens or fields changed: rows or a UserError come out, nothing
 * else, and soon. Seeded, so that a failure names its round.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { loadChatTemplate, loadSftRows, loadTokenizer, UserError } from "../src/index.js";
import { folderWith, QWEN25_DIR, qwenTokenizerFile, random } from "./support/qwen25.js";

const ROUNDS = 300;

/** Bytes as tokens: the real vocabulary would only cost time. */
async function loadTexts() {
  const bytes = Object.fromEntries(Array.from({ length: 94 }, (_, i) => [String.fromCharCode(33 + i), i]));
  const file = qwenTokenizerFile(bytes, [], { "<|im_start|>": 94, "<|im_end|>": 95 });
  const config = JSON.stringify({ eos_token: "<|im_end|>" });
  const folder = await folderWith({ "tokenizer.json": file, "tokenizer_config.json": config });
  return { tokenizer: await loadTokenizer(folder), template: await loadChatTemplate(QWEN25_DIR) };
}

const call = {
  role: "assistant",
  content: null,
  tool_calls: [{ function: { name: "f", arguments: '{"x": 1.5}' } }],
};
const ROWS: readonly unknown[] = [
  {
    messages: [
      { role: "user", content: "hé 🦙" },
      call,
      { role: "tool", content: "2" },
      { role: "assistant", content: "ok" },
    ],
    tools: '[{"name": "f"}]',
  },
  {
    messages: [
      { role: "user", content: [{ type: "text", value: "a" }], loss_weight: 0 },
      {
        role: "assistant",
        content: [
          { type: "reasoning", value: "r" },
          { type: "text", text: "b" },
        ],
        loss_weight: 1,
      },
    ],
    chat_template_kwargs: { x: {} },
  },
  {
    prompt: [{ role: "user", content: "a" }],
    completion: [{ role: "assistant", content: "b" }],
    parents: ["p"],
  },
  { prompt: "The sky is", completion: " blue." },
  { text: "Some text.", id: 5 },
  {
    conversations: [
      { from: "human", value: "a" },
      { from: "function_call", value: '{"name": "f", "arguments": {}}' },
      { from: "observation", value: "1" },
      { from: "gpt", value: "b" },
    ],
    system: "s",
    tools: "[]",
  },
  { instruction: "Add.", input: "1 2", output: "3", history: [["a", "b"]] },
  { input_ids: [1, 2, 3], labels: [-100, 2, 3] },
  { input_ids: [1, 2, 3, 4], completion_mask: [0, 1, 1, 1], seq_lengths: [2, 2] },
];
/** JSON that JSON.stringify never writes, for the values RAW0, RAW1, ... */
const RAW = [
  "1e999",
  '{"__proto__":{}}',
  '{"a":1,"a":2}',
  '"\\ud800"',
  "9".repeat(400),
  "[".repeat(300),
  '"\\u0000"',
];
/** What a changed field becomes. */
const VALUES: readonly unknown[] = [
  null,
  "",
  " ",
  "x",
  0,
  -1,
  1e308,
  true,
  [],
  {},
  [[]],
  [null],
  "[",
  '{"a":1,"a":2}',
  "__proto__",
  ...RAW.map((_, i) => `RAW${i}`),
  ROWS[0],
];
/** What is put between tokens of the text. */
const TEXTS = [
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  '"',
  "\\",
  "\n",
  "\r\n",
  "\0",
  "\ufeff",
  "1e999",
  "-",
  '"__proto__":',
  "\\ud800",
  "[".repeat(300),
  "null",
];

/** The value with one field of it, or itself, replaced, removed or doubled. */
function changed(value: unknown, next: () => number): unknown {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
  if (typeof value !== "object" || value === null || next() < 0.1) return pick(VALUES);
  if (Array.isArray(value)) {
    const at = Math.floor(next() * value.length);
    const kind = next();
    if (kind < 0.15) return value.toSpliced(at, 1);
    if (kind < 0.3) return [...value, value[at]];
    return value.with === undefined || value.length === 0
      ? pick(VALUES)
      : value.with(at, changed(value[at], next));
  }
  const key = pick(Object.keys(value));
  if (key === undefined) return pick(VALUES);
  const { [key]: inner, ...rest } = value as Readonly<Record<string, unknown>>;
  const kind = next();
  if (kind < 0.1) return rest;
  if (kind < 0.2) return { ...rest, [pick(["role", "content", "labels", "weight", "parents", "x"])]: inner };
  return { ...rest, [key]: changed(inner, next) };
}

test("changed files give rows or a UserError", async () => {
  const texts = await loadTexts();
  const next = random(11);
  const folder = await folderWith({});
  const outcomes = { rows: 0, errors: 0, codes: new Set<string>() };
  for (let round = 0; round < ROUNDS; round++) {
    const rows = ROWS.map((row) => (next() < 0.15 ? changed(row, next) : row));
    let bytes = Buffer.from(
      rows
        .map((row) => JSON.stringify(row).replace(/"RAW(\d)"/g, (_, i) => RAW[Number(i)]!))
        .join(next() < 0.5 ? "\n" : "\r\n"),
    );
    if (next() < 0.4) {
      const at = Math.floor(next() * bytes.length);
      const text = TEXTS[Math.floor(next() * TEXTS.length)]!;
      bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(text), bytes.subarray(at)]);
    }
    const gzip = next() < 0.2;
    if (gzip) bytes = gzipSync(bytes, { level: 1 });
    if (next() < 0.3) bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
    if (next() < 0.1) bytes = bytes.subarray(0, Math.floor(next() * bytes.length));
    const path = join(folder, gzip ? "rows.jsonl.gz" : "rows.jsonl");
    await writeFile(path, bytes);
    const started = performance.now();
    try {
      const onBadRow = next() < 0.7 ? "reject" : "error";
      const lossOn = (["assistant", "completion", "everything"] as const)[round % 3]!;
      const { counts, rejects } = await loadSftRows(path, {
        ...texts,
        lossOn,
        maxLength: 400,
        onOverlong: "truncate",
        onBadRow,
      });
      const { read, kept, dropped, emptied, rejected } = counts;
      expect(read, `round ${round}`).toBe(kept + dropped + emptied + rejected);
      for (const { reason, remedy } of rejects) {
        outcomes.codes.add(reason);
        expect(remedy.includes("\n"), `round ${round}: ${remedy}`).toBe(false);
      }
      outcomes.rows++;
    } catch (error) {
      if (!(error instanceof UserError)) throw new Error(`round ${round}`, { cause: error });
      expect(error.message, `round ${round}`).toContain(path);
      outcomes.codes.add(error.code);
      outcomes.errors++;
    }
    expect(performance.now() - started, `round ${round}`).toBeLessThan(10_000);
  }
  // Each way out is taken, or the fuzzing tests nothing.
  expect(outcomes.rows).toBeGreaterThan(ROUNDS / 5);
  expect(outcomes.errors).toBeGreaterThan(ROUNDS / 5);
  expect([...outcomes.codes]).toEqual(
    expect.arrayContaining([
      "bad_line",
      "bad_row",
      "unknown_row",
      "unreadable_file",
      "roles_out_of_order",
      "empty_turn",
      "nothing_to_train",
    ]),
  );
});
