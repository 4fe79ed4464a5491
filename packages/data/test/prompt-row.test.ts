// What a row asks, in the columns that data sets have for it.
import { describe, expect, it, test } from "vitest";
import { askedByRow } from "../src/index.js";

const place = { path: "rows.jsonl", line: 7 };
const user = (content: string) => ({ role: "user", content });
const system = { role: "system", content: "Be brief." };
const answer = { role: "assistant", content: "4" };
const asked = (row: object) => askedByRow(row, place);

describe("text", () => {
  it.each(["prompt", "question", "problem", "query"])("as %s", (column) => {
    const found = asked({ [column]: "2+2?", answer: "4", tools: [], messages: null });
    expect(found).toMatchObject({ kind: "text", column, text: "2+2?", tools: [] });
  });

  test("Alpaca's instruction and input, its system turn and history before them", () => {
    const row = { instruction: "Add.", input: "2 and 2", output: "4" };
    expect(asked(row)).toMatchObject({ kind: "text", text: "Add.\n2 and 2" });
    expect(asked({ ...row, system: "Be brief.", history: [["Hello", "Hi"]] })).toMatchObject({
      kind: "messages",
      messages: [system, user("Hello"), { role: "assistant", content: "Hi" }, user("Add.\n2 and 2")],
    });
  });
});

describe("messages", () => {
  it.each(["prompt", "messages", "question"])("as %s (TRL, verl)", (column) => {
    const rest = {
      data_source: "openai/gsm8k",
      reward_model: { ground_truth: "4" },
      label: false,
      images: [],
    };
    const found = asked({ ...rest, [column]: [system, user("2+2?")], chat_template_kwargs: { deep: true } });
    expect(found).toMatchObject({
      ...{ kind: "messages", column, messages: [system, user("2+2?")], variables: { deep: true } },
      tools: undefined,
    });
  });

  test("ShareGPT's conversations", () => {
    const row = { conversations: [{ from: "human", value: "2+2?" }], system: "Be brief." };
    expect(asked(row)).toMatchObject({ kind: "messages", messages: [system, user("2+2?")] });
  });

  test("a prompt comes before the conversation that answers it", () => {
    expect(asked({ prompt: "2+2?", messages: [user("2+2?"), answer] })).toMatchObject({ text: "2+2?" });
  });
});

test("tokens come before all", () => {
  expect(asked({ input_ids: [3, 4], prompt: "x" })).toEqual({ kind: "tokens", inputIds: [3, 4] });
});

it.each<[row: object, says: RegExp]>([
  [{ answer: "4" }, /^it asks nothing: its columns are answer, expected prompt, messages, /],
  [{ question: " " }, /^question: expected text, came white space/],
  [{ prompt: 3 }, /^prompt: expected text or a list of messages, came a number 3/],
  [{ messages: "x" }, /^messages: expected a list of messages, came a string/],
  [{ prompt: [user("2+2?"), answer] }, /^prompt: the last message is an assistant turn/],
])("says why %j asks nothing", (row, says) => {
  expect(asked(row)).toEqual({ problem: expect.stringMatching(says) });
});

it.each<[row: object, says: RegExp]>([
  [{ prompt: [user("a"), { role: "user", content: 5 }] }, /^rows\.jsonl, line 7: prompt\[1\]\.content: /],
  [{ prompt: [user("a"), user("b")] }, /^rows\.jsonl, line 7: prompt\[1\]\.role: expected assistant/],
  [{ question: [] }, /^rows\.jsonl, line 7: question: expected array to have >=1 items/],
  [{ prompt: "a", tools: 3 }, /^rows\.jsonl, line 7: tools: /],
  [{ prompt: "a", images: ["a.png"] }, /^rows\.jsonl, line 7: column images is not supported/],
  [{ prompt: "a", chat_template_kwargs: { messages: [] } }, /^rows\.jsonl, line 7: chat_template_kwargs: /],
])("refuses %j", (row, says) => {
  expect(() => asked(row)).toThrow(says);
});
