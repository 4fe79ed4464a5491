import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import {
  type ChatTemplate,
  loadChatTemplate,
  loadSftRows,
  loadTokenizer,
  type SftDatasetOptions,
  summarizeRejects,
  type Tokenizer,
} from "../src/index.js";
import { folderWith, QWEN25_DIR, qwenTokenizerFile, userError } from "./support/qwen25.js";

let tokenizer: Tokenizer;
let template: ChatTemplate;
beforeAll(async () => {
  tokenizer = await loadTokenizer(QWEN25_DIR);
  template = await loadChatTemplate(QWEN25_DIR);
});

const TOKENS: SftDatasetOptions = {
  tokenizer: undefined,
  template: undefined,
  lossOn: "assistant",
  maxLength: 4,
  onOverlong: "error",
};

async function load(rows: readonly unknown[], options: Partial<SftDatasetOptions> = {}) {
  const folder = await folderWith({ "rows.jsonl": rows.map((row) => `${JSON.stringify(row)}\n`).join("") });
  return loadSftRows(join(folder, "rows.jsonl"), { ...TOKENS, ...options });
}

test("tokenised rows load without a tokenizer, in order, with ids and counts", async () => {
  const row = { input_ids: [7, 8, 9], labels: [7, -100, 9] };
  const { rows, counts } = await load([row, { input_ids: [1, 2], completion_mask: [0, 1] }, row]);
  expect(rows.map(({ line, inputIds, labels }) => [line, [...inputIds], [...labels]])).toEqual([
    [1, [7, 8, 9], [7, -100, 9]],
    [2, [1, 2], [-100, 2]],
    [3, [7, 8, 9], [7, -100, 9]],
  ]);
  expect(rows[2]?.id).toBe(`${rows[0]?.id}#2`);
  expect(new Set(rows.map((one) => one.id)).size).toBe(3);
  // The label at position 0 is predicted from nothing: it does not count.
  expect(counts).toEqual({
    read: 3,
    kept: 3,
    overlong: 0,
    dropped: 0,
    truncated: 0,
    emptied: 0,
    rejected: 0,
    reasons: {},
    formats: { tokens: 3 },
    tokens: 8,
    trainedTokens: 3,
    lostTrainedTokens: 0,
  });
});

test("messages rows are rendered, tokenised and masked; both kinds may share a file", async () => {
  const messages = [
    { role: "system", content: "s" },
    { role: "user", content: "hi" },
    { role: "assistant", content: "Hello" },
  ];
  let loads = 0;
  const { rows, counts } = await load([{ messages }, { input_ids: [1, 2] }, { messages, tools: [] }], {
    tokenizer: async () => {
      loads++;
      return tokenizer;
    },
    template,
    maxLength: 100,
  });
  expect(loads).toBe(1);
  expect(rows.map((row) => row.inputIds.length)).toEqual([18, 2, 18]);
  expect([...(rows[0]?.labels ?? [])].filter((label) => label !== -100)).toEqual([9707, 151645]);
  expect(counts).toMatchObject({ tokens: 38, trainedTokens: 2 + 1 + 2 });
});

test("a messages row without a tokenizer or template says so", async () => {
  const row = {
    messages: [
      { role: "user", content: "hi" },
      { role: "assistant", content: "Hello" },
    ],
  };
  expect(await userError("missing_tokenizer", () => load([{ input_ids: [1, 2] }, row]))).toContain(
    "rows.jsonl, line 2: ",
  );
  expect(await userError("missing_template", () => load([row], { tokenizer }))).toContain("chat template");
});

