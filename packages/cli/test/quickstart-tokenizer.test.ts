// The tokenizer made on the spot, read back by the library that reads every other one.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeConversation, loadChatTemplate, loadTokenizer } from "@posttrain/data";
import { arithmeticProblem, arithmeticRow, longOperands } from "@posttrain/sft";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tinyTokenizer } from "../src/quickstart/tiny-tokenizer.js";

let dir = "";
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "posttrain-tiny-"));
  for (const [name, text] of Object.entries(tinyTokenizer().files)) await writeFile(join(dir, name), text);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test("the words of every conversation are one token each, digits too", async () => {
  const tokenizer = await loadTokenizer(dir);
  const text =
    "<|im_start|>user\nWhat is 385 + 47?<|im_end|>\n<|im_start|>assistant\n5+7=12\nAnswer: 432<|im_end|>";
  const pieces = (await tokenizer.encode(text)).map((id) => tokenizer.decode([id]));
  expect(pieces.join("|")).toBe(
    "<|im_start|>|user|\n|What| is| |3|8|5| +| |4|7|?|<|im_end|>|\n|<|im_start|>|assistant|\n|5|+|7|=|1|2|\n|Answer|:| |4|3|2|<|im_end|>",
  );
});

test("any text comes back as it was", async () => {
  const tokenizer = await loadTokenizer(dir);
  const text = "Grüße, 你好 🎉\t\u0000\u007f system users assistants \r\n\n  Answers -7 * 6 <|endoftext|>";
  const ids = await tokenizer.encode(text);
  expect(tokenizer.decode(ids)).toBe(text);
  expect(Math.max(...ids)).toBeLessThan(tokenizer.size);
});

test("ids are as the model's config takes them", async () => {
  const tokenizer = await loadTokenizer(dir);
  const { size, endOfText, endOfTurn } = tinyTokenizer();
  expect(tokenizer.size).toBe(size);
  expect(tokenizer.idOf("<|endoftext|>")).toBe(endOfText);
  expect(tokenizer.idOf("<|im_end|>")).toBe(endOfTurn);
  expect(tokenizer.idOf("<|im_start|>")).toBe(endOfText + 1);
});

test("the answer and its end are trained, within the 64 tokens that an answer may take, with long operands too", async () => {
  const [tokenizer, template] = await Promise.all([loadTokenizer(dir), loadChatTemplate(dir)]);
  for (let index = 0; index < 300; index++) {
    const problem = arithmeticProblem(index, { seed: 1, split: "heldOut", lengths: longOperands });
    const { messages } = arithmeticRow(problem);
    const { labels } = await encodeConversation(tokenizer, template, messages);
    const trained = labels.filter((label) => label !== -100);
    expect(tokenizer.decode(trained)).toBe(`${messages[1].content}<|im_end|>`);
    expect(trained.length).toBeLessThan(64);
  }
});
