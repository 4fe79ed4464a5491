/** Other projects' expected ids, masks, labels and positions, through the whole path from row to tokens. */
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  type ChatMessage,
  compileChatTemplate,
  encodeConversation,
  loadSftRows,
  loadTokenizer,
} from "../src/index.js";
import { fixture, folderWith, qwenTokenizerFile } from "./support/qwen25.js";

interface Vocabulary {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly string[];
}

async function tokenizerOf({ vocab, merges }: Vocabulary, special: Readonly<Record<string, number>>) {
  return loadTokenizer(await folderWith({ "tokenizer.json": qwenTokenizerFile(vocab, merges, special) }));
}

test("transformers' toy vocabulary for Qwen2", async () => {
  type Case = Vocabulary & {
    special_tokens: Record<string, number>;
    text: string;
    ids: number[];
    decoded?: string;
  };
  const [vocabulary, ...cases] = await fixture<Case>("qwen2-toy-bpe/cases.jsonl");
  const tokenizer = await tokenizerOf(vocabulary!, vocabulary!.special_tokens);
  expect(cases.length).toBeGreaterThan(0);
  for (const { text, ids, decoded } of cases) {
    expect(await tokenizer.encode(text), text).toEqual(ids);
    if (decoded !== undefined) expect(tokenizer.decode(ids)).toBe(decoded);
  }
});

/** ChatML without a default system prompt; `open`: the last turn has no end token. */
const torchtune = (open: boolean): string =>
  "{% for m in messages %}" +
  "<|im_start|>{{ 'user' if m.role == 'tool' else m.role }}\n" +
  "{% if m.called %}<tool_call>\n{{ m.content }}\n</tool_call>{% elif m.role == 'tool' %}<tool_response>\n{{ m.content }}\n</tool_response>{% else %}{{ m.content }}{% endif %}" +
  `{% if not loop.last %}<|im_end|>\n{% elif not ${open} %}<|im_end|>{% endif %}{% endfor %}` +
  "{% if add_generation_prompt %}<|im_end|>\n<|im_start|>assistant\n{% endif %}";

test("torchtune's ids and masks for ChatML", async () => {
  type Case = Vocabulary & {
    id: string;
    messages: { role: string; content: string; ipython?: boolean }[];
    expected_ids: number[];
    expected_mask?: boolean[];
    special_ids: Record<string, number>;
  };
  const [vocabulary, ...cases] = await fixture<Case>("torchtune-qwen/cases.jsonl");
  expect(cases).toHaveLength(2);
  for (const { id, messages, expected_ids, expected_mask, special_ids } of cases) {
    const tokenizer = await tokenizerOf(vocabulary!, special_ids);
    const end = special_ids["<|im_end|>"];
    const template = compileChatTemplate(id, torchtune(expected_ids.at(-1) !== end), {});
    const turns = messages.map(({ role, content, ipython }) => ({
      role: role === "ipython" ? "tool" : role,
      content,
      called: ipython === true && role === "assistant",
    })) as unknown as ChatMessage[];
    const text = template.render(turns, { addGenerationPrompt: false });
    expect(await tokenizer.encode(text), id).toEqual(expected_ids);
    if (!expected_mask) continue;
    const { labels } = await encodeConversation(tokenizer, template, turns);
    // torchtune trains the opening of the turn too, which here is the prompt's: it starts after it.
    const opening = (await tokenizer.encode("<|im_start|>assistant\n")).length;
    const first = expected_mask.indexOf(false) + opening;
    expect(
      labels.map((label) => label === -100),
      id,
    ).toEqual(expected_mask.map((masked, i) => masked || i < first));
  }
});

interface CollatorCase {
  readonly id: string;
  readonly collator: string;
  readonly config: { readonly padding_free?: boolean };
  readonly examples: readonly Readonly<Record<string, unknown>>[];
  readonly expected: {
    readonly input_ids?: readonly (readonly number[])[];
    readonly labels?: readonly (readonly number[])[];
    readonly position_ids?: readonly (readonly number[])[];
  };
}

test("TRL's language-modelling collator: ids, labels, positions", async () => {
  const cases = (await fixture<CollatorCase>("trl-collator/cases.jsonl")).filter(
    ({ collator }) => collator === "DataCollatorForLanguageModeling",
  );
  expect(cases).toHaveLength(6);
  for (const { id, config, examples, expected } of cases) {
    const path = join(
      await folderWith({ "rows.jsonl": examples.map((row) => JSON.stringify(row)).join("\n") }),
      "rows.jsonl",
    );
    const { rows } = await loadSftRows(path, {
      tokenizer: undefined,
      template: undefined,
      lossOn: "assistant",
      maxLength: 100,
      onOverlong: "error",
    });
    // Nothing is padded or run together here, and no row trains its first token, which nothing precedes; of rows
    // that were packed elsewhere each sequence is one, without those that have nothing to train.
    const lengths = examples.map(
      (row) => (row.seq_lengths ?? [(row.input_ids as number[]).length]) as number[],
    );
    const unpadded = (batch: readonly (readonly number[])[]): number[][] =>
      (config.padding_free ? lengths.flat().map((length) => [length]) : lengths).flatMap((cuts, r) => {
        const all = config.padding_free ? batch.flat().slice(sum(lengths.flat().slice(0, r))) : batch[r]!;
        return cuts.map((length, i) => all.slice(sum(cuts.slice(0, i)), sum(cuts.slice(0, i)) + length));
      });
    const labels = unpadded(expected.labels!).map((row) => [-100, ...row.slice(1)]);
    const kept = labels.map((row) => row.some((label) => label !== -100));
    const only = (batch: readonly (readonly number[])[]) => unpadded(batch).filter((_, i) => kept[i]);
    expect(
      rows.map((row) => [...row.inputIds]),
      id,
    ).toEqual(only(expected.input_ids!));
    expect(
      rows.map((row) => [-100, ...row.labels.slice(1)]),
      id,
    ).toEqual(labels.filter((_, i) => kept[i]));
    if (!expected.position_ids) continue;
    expect(
      rows.map((row) => [...row.inputIds.keys()]),
      id,
    ).toEqual(only(expected.position_ids));
  }
});

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
