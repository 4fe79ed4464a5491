// Rows of responses: what each form means, which labels it has, and what is wrong with one.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  loadResponseRows,
  parseResponseRow,
  type ResponseDatasetOptions,
  type SftRow,
  UserError,
} from "@posttrain/data";
import { describe, expect, it } from "vitest";
import { testFolder } from "../../../tests/support/tiny-run.js";

const place = { path: "rows.jsonl", line: 3 };
const chat = [{ role: "user", content: "2 + 2?" }];
const said = (row: SftRow): unknown =>
  row.kind === "tokens"
    ? row.inputIds
    : row.kind === "text"
      ? row.text
      : "messages" in row
        ? row.messages.map(({ role, content }) => `${role}: ${content}`)
        : row.prompt + row.completion;
const parse = (row: object) => {
  const { format, responses, labels } = parseResponseRow(row, place);
  return { format, labels, responses: responses.map(({ name, row }) => [name, said(row)]) };
};

describe("a row", () => {
  const four = ["user: 2 + 2?", "assistant: 4"];
  it.each<[string, object, object]>([
    [
      "pairs with a prompt of messages",
      { prompt: chat, chosen: [{ role: "assistant", content: "4" }], rejected: "5" },
      {
        format: "preference",
        labels: [true, false],
        responses: [
          ["chosen", four],
          ["rejected", ["user: 2 + 2?", "assistant: 5"]],
        ],
      },
    ],
    [
      "pairs of tokens",
      { prompt_ids: [1, 2], chosen_ids: [3], rejected_ids: [4, 5] },
      {
        format: "preference",
        labels: [true, false],
        responses: [
          ["chosen", [1, 2, 3]],
          ["rejected", [1, 2, 4, 5]],
        ],
      },
    ],
    [
      "responses to messages: texts, a turn, turns",
      {
        messages: chat,
        responses: ["4", { role: "assistant", content: "4" }, [{ role: "assistant", content: "4" }]],
      },
      { format: "responses", labels: undefined, responses: [0, 1, 2].map((i) => [`responses[${i}]`, four]) },
    ],
    [
      "completions of a text, with labels",
      { prompt: "2 + 2 = ", completions: ["4", "5", "six"], labels: [1, false, null] },
      {
        format: "responses",
        labels: [true, false, null],
        responses: [
          ["completions[0]", "2 + 2 = 4"],
          ["completions[1]", "2 + 2 = 5"],
          ["completions[2]", "2 + 2 = six"],
        ],
      },
    ],
    [
      "what posttrain verify has graded: what could not be graded judges nothing",
      {
        prompt: "p ",
        responses: ["a", "b", "c", "d"],
        verdicts: ["pass", "timeout", "infrastructure-error", "unparseable"].map((outcome) => ({
          outcome,
          evidence: "",
        })),
      },
      { format: "responses", labels: [true, false, null, false], responses: expect.any(Array) },
    ],
    [
      "one response",
      { prompt: chat, response: "4" },
      { format: "response", labels: undefined, responses: [["response", four]] },
    ],
    [
      "responses as tokens",
      { prompt_ids: [1], responses_ids: [[2], [3, 4]], labels: [true, false] },
      {
        format: "responses",
        labels: [true, false],
        responses: [
          ["responses_ids[0]", [1, 2]],
          ["responses_ids[1]", [1, 3, 4]],
        ],
      },
    ],
    [
      "a conversation, whatever of it fine-tuning would leave out",
      { messages: [...chat, { role: "assistant", content: "4", loss_weight: 0 }] },
      { format: "sequence", labels: undefined, responses: [["messages", four]] },
    ],
    [
      "a text",
      { text: "all of it" },
      { format: "sequence", labels: undefined, responses: [["text", "all of it"]] },
    ],
    [
      "tokens",
      { input_ids: [5, 6] },
      { format: "sequence", labels: undefined, responses: [["input_ids", [5, 6]]] },
    ],
  ])("may be %s", (_, row, expected) => {
    expect(parse(row)).toEqual(expected);
  });

  it.each<[object, string]>([
    [{ prompt: "p", responses: [] }, "responses: expected a list of responses, came"],
    [{ prompt: "p", responses: "a" }, "responses: expected a list of responses, came"],
    [{ responses: ["a"] }, "responses: expected a prompt (or messages) beside it, came none"],
    [{ prompt: "p", responses: ["a", 7] }, "responses[1]: expected"],
    [{ prompt: "p", responses: ["a", " "] }, "responses[1]: expected text, came white space"],
    [
      { prompt: chat, responses: [{ role: "user", content: "?" }] },
      "responses[0].role: expected assistant after prompt[0], a user turn, came a user turn",
    ],
    [{ prompt: "p", responses: ["a", "b"], labels: [true] }, "labels has 1 entries, expected 2"],
    [
      { prompt: "p", responses: ["a", "b"], labels: [true, "no"] },
      "labels[1]: expected true, false, 1, 0 or null",
    ],
    [{ prompt: "p", responses: ["a"], verdicts: [{ outcome: "great" }] }, "verdicts[0].outcome"],
    [{ messages: chat }, "the last message is no assistant turn"],
    [{ chosen: "a" }, "It has chosen alone"],
    [{ answer: "a" }, "this kind of row is not known"],
  ])("%j is refused", (row, message) => {
    const refused = () => parseResponseRow(row, place);
    expect(refused).toThrow(UserError);
    expect(refused).toThrow("rows.jsonl, line 3: ");
    expect(refused).toThrow(message);
  });
});

