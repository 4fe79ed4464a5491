// With what trained turns end: read from labels, for rows of every kind and templates of every taste.
import { expect, it } from "vitest";
import { compileChatTemplate } from "../src/chat-template.js";
import { encodeConversation } from "../src/conversation.js";
import { loadTokenizer } from "../src/tokenizer.js";
import { templateEnd, turnEndsOf } from "../src/turn-ends.js";
import { QWEN25_DIR } from "./support/qwen25.js";

const tokenizer = await loadTokenizer(QWEN25_DIR);
const [imEnd, endOfText, toolCallEnd] = ["<|im_end|>", "<|endoftext|>", "</tool_call>"].map(
  (token) => tokenizer.idOf(token)!,
) as [number, number, number];

const chat = (end: string, tokens = {}) =>
  compileChatTemplate(
    "t",
    `{% for m in messages %}[{{ m.role }}]\n{{ m.content }}${end}\n{% endfor %}{% if add_generation_prompt %}[assistant]\n{% endif %}`,
    tokens,
  );
const conversation = (...answers: readonly string[]) =>
  answers.flatMap((content) => [
    { role: "user" as const, content: "Why?" },
    { role: "assistant" as const, content },
  ]);
const row = (ids: readonly number[], labels: readonly number[] = ids) => ({
  ids,
  labels: Int32Array.from(labels),
});

async function endsOf(template: ReturnType<typeof chat>, lossOn: "assistant" | "completion" | "everything") {
  const rows = await Promise.all(
    [conversation("So.", "Thus."), conversation("Because")].map(async (messages) => {
      const { labels } = await encodeConversation(tokenizer, template, messages, { lossOn });
      return { labels: Int32Array.from(labels) };
    }),
  );
  return turnEndsOf(rows, tokenizer, template);
}

it.each([
  ["assistant", 3],
  ["completion", 2],
  // The whole row is one run, and the line feed behind its last turn is trained.
  ["everything", 2],
] as const)("the template's end token, with loss on %s", async (lossOn, turns) => {
  const { ends, template } = await endsOf(chat("<|im_end|>"), lossOn);
  expect(ends).toEqual([{ id: imEnd, token: "<|im_end|>", turns }]);
  expect(template).toEqual({ text: "<|im_end|>", id: imEnd });
});

it("the end that eos_token spells, and an added token that is not special", async () => {
  const eos = await endsOf(chat("{{ eos_token }}", { eos_token: "<|endoftext|>" }), "assistant");
  expect(eos.ends).toEqual([{ id: endOfText, token: "<|endoftext|>", turns: 3 }]);
  expect(tokenizer.isSpecial(toolCallEnd)).toBe(false);
  const added = await endsOf(chat("</tool_call>"), "assistant");
  expect(added.ends).toEqual([{ id: toolCallEnd, token: "</tool_call>", turns: 3 }]);
});

it("no end token: none at all, or one that is several tokens", async () => {
  const none = await endsOf(chat(""), "assistant");
  expect(none).toMatchObject({ turns: 3, ends: [], template: { text: "", id: undefined } });
  const several = await endsOf(chat("</s>"), "assistant");
  expect(several).toMatchObject({ turns: 3, ends: [], template: { text: "</s>", id: undefined } });
  // A word of the vocabulary would stop at any place where it is written.
  expect(templateEnd(tokenizer, chat("."))).toEqual({ text: ".", id: undefined });
});

it("a template that refuses the probe, or writes no answer, says nothing", () => {
  expect(templateEnd(tokenizer, compileChatTemplate("t", "{{ raise_exception('no') }}", {}))).toBeUndefined();
  expect(templateEnd(tokenizer, compileChatTemplate("t", "{{ messages[0].content }}", {}))).toBeUndefined();
});

it("rows of tokens: special tokens at the ends of runs; a cut teaches none", () => {
  const word = tokenizer.idOf("Hello")!;
  const rows = [
    ...Array.from({ length: 50 }, () => row([word, word, imEnd])),
    ...Array.from({ length: 5 }, () => row([word, word, endOfText])),
    // One that somebody cut where a turn opens.
    row([word, word, tokenizer.idOf("<|im_start|>")!]),
    row([word, imEnd, word, word], [-100, imEnd, -100, word]),
  ];
  const { turns, ends } = turnEndsOf(rows, tokenizer, undefined);
  expect(turns).toBe(58);
  expect(ends.map(({ id, turns }) => [id, turns])).toEqual([
    [imEnd, 51],
    [endOfText, 5],
  ]);
});

it("without a tokenizer only an id that ends every turn is an end", () => {
  const same = [row([5, 6, 9]), row([7, 9])];
  expect(turnEndsOf(same, undefined, undefined).ends).toEqual([{ id: 9, token: undefined, turns: 2 }]);
  expect(turnEndsOf([...same, row([7, 8])], undefined, undefined).ends).toEqual([]);
  // Nothing predicts the first token, so it ends no turn.
  expect(turnEndsOf([row([9, 1], [9, -100])], undefined, undefined)).toMatchObject({
    turns: 0,
    ends: [],
  });
});
