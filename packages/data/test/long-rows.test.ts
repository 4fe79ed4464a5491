import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import {
  type ChatTemplate,
  loadChatTemplate,
  loadSftRows,
  loadTokenizer,
  type SftDataset,
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

/** 3 MB of words, some 600,000 tokens. */
const LONG = "Some words, and then more of them, of every kind.\n".repeat(60_000);
const KINDS: Readonly<Record<string, object>> = {
  text: { text: LONG },
  "prompt and completion": { prompt: "Say it.\n", completion: LONG },
  messages: {
    messages: [
      { role: "user", content: "Say it." },
      { role: "assistant", content: "It." },
      { role: "user", content: "And more." },
      { role: "assistant", content: LONG },
    ],
  },
  "a long question": {
    messages: [
      { role: "user", content: LONG },
      { role: "assistant", content: "Yes." },
    ],
  },
};

async function load(row: object, options: Partial<SftDatasetOptions> = {}): Promise<SftDataset> {
  const dir = await folderWith({ "rows.jsonl": `${JSON.stringify(row)}\n{"text": "short"}\n` });
  const rest = { lossOn: "assistant", maxLength: 100, onOverlong: "error" } as const;
  return loadSftRows(join(dir, "rows.jsonl"), { tokenizer, template, ...rest, ...options });
}

test.each(Object.entries(KINDS))("%s of 3 MB: a row too long says so", async (_, row) => {
  const message = await userError("row_too_long", () => load(row));
  expect(message).toMatch(/line 1: at least \d{4,} tokens, the longest row allowed has 100/);
});

test.each(Object.entries(KINDS))("%s of 3 MB is dropped, and counted", async (_, row) => {
  const { counts, rejects } = await load(row, { onOverlong: "drop" });
  expect(counts).toMatchObject({ read: 2, kept: 1, overlong: 1, dropped: 1 });
  expect(rejects[0]!.remedy).toContain("at least");
});

test.each(Object.entries(KINDS))("%s of 3 MB is cut to what cutting the whole gives", async (_, row) => {
  const cut = await load(row, { onOverlong: "truncate" });
  // Without an end to the reading, every token of the row.
  const { rows: whole } = await load(row, { maxLength: 10_000_000 });
  const start = (ids: Int32Array): number[] => [...ids.subarray(0, 100)];
  const labels = start(whole[0]!.labels);
  if (labels.slice(1).every((label) => label === -100)) {
    expect(cut.counts).toMatchObject({ emptied: 1, kept: 1 });
    return;
  }
  expect(cut.counts).toMatchObject({ truncated: 1, kept: 2 });
  expect([...cut.rows[0]!.inputIds]).toEqual(start(whole[0]!.inputIds));
  expect([...cut.rows[0]!.labels]).toEqual(labels);
});

test("a row without a place to cut is the row's error, unless it is known to be too long", async () => {
  const row = { text: "0".repeat(2_000_000) };
  expect(await userError("text_too_long", () => load(row, { onOverlong: "truncate" }))).toMatch(
    /line 1: 2,000,0\d\d characters/,
  );
  expect((await load(row, { onOverlong: "drop" })).counts).toMatchObject({ dropped: 1, kept: 1 });
  expect(await userError("row_too_long", () => load(row))).toContain("at least");
  const { counts } = await load(row, { onOverlong: "truncate", onBadRow: "reject" });
  expect(counts).toMatchObject({ rejected: 1, kept: 1, reasons: { text_too_long: 1 } });
});
