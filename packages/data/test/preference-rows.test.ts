import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type ChatMessage,
  type ChatTemplate,
  compileChatTemplate,
  loadChatTemplate,
  loadPreferenceRows,
  loadTokenizer,
  type PreferenceDatasetOptions,
  splitPairs,
  type TokenizedPair,
  type Tokenizer,
} from "../src/index.js";
import { fixture, folderWith, QWEN25_DIR, userError } from "./support/qwen25.js";
import { assistant, user } from "./support/rows.js";

let tokenizer: Tokenizer;
let template: ChatTemplate;
beforeAll(async () => {
  tokenizer = await loadTokenizer(QWEN25_DIR);
  template = await loadChatTemplate(QWEN25_DIR);
});

async function load(rows: readonly unknown[], options: Partial<PreferenceDatasetOptions> = {}) {
  const folder = await folderWith({ "rows.jsonl": rows.map((row) => `${JSON.stringify(row)}\n`).join("") });
  return loadPreferenceRows(join(folder, "rows.jsonl"), {
    tokenizer,
    template,
    prompt: "required",
    maxLength: 1000,
    onOverlong: "error",
    ...options,
  });
}

/** Prompt, chosen and rejected as text. */
async function texts(row: unknown, options: Partial<PreferenceDatasetOptions> = {}): Promise<string[]> {
  const { rows } = await load([row], options);
  return texted(rows[0]!);
}

const texted = ({ promptIds, chosenIds, rejectedIds }: TokenizedPair): string[] =>
  [promptIds, chosenIds, rejectedIds].map((ids) => tokenizer.decode([...ids]));

const head = (
  said: string,
  system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
): string =>
  `<|im_start|>system\n${system}<|im_end|>\n<|im_start|>user\n${said}<|im_end|>\n<|im_start|>assistant\n`;

