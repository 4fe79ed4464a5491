import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import {
  type ChatTemplate,
  loadChatTemplate,
  loadSftRows,
  loadTokenizer,
  type SftDatasetOptions,
  type Tokenizer,
} from "../src/index.js";
import { folderWith, QWEN25_DIR, userError } from "./support/qwen25.js";

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