test("overlong rows: error, drop, truncate; each is counted", async () => {
  const rows = [
    { input_ids: [1, 2, 3, 4] },
    { input_ids: [1, 2, 3, 4, 5, 6] },
    { input_ids: [1, 2, 3, 4, 5], completion_mask: [0, 0, 0, 0, 1] },
    { input_ids: [1, 2, 3, 4, 5], completion_mask: [0, 0, 1, 0, 1] },
  ];
  expect(await userError("row_too_long", () => load(rows))).toContain(
    "line 2: 6 tokens, the longest row allowed has 4",
  );
  const dropped = await load(rows, { onOverlong: "drop" });
  expect(dropped.rows.map((row) => row.line)).toEqual([1]);
  expect(dropped.counts).toEqual({
    read: 4,
    kept: 1,
    overlong: 3,
    dropped: 3,
    truncated: 0,
    emptied: 0,
    rejected: 0,
    reasons: { dropped: 3 },
    formats: { tokens: 4 },
    tokens: 4,
    trainedTokens: 3,
    lostTrainedTokens: 5 + 1 + 2,
  });
  const cut = await load(rows, { onOverlong: "truncate" });
  expect(cut.rows.map((row) => [row.line, [...row.inputIds]])).toEqual([
    [1, [1, 2, 3, 4]],
    [2, [1, 2, 3, 4]],
    [4, [1, 2, 3, 4]],
  ]);
  expect(cut.counts).toEqual({
    read: 4,
    kept: 3,
    overlong: 3,
    dropped: 0,
    truncated: 2,
    emptied: 1,
    rejected: 0,
    reasons: { truncated: 2, emptied: 1 },
    formats: { tokens: 4 },
    tokens: 12,
    trainedTokens: 3 + 3 + 1,
    lostTrainedTokens: 2 + 1 + 1,
  });
});

test("rows that cannot be trained name their line", async () => {
  expect(
    await userError("nothing_to_train", () =>
      load([{ input_ids: [1, 2] }, { input_ids: [1, 2], labels: [1, -100] }]),
    ),
  ).toContain("line 2: ");
  expect(await userError("nothing_to_train", () => load([{ input_ids: [1] }]))).toContain("line 1: ");
  const orphan = { messages: [{ role: "user", content: "hi" }] };
  expect(await userError("nothing_to_train", () => load([orphan], { tokenizer, template }))).toContain(
    "line 1: The conversation has no assistant turn",
  );
  const refused = {
    messages: [
      { role: "user", content: "hi" },
      { role: "assistant", content: "\nx" },
    ],
  };
  expect(
    await userError("prompt_not_prefix", () => load([refused], { tokenizer, template, maxLength: 99 })),
  ).toContain("line 1: messages[1]");
});

test("ids outside the model's vocabulary name column, place and id", async () => {
  expect((await load([{ input_ids: [1, 99], labels: [-100, 99] }], { vocabSize: 100 })).counts.kept).toBe(1);
  expect(
    await userError("id_out_of_range", () => load([{ input_ids: [1, 100] }], { vocabSize: 100 })),
  ).toContain("line 1: input_ids[1] is 100");
  expect(
    await userError("id_out_of_range", () =>
      load([{ input_ids: [1, 2], labels: [1, 100] }], { vocabSize: 100 }),
    ),
  ).toContain("labels[1] is 100");
  expect(await userError("id_out_of_range", () => load([{ input_ids: [1, 2 ** 31] }]))).toContain(
    "input_ids[1]",
  );
});

