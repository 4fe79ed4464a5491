import { expect, test } from "vitest";
import { parseSftRow, type SftRow } from "../src/index.js";
import { userError } from "./support/qwen25.js";

const PLACE = { path: "rows.jsonl", line: 7 };
const parse = (row: unknown): SftRow => parseSftRow(row, PLACE);
const turns = (...messages: readonly unknown[]): unknown => ({ messages });
const USER = { role: "user", content: "hi" };

test("messages rows: developer is system, nulls of absent fields go, further keys stay", () => {
  const row = parse({
    messages: [
      { role: "developer", content: "be brief", tool_calls: null, name: null },
      USER,
      {
        role: "assistant",
        content: null,
        tool_calls: [{ type: "function", function: { name: "f", arguments: '{"x":1}' } }],
      },
      { role: "tool", content: "2", tool_call_id: "c1" },
      { role: "assistant", content: "two", reasoning_content: "1 + 1" },
    ],
    tools: '[{"type":"function","function":{"name":"f"}}]',
    chat_template_kwargs: { enable_thinking: false },
    source: "somewhere",
    images: null,
    input_ids: null,
  });
  expect(row).toEqual({
    format: "messages",
    nameOf: expect.any(Function),
    kind: "messages",
    messages: [
      { role: "system", content: "be brief" },
      USER,
      {
        role: "assistant",
        content: null,
        tool_calls: [{ type: "function", function: { name: "f", arguments: { x: 1 } } }],
      },
      { role: "tool", content: "2", tool_call_id: "c1" },
      { role: "assistant", content: "two", reasoning_content: "1 + 1" },
    ],
    tools: [{ type: "function", function: { name: "f" } }],
    untrained: new Set(),
    variables: { enable_thinking: false },
  });
});

test("tokenised rows: labels, masks, or everything", () => {
  const labelsOf = (row: object): unknown => {
    const parsed = parse({ input_ids: [5, 6, 7], ...row });
    return parsed.kind === "tokens" ? parsed.labels : parsed.kind;
  };
  expect(labelsOf({})).toEqual([5, 6, 7]);
  expect(labelsOf({ labels: [-100, 6, 9] })).toEqual([-100, 6, 9]);
  expect(labelsOf({ completion_mask: [0, 1, 1] })).toEqual([-100, 6, 7]);
  expect(labelsOf({ completion_mask: [false, true, true], assistant_masks: [1, 1, 0] })).toEqual([
    -100, 6, -100,
  ]);
  // TRL's test_provided_labels_not_reconstructed_from_masks.
  expect(labelsOf({ labels: [5, 6, 7], completion_mask: [0, 0, 1], assistant_masks: [0, 0, 1] })).toEqual([
    5, 6, 7,
  ]);
  expect(labelsOf({ messages: "ignored", attention_mask: [1, 1, 1] })).toEqual([5, 6, 7]);
});

test.each<[string, unknown, string]>([
  ["bad_row", "text", 'expected a JSON object, came a string "text"'],
  ["bad_row", [1], "came a list [1]"],
  ["unknown_row", { texts: "a", id: 1 }, "Found columns texts, id; accepted are messages"],
  ["unknown_row", {}, "Found no columns"],
  ["bad_row", { ...(turns(USER) as object), images: ["a.png"] }, "column images is not supported"],
  ["bad_row", { input_ids: [1, 2], seq_lengths: [1, 1] }, "column seq_lengths is not supported"],
  ["bad_row", { messages: "hi" }, 'messages: expected array, came a string "hi"'],
  ["bad_row", turns(), "messages: expected array to have >=1 items, came a list []"],
  ["bad_row", turns(USER, { role: "bot", content: "x" }), "messages[1].role: expected one of "],
  [
    "bad_row",
    turns(USER, { role: "assistant", content: 5 }),
    "messages[1].content: expected text, or a list of parts, came a number 5",
  ],
  ["bad_row", turns({ role: "user" }), "messages[0].content: expected text, came nothing"],
  ["bad_row", turns({ role: "user", content: null }), "messages[0].content: expected text, came null"],
  [
    "empty_turn",
    turns(USER, { role: "assistant", content: " \n" }),
    "messages[1].content: expected an answer (or tool_calls)",
  ],
  [
    "bad_row",
    turns({ ...USER, tool_calls: [{ function: { name: "f" } }] }),
    "messages[0].tool_calls: expected only on assistant turns",
  ],
  [
    "bad_row",
    turns(USER, { role: "assistant", tool_calls: [{ function: { name: "f", arguments: "not json" } }] }),
    "messages[1].tool_calls[0].function.arguments: expected an object, or a JSON string of one (the text is not JSON: ",
  ],
  ["bad_row", { ...(turns(USER) as object), tools: "{}" }, "tools: expected a list of tools"],
  ["bad_row", { input_ids: [] }, "input_ids: expected array to have >=1 items"],
  ["bad_row", { input_ids: [1, 2.5] }, "input_ids[1]: expected int, came a number 2.5"],
  ["bad_row", { input_ids: [1, -2] }, "input_ids[1]: expected number to be >=0, came a number -2"],
  ["bad_row", { input_ids: [1, 2], labels: [-100] }, "labels has 1 entries, expected 2"],
  [
    "bad_row",
    { input_ids: [1, 2], labels: [-100, -1] },
    "labels[1]: expected a token id or -100, came a number -1",
  ],
  [
    "bad_row",
    { input_ids: [1, 2], completion_mask: [0, 2] },
    "completion_mask[1]: expected 0 or 1, came a number 2",
  ],
  ["bad_row", { input_ids: [1, 2], attention_mask: [1, 0] }, "attention_mask[1]: expected 1 everywhere"],
])("%s: %j", async (code, row, expected) => {
  const message = await userError(code, () => parse(row));
  expect(message).toMatch(/^rows\.jsonl, line 7: /);
  expect(message).toContain(expected);
});