describe("the forms of a row", () => {
  test("text: the end token once, spaces as they stand", async () => {
    const row = { prompt: "The sky is", chosen: " blue.", rejected: " green.<|im_end|>" };
    expect(await texts(row)).toEqual(["The sky is", " blue.<|im_end|>", " green.<|im_end|>"]);
    expect((await load([row])).counts).toMatchObject({
      formats: { explicit: 1 },
      tokens: 2 * 3 + 3 + 3,
      trainedTokens: 6,
    });
  });

  test("text without a prompt: what both begin with alike", async () => {
    expect(await texts({ chosen: "The sky is blue.", rejected: "The sky is green." })).toEqual([
      "The sky is",
      " blue.<|im_end|>",
      " green.<|im_end|>",
    ]);
    // TRL's split by characters stands where it is one of tokens: the space goes to the answers.
    expect(await texts({ chosen: "It is 7", rejected: "It is 8" })).toEqual([
      "It is",
      " 7<|im_end|>",
      " 8<|im_end|>",
    ]);
    // Where the characters part inside a token, the prompt ends before it.
    expect(await texts({ chosen: "A: You", rejected: "A: Young" })).toEqual([
      "A:",
      " You<|im_end|>",
      " Young<|im_end|>",
    ]);
    expect(await texts({ chosen: "Q: yes", rejected: "Q: yes and no" })).toEqual([
      "Q: yes",
      "<|im_end|>",
      " and no<|im_end|>",
    ]);
  });

  test("messages: the prompt with its generation prompt, sides as the template goes on", async () => {
    const expected = [head("a"), "b<|im_end|>\n", "c<|im_end|>\n"];
    const prompt = [user("a")];
    expect(await texts({ prompt, chosen: [assistant("b")], rejected: [assistant("c")] })).toEqual(expected);
    expect(await texts({ messages: prompt, chosen: assistant("b"), rejected: assistant("c") })).toEqual(
      expected,
    );
    expect(await texts({ prompt, chosen: "b", rejected: "c" })).toEqual(expected);
    const whole = { chosen: [...prompt, assistant("b")], rejected: [...prompt, assistant("c")] };
    expect(await texts(whole)).toEqual(expected);
    // As ultrafeedback_binarized has it: the prompt as text beside whole conversations.
    expect(await texts({ prompt: "a", ...whole })).toEqual(expected);
  });

  test("tools, a system turn, tool turns in an answer, further variables", async () => {
    const call = { role: "assistant", tool_calls: [{ function: { name: "f", arguments: '{"x": 1}' } }] };
    const row = {
      prompt: [{ role: "developer", content: "s" }, user("a")],
      chosen: [call, { role: "tool", content: "1" }, assistant("b")],
      rejected: [assistant("c")],
      tools: [{ type: "function", function: { name: "f" } }],
    };
    const [prompt, chosen, rejected] = await texts(row);
    expect(prompt).toContain('{"type": "function", "function": {"name": "f"}}');
    expect(chosen).toBe(
      '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\n1\n</tool_response><|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n',
    );
    expect(rejected).toBe("c<|im_end|>\n");
    const shouting = compileChatTemplate(
      "t",
      "{% for m in messages %}[{{ m.content | upper if loud else m.content }}]{% endfor %}{% if add_generation_prompt %}[{% endif %}",
      {},
    );
    const loud = { prompt: [user("a")], chosen: "b", rejected: "c", chat_template_kwargs: { loud: true } };
    expect((await texts(loud, { template: shouting }).catch((e: Error) => [e.message])).join(" ")).toMatch(
      /make one token|B\]/,
    );
  });

  test("ShareGPT and Alpaca as LLaMA-Factory ranks them", async () => {
    const conversations = [
      { from: "human", value: "a" },
      { from: "gpt", value: "b" },
      { from: "human", value: "c" },
    ];
    const row = {
      conversations,
      system: "s",
      chosen: { from: "gpt", value: "d" },
      rejected: { from: "gpt", value: "e" },
    };
    const before = `${head("a", "s")}b<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n`;
    expect(await texts(row)).toEqual([before, "d<|im_end|>\n", "e<|im_end|>\n"]);
    const alpaca = {
      instruction: "a",
      input: "x",
      chosen: "b",
      rejected: "c",
      system: "s",
      history: [["p", "q"]],
    };
    const asked = `${head("p", "s")}q<|im_end|>\n<|im_start|>user\na\nx<|im_end|>\n<|im_start|>assistant\n`;
    expect(await texts(alpaca)).toEqual([asked, "b<|im_end|>\n", "c<|im_end|>\n"]);
  });

  test("tokens, with a prompt or whole", async () => {
    const { rows, counts } = await load(
      [
        { prompt_ids: [1, 2], chosen_ids: [3], rejected_ids: [4, 5] },
        { chosen_ids: [1, 2, 3], rejected_ids: [1, 2] },
      ],
      { tokenizer: undefined, template: undefined },
    );
    const ids = rows.map((row) => [row.promptIds, row.chosenIds, row.rejectedIds].map((one) => [...one]));
    expect(ids).toEqual([
      [[1, 2], [3], [4, 5]],
      [[1], [2, 3], [2]],
    ]);
    expect(counts).toMatchObject({ read: 2, kept: 2, formats: { tokens: 2 }, tokens: 12, trainedTokens: 6 });
  });

  test("margins and the columns that are asked for travel with a row", async () => {
    const row = { chosen: "a b", rejected: "a c", margin: 0.5, parents: ["p"], label: { x: 1.5 }, other: 2 };
    const { rows } = await load([row, { ...row, margin: null, label: null, chosen: "a d" }], {
      columns: ["label", "toString"],
    });
    expect(rows[0]).toMatchObject({ line: 1, margin: 0.5, parents: ["p"], columns: { label: { x: 1.5 } } });
    expect(rows[1]).not.toHaveProperty("margin");
    expect(rows[1]).not.toHaveProperty("columns");
  });

  test("public files, whole", async () => {
    for (const [name, format] of [
      ["sharegpt", "sharegpt"],
      ["explicit", "explicit"],
      ["implicit", "implicit"],
    ] as const) {
      const file = await fixture<Record<string, unknown>>(`preferences/${name}.jsonl`);
      // As text, UltraFeedback's questions melt into their answers.
      const given = name === "explicit" ? file.map((row) => ({ ...row, prompt: `${row.prompt}\n` })) : file;
      const { rows, counts } = await load(given);
      expect(counts).toMatchObject({
        read: given.length,
        kept: given.length,
        formats: { [format]: given.length },
      });
      for (const [i, row] of rows.entries()) {
        const [prompt, chosen, rejected] = texted(row);
        if (name === "sharegpt") {
          const said = given[i] as { conversations: { value: string }[]; chosen: { value: string } };
          const messages: ChatMessage[] = [{ role: "user", content: said.conversations.at(-1)!.value }];
          expect(prompt?.endsWith(template.render(messages, { addGenerationPrompt: true }).slice(-40))).toBe(
            true,
          );
          expect(chosen).toBe(`${said.chosen.value}<|im_end|>\n`);
        } else {
          const said = given[i] as { prompt?: string; chosen: string; rejected: string };
          expect(prompt! + chosen!).toBe(`${said.prompt ?? ""}${said.chosen}<|im_end|>`);
          expect(prompt! + rejected!).toBe(`${said.prompt ?? ""}${said.rejected}<|im_end|>`);
        }
      }
    }
  });
});