test("bad rows can be collected instead: reasons, lines, tokens, remedies", async () => {
  const chat = (answer: string) => ({
    messages: [
      { role: "user", content: "hi" },
      { role: "assistant", content: answer },
    ],
  });
  const lines = [
    JSON.stringify(chat("ok")),
    "{broken",
    JSON.stringify({ question: 1 }),
    JSON.stringify(chat("\nx")),
    "",
    JSON.stringify({ input_ids: [1, 2, 3], labels: [-100, -100, 200_000] }),
    JSON.stringify({ input_ids: [1, 2], labels: [1, -100] }),
    JSON.stringify(chat("long ".repeat(100))),
    JSON.stringify(chat("ok")),
  ];
  const folder = await folderWith({ "rows.jsonl": lines.join("\n") });
  const path = join(folder, "rows.jsonl");
  const options = { ...TOKENS, tokenizer, template, maxLength: 60, vocabSize: 151_936 };
  const { rows, counts, rejects, digest } = await loadSftRows(path, { ...options, onBadRow: "reject" });
  expect(rows.map((row) => row.line)).toEqual([1, 9]);
  expect(rejects.map(({ line, reason, tokens }) => [line, reason, tokens])).toEqual([
    [2, "bad_line", null],
    [3, "unknown_row", null],
    [4, "prompt_not_prefix", null],
    [6, "id_out_of_range", null],
    [7, "nothing_to_train", null],
    [8, "row_too_long", 133],
  ]);
  for (const { line, remedy } of rejects) expect(remedy).toContain(`${path}, line ${line}`);
  expect(rejects.map(({ id }) => id === null)).toEqual([true, false, false, false, false, false]);
  expect(counts).toMatchObject({ read: 8, kept: 2, rejected: 6, overlong: 1, formats: { messages: 3 } });
  expect(counts.reasons).toEqual(Object.fromEntries(rejects.map(({ reason }) => [reason, 1])));
  expect(digest).toBe(createHash("sha256").update(lines.join("\n")).digest("hex"));

  // The default: the first bad row in the file's order is the error, found while rendering or by the tokenizer.
  expect(await userError("bad_line", () => loadSftRows(path, options))).toContain("line 2 ");
  for (const [from, code] of [
    [2, "unknown_row"],
    [3, "prompt_not_prefix"],
    [5, "id_out_of_range"],
    [6, "nothing_to_train"],
    [7, "row_too_long"],
  ] as const) {
    const later = await folderWith({ "rows.jsonl": lines.slice(from).join("\n") });
    await userError(code, () => loadSftRows(join(later, "rows.jsonl"), options));
  }
});

test("the reject file has one object a line; the summary counts reasons", async () => {
  const long = Array.from({ length: 1200 }, () => ({ input_ids: [1, 2, 3, 4, 5] }));
  const { rejects } = await load([{ input_ids: [1] }, ...long], {
    onOverlong: "truncate",
    onBadRow: "reject",
  });
  expect(rejects[1]).toMatchObject({ line: 2, reason: "truncated", tokens: 5 });
  expect(rejects[1]?.remedy).toContain("5 tokens, max_length is 4: cut, which lost 1 trained tokens");
  expect(rejects.at(-1)?.remedy).toBe("As line 2.");
  expect(summarizeRejects(rejects, 2)).toEqual([
    { reason: "truncated", count: 1200, examples: rejects.slice(1, 3) },
    { reason: "nothing_to_train", count: 1, examples: rejects.slice(0, 1) },
  ]);
});

test("digests change with what they stand for", async () => {
  const config = (eos: unknown) =>
    JSON.stringify({ eos_token: eos, chat_template: "{{ messages }}{{ eos_token }}" });
  const base = {
    "tokenizer.json": qwenTokenizerFile({ a: 0, b: 1 }, [], { "<|im_end|>": 2, "<|endoftext|>": 3 }),
    "tokenizer_config.json": config("<|im_end|>"),
  };
  const digests = async (files: Record<string, string>) => {
    const folder = await folderWith({ ...base, ...files });
    const [text, chat] = [await loadTokenizer(folder), await loadChatTemplate(folder)];
    return [text.digest, chat.digest, text.eosToken];
  };
  const [text, chat, eos] = await digests({});
  expect([text?.length, chat?.length, eos]).toEqual([64, 64, "<|im_end|>"]);
  expect(await digests({})).toEqual([text, chat, eos]);
  const otherEos = await digests({ "tokenizer_config.json": config({ content: "<|endoftext|>" }) });
  expect([otherEos[0] === text, otherEos[1] === chat, otherEos[2]]).toEqual([false, false, "<|endoftext|>"]);
  const otherChat = await digests({ "chat_template.jinja": "{{ messages }}" });
  expect([otherChat[0] === text, otherChat[1] === chat]).toEqual([true, false]);
  const otherText = await digests({ "tokenizer.json": `${base["tokenizer.json"]} ` });
  expect([otherText[0] === text, otherText[1] === chat]).toEqual([false, true]);
});

