// The text of an answer as it arrives: the same whole, in pieces and before a stop string, wherever tokens are cut.
import { expect, it } from "vitest";
import { answerText, createAnswerText, stopWatch } from "../src/answer-text.js";
import { loadTokenizer } from "../src/tokenizer.js";
import { QWEN25_DIR } from "./support/qwen25.js";

const tokenizer = await loadTokenizer(QWEN25_DIR);
const id = (token: string): number => tokenizer.idOf(token)!;

it("without a stop it is the decoded text, special tokens left out or shown", async () => {
  const ids = await tokenizer.encode("Grüße 👋🏽<|im_end|>, 你好 <tool_call>");
  expect(answerText(tokenizer, ids, {})).toBe(tokenizer.decode(ids, { skipSpecialTokens: true }));
  expect(answerText(tokenizer, ids, { skipSpecialTokens: false })).toBe(tokenizer.decode(ids));
  // Cut inside an emoji.
  expect(answerText(tokenizer, ids.slice(0, 4), {})).toBe(tokenizer.decode(ids.slice(0, 4)));
});

it.each<[text: string, stop: readonly string[], expected: string]>([
  ["one two three", ["two"], "one "],
  // Over the border of tokens, and from the middle of one.
  ["The answer is 72.\nUser: next", ["\nUser:"], "The answer is 72."],
  ["international", ["nation"], "inter"],
  ["a👋🏽b", ["👋🏽"], "a"],
  ["a👋🏽b", ["🏽"], "a👋"],
  // The first that is complete, and of two that are the one that begins first.
  ["abcabd", ["abd", "cab"], "ab"],
  ["xaab", ["aab", "ab"], "x"],
  ["no such thing", ["never", "ng!"], "no such thing"],
  ["stop", ["stop"], ""],
  ["one<|im_end|>two", ["<|im_end|>"], "one"],
  ["one<|im_end|>\n<|im_start|>two", ["|>\n<"], "one"],
])("%j until %j", async (text, stop, expected) => {
  const ids = await tokenizer.encode(text);
  expect(answerText(tokenizer, ids, { stop })).toBe(expected);
  // Nothing that was said is taken back, and nothing after the stop is said.
  const answer = createAnswerText(tokenizer, { stop });
  let said = "";
  for (const one of ids) {
    said += answer.push(one);
    expect(expected.startsWith(said)).toBe(true);
  }
  expect(said + answer.flush()).toBe(expected);
  expect(answer.stopped).toBe(stop.some((string) => text.includes(string)));
  if (answer.stopped) expect(answer.push(ids[0]!) + answer.flush()).toBe("");
});

it("a token that ends answers is no part of their text, special or not", async () => {
  const ids = [...(await tokenizer.encode("Yes")), id("</tool_call>")];
  expect(answerText(tokenizer, ids, {})).toBe("Yes</tool_call>");
  expect(answerText(tokenizer, ids, { stopIds: [id("</tool_call>")] })).toBe("Yes");
});

it("the watch tells sequences apart", async () => {
  const [a, b] = (await tokenizer.encodeBatch(["one stop", "one st"])) as [number[], number[]];
  const isEnd = stopWatch(tokenizer, ["e stop"])!;
  expect(a.map((one) => isEnd(0, 0, one))).toEqual(a.map((_, i) => i === a.length - 1));
  expect(b.map((one) => isEnd(0, 1, one))).toEqual(b.map(() => false));
  expect(isEnd(1, 1, a.at(-1)!)).toBe(false);
  expect(stopWatch(tokenizer, [])).toBeUndefined();
});