describe("what a reward model may read", () => {
  test("sides that share nothing", async () => {
    expect(await texts({ chosen: "yes", rejected: "no" }, { prompt: "optional" })).toEqual([
      "",
      "yes<|im_end|>",
      "no<|im_end|>",
    ]);
    expect(await userError("prompts_differ", () => load([{ chosen: "yes", rejected: "no" }]))).toContain(
      "line 1: chosen and rejected have no token of a prompt in common",
    );
    // A prompt that melts into its answer is a prompt all the same.
    const melting = { prompt: "The sky is ", chosen: "blue.", rejected: "green." };
    expect((await texts(melting, { prompt: "optional" })).slice(1)).toEqual([
      " blue.<|im_end|>",
      " green.<|im_end|>",
    ]);
    expect(await userError("prompt_not_prefix", () => load([melting]))).toMatch(
      /prompt and chosen together: Token 3 is " " \(id 220\)/,
    );
  });
});

describe("bad rows", () => {
  const pair = { prompt: [user("a")], chosen: [assistant("b")], rejected: [assistant("c")] };
  test.each<[string, object, string]>([
    ["no_difference", { ...pair, rejected: pair.chosen }, "chosen and rejected are the same"],
    ["no_difference", { chosen: "a b", rejected: "a b" }, "the same"],
    ["no_difference", { prompt_ids: [1], chosen_ids: [2], rejected_ids: [2] }, "the same"],
    // One character, written in two ways: the same tokens.
    ["no_difference", { prompt: "a", chosen: "\u00e9", rejected: "e\u0301" }, "the same"],
    ["only_white_space", { ...pair, rejected: [assistant(" b\n")] }, "white space alone"],
    ["only_white_space", { prompt: "a", chosen: "x y", rejected: "x  y" }, "white space alone"],
    [
      "prompts_differ",
      { chosen: [user("a"), assistant("b")], rejected: [user("x"), assistant("c")] },
      "chosen[0] is a user turn, rejected[0] is a user turn",
    ],
    [
      "prompts_differ",
      { chosen: [user("a"), assistant("b")], rejected: [user("a")] },
      "part before an answer",
    ],
    [
      "prompts_differ",
      { prompt: "z", chosen: [user("a"), assistant("b")], rejected: [user("a"), assistant("c")] },
      "prompt is a text that no user turn",
    ],
    ["prompts_differ", { prompt_ids: [], chosen_ids: [1], rejected_ids: [2] }, "no token of a prompt"],
    ["bad_row", { ...pair, margin: "NaN" }, 'margin: expected a finite number, came a string "NaN"'],
    [
      "bad_row",
      { ...pair, rejected: "c", chosen: 5 },
      "chosen: expected a list of messages, came a number 5",
    ],
    ["bad_row", { prompt: "a", chosen: "b", rejected: ["c"] }, "rejected"],
    [
      "bad_row",
      { chosen: "a b", rejected: [assistant("c")] },
      "rejected: expected text, as the other side is",
    ],
    [
      "bad_row",
      { chosen: "a b", rejected: 5 },
      "rejected: expected text, as the other side is, came a number 5",
    ],
    ["bad_row", { prompt_ids: [1], chosen_ids: [2, -1], rejected_ids: [3] }, "chosen_ids[1]"],
    ["bad_row", { ...pair, images: ["x"] }, "column images is not supported"],
    [
      "roles_out_of_order",
      { ...pair, chosen: [user("a"), assistant("b")] },
      "chosen[0].role: expected assistant, came user. chosen repeats the prompt",
    ],
    [
      "roles_out_of_order",
      { ...pair, chosen: [assistant("b"), user("x"), assistant("y")] },
      "chosen[1] is a user turn, and would be learnt",
    ],
    [
      "roles_out_of_order",
      { ...pair, prompt: [user("a"), assistant("b")] },
      "chosen[0].role: expected user or tool",
    ],
    [
      "bad_row",
      { ...pair, chosen: [{ ...assistant("b"), weight: 0 }] },
      "chosen[0].loss_weight: expected 1 or nothing",
    ],
    ["empty_turn", { ...pair, rejected: [assistant("")] }, "rejected[0].content: expected an answer"],
    ["empty_turn", { prompt: "a", chosen: "b", rejected: " " }, "rejected: expected text"],
    ["empty_turn", { instruction: "a", chosen: "b", rejected: "" }, "rejected: expected an answer"],
    [
      "unknown_row",
      { question: "a", response_j: "b", response_k: "c" },
      "Rename response_j and response_k to chosen",
    ],
    ["unknown_row", { prompt: "a", chosen: "b" }, "It has chosen alone"],
    ["unknown_row", { messages: [user("a")] }, "a row of fine-tuning (sft)"],
    ["unknown_row", { prompt: "a", label: true }, "unpaired preference"],
    [
      "special_token_in_content",
      { ...pair, rejected: [assistant("<|im_end|>")] },
      "rejected[0].content has <|im_end|>",
    ],
  ])("%s: %j", async (code, row, text) => {
    const message = await userError(code, () => load([row], { specialTokens: "error" }));
    expect(message).toContain("rows.jsonl, line 1: ");
    expect(message).toContain(text);
    const { rows, rejects, counts } = await load([row], { specialTokens: "error", onBadRow: "reject" });
    expect([rows.length, counts.rejected, counts.reasons, rejects[0]?.reason]).toEqual([
      0,
      1,
      { [code]: 1 },
      code,
    ]);
  });

  test("an answer that is chosen in one row and rejected in another", async () => {
    const row = { prompt: "a", chosen: " b", rejected: " c" };
    const rows = [
      row,
      row,
      { prompt: "z", chosen: " c", rejected: " b" },
      { prompt: "a", chosen: " c", rejected: " b" },
    ];
    expect(await userError("contradiction", () => load(rows))).toContain(
      "rows.jsonl, line 4: line 1 prefers these two the other way round",
    );
    const { counts, rows: kept } = await load(rows, { onBadRow: "reject" });
    expect(kept.map(({ line }) => line)).toEqual([1, 2, 3]);
    expect(kept[1]!.id).toBe(`${kept[0]!.id}#2`);
    expect(counts).toMatchObject({ read: 4, kept: 3, rejected: 1, formats: { explicit: 3 } });
  });

  test("a template that renders the prompt otherwise once it is answered, or melts into the answer", async () => {
    const row = { prompt: [user("a")], chosen: "b", rejected: "c" };
    const rewriting = compileChatTemplate(
      "t",
      "{{ messages | length }}{% for m in messages %}\n{{ m.content }}{% endfor %}\n",
      {},
    );
    expect(await userError("prompt_not_prefix", () => load([row], { template: rewriting }))).toContain(
      "The template t renders the conversation differently once the answer follows",
    );
    const melting = compileChatTemplate("t", "{% for m in messages %}{{ m.content }} {% endfor %}", {});
    expect(
      await userError("prompt_not_prefix", () => load([{ ...row, chosen: "bc" }], { template: melting })),
    ).toContain("make one token");
  });

  test("special tokens as text", async () => {
    const row = { prompt: [user("a")], chosen: [assistant("<|im_end|>")], rejected: [assistant("c")] };
    const { rows, contentTokens } = await load([row], { specialTokens: "text" });
    expect([...rows[0]!.chosenIds].filter((id) => tokenizer.isSpecial(id))).toHaveLength(1);
    expect(contentTokens).toMatchObject([
      { token: "<|im_end|>", rows: 1, examples: [{ field: "chosen[0].content" }] },
    ]);
  });
});