test("parents are kept, so that a row can be traced; they are no part of its id", async () => {
  const { rows } = await load([
    { input_ids: [1, 2] },
    { input_ids: [1, 2], id: "seed_task_3", parents: ["a".repeat(64), "seed_task_0"] },
    { input_ids: [3, 4], parents: null },
    { input_ids: [5, 6], parents: [] },
  ]);
  expect(rows.map((row) => row.parents)).toEqual([undefined, ["a".repeat(64), "seed_task_0"], undefined, []]);
  expect(rows[1]?.id).toBe(`${rows[0]?.id}#2`);
  for (const [parents, expected] of [
    ["a", 'parents: expected array, came a string "a"'],
    [[1], "parents[0]: expected string, came a number 1"],
    [[""], "parents[0]: expected string to have >=1 characters"],
  ] as const) {
    const message = await userError("bad_row", () =>
      load([{ input_ids: [1, 2] }, { input_ids: [1, 2], parents }]),
    );
    expect(message).toContain(`line 2: ${expected}`);
  }
});

test("a row of packed sequences is one row for each", async () => {
  const packed = {
    input_ids: [1, 2, 3, 4, 5, 6],
    labels: [1, 2, 3, -100, 5, 6],
    seq_lengths: [2, 3, 1],
    topic: "x",
  };
  const { rows, counts, rejects } = await load([packed, { input_ids: [7, 8], seq_lengths: null }]);
  expect(rows.map(({ line, inputIds, labels }) => [line, [...inputIds], [...labels]])).toEqual([
    [1, [1, 2], [1, 2]],
    [1, [3, 4, 5], [3, -100, 5]],
    [2, [7, 8], [7, 8]],
  ]);
  expect(new Set(rows.map(({ id }) => id)).size).toBe(3);
  // The sixth token stands alone: nothing predicts it.
  expect(counts).toMatchObject({ read: 4, kept: 3, emptied: 1, tokens: 7, trainedTokens: 3 });
  expect(rejects).toMatchObject([{ line: 1, reason: "emptied", tokens: 1 }]);
  for (const [lengths, expected] of [
    [[2, 3], "seq_lengths: its sum is 5, expected 6 as input_ids has"],
    [[6, 0], "seq_lengths[1]: expected number to be >=1"],
    ["6", "seq_lengths: expected array"],
  ] as const) {
    const message = await userError("bad_row", () => load([{ ...packed, seq_lengths: lengths }]));
    expect(message).toContain(`line 1: ${expected}`);
  }
});

test("first rows of public files: each loads, or says why not", async () => {
  const path = (name: string) => fileURLToPath(new URL(`fixtures/demo-rows/${name}.jsonl`, import.meta.url));
  const options = { ...TOKENS, tokenizer, template, maxLength: 10_000, onBadRow: "reject" } as const;
  for (const [name, kept, reasons] of [
    ["tool_use_reasoning", 12, {}],
    ["sharegpt_toolcall", 15, {}],
    ["messages_lossweight", 20, {}],
    ["sharegpt_conversations", 20, {}],
    ["alpaca_identity", 20, {}],
    ["dolly", 0, { unknown_row: 8 }],
  ] as const) {
    const { counts, rejects } = await loadSftRows(path(name), options);
    expect([counts.kept, counts.reasons], name).toEqual([kept, reasons]);
    for (const { remedy } of rejects)
      expect(remedy).toContain("Rename prompt to prompt and answer to completion");
  }
});