describe("a file", () => {
  const folder = testFolder();
  const load = (rows: readonly object[], options: Partial<ResponseDatasetOptions> = {}) => {
    const path = join(folder, "rows.jsonl");
    writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    const defaults = {
      tokenizer: undefined,
      template: undefined,
      maxLength: 8,
      onOverlong: "error",
      vocabSize: 100,
    };
    return loadResponseRows(path, { ...defaults, use: "ranked", ...options } as ResponseDatasetOptions);
  };
  const ids = (length: number, from = 1): number[] => Array.from({ length }, (_, i) => (from + i) % 100);
  const row = (labels: readonly (boolean | null)[], lengths = labels.map((_, i) => i + 1)): object => ({
    prompt_ids: [9, 8],
    responses_ids: lengths.map((length, i) => ids(length, 10 * i)),
    labels,
  });

  it("counts rows whose responses are all alike, and leaves them out", async () => {
    const { rows, counts, rejects } = await load([
      row([true, false, null]),
      row([true, true]),
      row([false, null]),
      row([null]),
    ]);
    expect(rows.map(({ line }) => line)).toEqual([1]);
    expect(counts).toMatchObject({ read: 4, kept: 1, emptied: 3, reasons: { nothing_to_rank: 3 } });
    expect(rejects.map(({ remedy }) => remedy.split(":")[0])).toEqual(
      ["better", "worse", "unjudged"].map((kind) => `all responses are ${kind}`),
    );
  });

  it("rows of one prompt have one key", async () => {
    const { rows } = await load([
      row([true, false]),
      row([false, true]),
      { ...row([true, false]), prompt_ids: [7] },
    ]);
    expect(new Set(rows.map(({ promptKey }) => promptKey)).size).toBe(2);
    expect(rows[0]?.promptKey).toBe(rows[1]?.promptKey);
  });

  it("refuses one response with both labels, ids beyond the vocabulary, a list without labels", async () => {
    const twice = { prompt_ids: [1], responses_ids: [[2], [3], [2]], labels: [true, false, false] };
    await expect(load([twice])).rejects.toThrow(
      "line 1: responses_ids[0] and responses_ids[2] are the same response, one among the better, one among the worse",
    );
    await expect(load([{ ...twice, responses_ids: [[2], [3], [200]] }])).rejects.toThrow(
      "responses_ids[2][1] is 200, but the model knows the ids 0 to 99",
    );
    await expect(load([{ prompt_ids: [1], responses_ids: [[2]] }])).rejects.toThrow(
      "nothing says which responses are better",
    );
    await expect(load([{ prompt_ids: [1], responses_ids: [[2]] }], { use: "scored" })).resolves.toMatchObject(
      {
        rows: [{ labels: undefined, names: ["responses_ids[0]"] }],
      },
    );
  });

  it("a response that is too long is an error, dropped with its row, or cut; nothing goes unseen", async () => {
    const long = row([true, false], [3, 20]);
    await expect(load([long])).rejects.toThrow(
      "22 tokens of prompt and longest response, the longest row allowed has 8",
    );
    const dropped = await load([long, row([true, false])], { onOverlong: "drop" });
    expect(dropped.counts).toMatchObject({ read: 2, kept: 1, dropped: 1, overlong: 1 });
    const cut = await load([long], { onOverlong: "truncate" });
    expect(cut.rows[0]?.sequences.map(({ length }) => length)).toEqual([5, 8]);
    expect(cut.counts).toMatchObject({ kept: 1, truncated: 1, tokens: 13 });
    // Equal once they are cut: nothing to prefer is left.
    const alike = { prompt_ids: [1], responses_ids: [ids(9), ids(10)], labels: [true, false] };
    expect((await load([alike], { onOverlong: "truncate" })).counts).toMatchObject({ kept: 0, emptied: 1 });
  });
});