describe("long rows", () => {
  const rows = [
    { prompt_ids: [1, 2], chosen_ids: [3, 4], rejected_ids: [5] },
    { prompt_ids: [1, 2], chosen_ids: [3, 4, 6], rejected_ids: [5] },
    { prompt_ids: [1, 2], chosen_ids: [7, 8, 3], rejected_ids: [7, 8, 9] },
    { prompt_ids: [1, 2, 3, 4], chosen_ids: [5], rejected_ids: [6] },
  ];
  const tokens = { tokenizer: undefined, template: undefined, maxLength: 4 };

  test("error, drop, truncate; each is counted, and a prompt that would be cut by name", async () => {
    expect(await userError("row_too_long", () => load(rows, tokens))).toContain(
      "line 2: 5 tokens of prompt and longer side, the longest row allowed has 4",
    );
    const all = await load(rows, { ...tokens, onBadRow: "reject" });
    expect(all.counts).toMatchObject({ kept: 1, overlong: 3, rejected: 3, reasons: { row_too_long: 3 } });
    const dropped = await load(rows, { ...tokens, onOverlong: "drop" });
    expect(dropped.counts).toMatchObject({
      kept: 1,
      overlong: 3,
      dropped: 3,
      tokens: 7,
      trainedTokens: 3,
      lostTrainedTokens: 4 + 6 + 2,
    });
    const cut = await load(rows, { ...tokens, onOverlong: "truncate" });
    expect(cut.rows.map(({ line, chosenIds }) => [line, ...chosenIds])).toEqual([
      [1, 3, 4],
      [2, 3, 4],
    ]);
    expect(cut.counts).toMatchObject({
      read: 4,
      kept: 2,
      overlong: 3,
      truncated: 1,
      emptied: 2,
      reasons: { truncated: 1, emptied: 1, prompt_cut: 1 },
      lostTrainedTokens: 1 + 6 + 2,
    });
    expect(cut.rejects.map(({ remedy }) => remedy)).toMatchObject([
      expect.stringContaining("cut, which lost 1 trained tokens"),
      expect.stringContaining("both sides would be the same after the cut"),
      expect.stringContaining(
        "4 tokens of prompt, max_length is 4: left out, as the cut would take of the prompt",
      ),
    ]);
  });

  test("the model's context is a limit of its own", async () => {
    const options = { ...tokens, maxLength: 100, context: 4 };
    expect(await userError("row_too_long", () => load(rows, options))).toContain(
      "the model's context holds 4",
    );
  });

  test("texts far too long are cut to what cutting the whole gives", async () => {
    const long = (word: string): string => `${word} `.repeat(120_000);
    const row = { prompt: "Say:", chosen: ` ${long("one")}`, rejected: " two" };
    const { rows: cut, counts } = await load([row], { maxLength: 50, onOverlong: "truncate" });
    const whole = await load([row], { maxLength: 1e6 });
    expect([...cut[0]!.chosenIds]).toEqual([
      ...whole.rows[0]!.chosenIds.slice(0, 50 - cut[0]!.promptIds.length),
    ]);
    expect([...cut[0]!.rejectedIds]).toEqual([...whole.rows[0]!.rejectedIds]);
    expect(counts).toMatchObject({ truncated: 1, kept: 1 });
    const asked = { prompt: long("one"), chosen: " a", rejected: " b" };
    expect((await load([asked], { maxLength: 50, onOverlong: "truncate" })).counts.reasons).toEqual({
      prompt_cut: 1,
    });
  });

  test("ids outside the model's vocabulary", async () => {
    expect(
      await userError("id_out_of_range", () => load(rows, { ...tokens, maxLength: 9, vocabSize: 8 })),
    ).toContain("line 3: chosen_ids");
  });
});

test("held-out pairs share no prompt with those that train", async () => {
  const ids = (prompt: number, chosen: number) => ({
    prompt_ids: [prompt],
    chosen_ids: [chosen],
    rejected_ids: [99],
  });
  const { rows } = await load(
    [0, 1, 2, 3, 4].flatMap((prompt) => [ids(prompt, 7), ids(prompt, 8)]),
    {
      tokenizer: undefined,
    },
  );
  const { train, validation } = splitPairs(rows, 4, 42);
  expect([train.length, validation.length]).toEqual([6, 4]);
  const prompts = (pairs: readonly TokenizedPair[]) => new Set(pairs.map(({ promptIds }) => promptIds[0]));
  expect([...prompts(validation)].some((prompt) => prompts(train).has(prompt))).toBe(false);
});
