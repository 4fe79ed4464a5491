import { describe, expect, test } from "vitest";
import { parseSftRow, type SftRow, type Tokenizer } from "../src/index.js";
import { userError } from "./support/qwen25.js";
import { assistant, load, marked, PLACE, tokenizer, user } from "./support/rows.js";

describe("text", () => {
  test("is trained whole, whatever the loss is on, with the end token once", async () => {
    for (const lossOn of ["assistant", "completion", "everything"] as const) {
      expect(await marked({ text: "The sky is blue.", id: 5 }, lossOn)).toBe("[The sky is blue.<|im_end|>]");
    }
    expect(await marked({ text: "Done.<|im_end|>" })).toBe("[Done.<|im_end|>]");
    expect((await load({ text: "The sky" })).rows[0]?.inputIds).toEqual(
      Int32Array.from([785, 12884, tokenizer.idOf("<|im_end|>")!]),
    );
  });

  test("needs an end token that the tokenizer knows", async () => {
    const none: Tokenizer = { ...tokenizer, eosToken: undefined };
    expect(await userError("missing_eos", () => load({ text: "a" }, { tokenizer: none }))).toContain(
      "line 1: the end of a text is trained as an end token",
    );
    const foreign: Tokenizer = { ...tokenizer, eosToken: "</s>" };
    expect(await userError("missing_eos", () => load({ text: "a" }, { tokenizer: foreign }))).toContain(
      "the end token </s>",
    );
  });
});

describe("prompt and completion as text", () => {
  const row = { prompt: "The sky is", completion: " blue.", source: "x" };
  test("the completion with its end token", async () => {
    expect(await marked(row)).toBe("The sky is[ blue.<|im_end|>]");
    expect(await marked(row, "completion")).toBe("The sky is[ blue.<|im_end|>]");
    expect(await marked(row, "everything")).toBe("[The sky is blue.<|im_end|>]");
    expect(await marked({ ...row, completion: " blue.<|im_end|>" })).toBe("The sky is[ blue.<|im_end|>]");
  });

  test("a prompt that melts into its completion names row and token", async () => {
    const melting = { prompt: "The sky is ", completion: "blue." };
    const message = await userError("prompt_not_prefix", () => load(melting));
    expect(message).toMatch(
      /line 1: the prompt is no prefix of prompt \+ completion: Token 3 is " " \(id 220\)/,
    );
    expect(await marked(melting, "everything")).toBe("[The sky is blue.<|im_end|>]");
  });
});

describe("prompt and completion as messages", () => {
  const call = {
    role: "assistant",
    tool_calls: [{ type: "function", function: { name: "f", arguments: "{}" } }],
  };
  const prompt = [{ role: "system", content: "s" }, user("a"), assistant("b"), user("c")];
  const head =
    "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n";

  test("the prompt's answers are not trained", async () => {
    const row = { prompt, completion: [assistant("d")] };
    expect(await marked(row)).toBe(`${head}[d<|im_end|>]\n`);
    expect(await marked(row, "completion")).toBe(`${head}[d<|im_end|>]\n`);
    expect(await marked(row, "everything")).toBe(`[${head}d<|im_end|>\n]`);
  });

  test("a completion of several turns: its answers, or all of it", async () => {
    const row = {
      prompt: prompt.slice(0, 2),
      completion: [call, { role: "tool", content: "1" }, assistant("e")],
    };
    const [start, asked, result] = [
      "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n",
      '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call><|im_end|>',
      "\n<|im_start|>user\n<tool_response>\n1\n</tool_response><|im_end|>\n<|im_start|>assistant\n",
    ];
    expect(await marked(row)).toBe(`${start}[${asked}]${result}[e<|im_end|>]\n`);
    expect(await marked(row, "completion")).toBe(`${start}[${asked}${result}e<|im_end|>]\n`);
  });

  test.each<[string, object, string]>([
    [
      "bad_row",
      { prompt, completion: "d" },
      "completion: expected what prompt is, a list of messages, came a string",
    ],
    [
      "bad_row",
      { prompt: "a", completion: [assistant("d")] },
      "completion: expected what prompt is, text, came a list",
    ],
    ["bad_row", { prompt: 5, completion: 6 }, "prompt: expected text or a list of messages, came a number 5"],
    ["empty_turn", { prompt: "a", completion: " " }, "completion: expected text"],
    ["empty_turn", { prompt: "", completion: "a" }, "goes into a column text"],
    ["empty_turn", { prompt, completion: [assistant("")] }, "completion[0].content: expected an answer"],
    [
      "roles_out_of_order",
      { prompt, completion: [user("d")] },
      "completion[0].role: expected assistant after prompt[3], a user turn, came a user turn.",
    ],
    [
      "roles_out_of_order",
      { prompt: [user("a"), assistant("b")], completion: [user("c")] },
      "completion[0].role: expected assistant, came user",
    ],
  ])("%s: %j", async (code, row, expected) => {
    expect(await userError(code, () => load(row))).toContain(expected);
  });

  test("a completion that ends with another's turn", async () => {
    const row = { prompt: [user("a")], completion: [assistant("b"), user("c")] };
    expect(await userError("roles_out_of_order", () => load(row))).toContain(
      "line 1: completion[1].role: expected the last turn to be the assistant's, came user",
    );
  });
});

describe("ShareGPT", () => {
  const turns = (row: SftRow): unknown => ("messages" in row ? row.messages : row);
  test("roles, tool calls, tools and system become messages", () => {
    const row = parseSftRow(
      {
        conversations: [
          { from: "human", value: "area?" },
          { from: "function_call", value: '{"name": "area", "arguments": {"d": [5, 3]}}' },
          { from: "observation", value: '{"area": 15}' },
          { from: "gpt", value: "15" },
        ],
        system: "be brief",
        tools: '[{"name": "area", "parameters": {}}]',
      },
      PLACE,
    );
    expect(row).toMatchObject({
      format: "sharegpt",
      kind: "messages",
      tools: [{ type: "function", function: { name: "area", parameters: {} } }],
    });
    expect(turns(row)).toEqual([
      { role: "system", content: "be brief" },
      user("area?"),
      {
        role: "assistant",
        content: "",
        tool_calls: [{ type: "function", function: { name: "area", arguments: { d: [5, 3] } } }],
      },
      { role: "tool", content: '{"area": 15}' },
      assistant("15"),
    ]);
  });

  test("calls together, arguments as JSON, OpenAI's names, wrapped tools", () => {
    const calls = '[{"name": "f", "arguments": "{\\"x\\": 1}"}, {"name": "g"}]';
    const row = parseSftRow(
      {
        conversations: [
          { from: "human", value: "a" },
          { from: "function_call", value: calls },
        ],
        tools: [{ type: "function", function: { name: "f" } }],
      },
      PLACE,
    );
    expect(turns(row)).toMatchObject([
      {},
      { tool_calls: [{ function: { name: "f", arguments: { x: 1 } } }, { function: { name: "g" } }] },
    ]);
    expect("tools" in row && row.tools).toEqual([{ type: "function", function: { name: "f" } }]);
    expect(turns(parseSftRow({ conversations: [user("a"), assistant("b")], tools: "" }, PLACE))).toEqual([
      user("a"),
      assistant("b"),
    ]);
  });

  test.each<[string, object, string]>([
    [
      "roles_out_of_order",
      { conversations: [{ from: "gpt", value: "a" }] },
      "conversations[0].role: expected system or user at the start",
    ],
    [
      "roles_out_of_order",
      {
        conversations: [
          { from: "human", value: "a" },
          { from: "human", value: "b" },
        ],
        system: "s",
      },
      "conversations[1].role: expected assistant after conversations[0], a user turn, came a user turn. Merge the two turns",
    ],
    [
      "empty_turn",
      {
        conversations: [
          { from: "human", value: "a" },
          { from: "gpt", value: "" },
        ],
      },
      'conversations[1].value: expected an answer, came a string ""',
    ],
    [
      "bad_row",
      {
        conversations: [
          { from: "human", value: "a" },
          { from: "function_call", value: "f()" },
        ],
      },
      "conversations[1].value: expected JSON of {name, arguments}",
    ],
    ["bad_row", { conversations: [{ from: "bot", value: "a" }] }, "conversations[0].from: expected one of"],
    [
      "bad_row",
      {
        conversations: [
          { from: "system", value: "a" },
          { from: "human", value: "b" },
        ],
        system: "c",
      },
      "Keep one of the two",
    ],
    [
      "unknown_row",
      { conversations: [{ from: "human", value: "a" }], chosen: {}, rejected: {} },
      "preference row",
    ],
  ])("%s: %j", async (code, row, expected) => {
    expect(await userError(code, () => parseSftRow(row, PLACE))).toContain(`rows.jsonl, line 7: `);
    expect(await userError(code, () => parseSftRow(row, PLACE))).toContain(expected);
  });
});

describe("Alpaca", () => {
  test("instruction and input, system and history", async () => {
    const row = {
      instruction: "Add.",
      input: "1 2",
      output: "3",
      system: "s",
      history: [["a", "b"]],
      text: "rendered",
    };
    const head = "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n";
    const rest = "\n<|im_start|>user\nAdd.\n1 2<|im_end|>\n<|im_start|>assistant\n[3<|im_end|>]\n";
    expect(await marked(row)).toBe(`${head}[b<|im_end|>]${rest}`);
    expect(await marked(row, "completion")).toBe(`${head}b<|im_end|>${rest}`);
    expect((await load(row)).counts.formats).toEqual({ alpaca: 1 });
    expect((await load(row, { format: "text" })).counts.formats).toEqual({ text: 1 });
    expect(parseSftRow({ instruction: "a", input: "", output: "b" }, PLACE)).toMatchObject({
      messages: [user("a"), assistant("b")],
    });
  });

  test.each<[string, object, string]>([
    ["empty_turn", { instruction: "a", output: "" }, "output: expected an answer"],
    ["empty_turn", { instruction: "", input: "", output: "b" }, "instruction: expected text (or input)"],
    ["bad_row", { instruction: "a", output: 5 }, "output: expected string, came a number 5"],
    ["bad_row", { instruction: "a", output: "b", history: [["c"]] }, "history[0]: expected a pair of texts"],
    ["unknown_row", { question: "a", answer: "b" }, "Rename question to prompt and answer to completion"],
    ["unknown_row", { prompt: "a" }, "A prompt needs its completion"],
    ["unknown_row", { prompt: "a", chosen: "b", rejected: "c" }, "preference row"],
  ])("%s: %j", async (code, row, expected) => {
    expect(await userError(code, () => parseSftRow(row, PLACE))).toContain(expected);
  });
});

test("columns: tokens before messages before the rest; images only where there are none", () => {
  const all = {
    text: "t",
    instruction: "i",
    output: "o",
    conversations: [user("a")],
    prompt: "p",
    completion: "c",
    messages: [user("a")],
    input_ids: [1],
    images: [],
    ["__proto__x"]: 1,
  };
  const order: string[] = [];
  let row: Record<string, unknown> = all;
  for (const column of ["input_ids", "messages", "prompt", "conversations", "instruction", "text"]) {
    order.push(parseSftRow(row, PLACE).format);
    const { [column]: _, ...rest } = row;
    row = rest;
  }
  expect(order).toEqual(["tokens", "messages", "prompt-completion", "sharegpt", "alpaca", "text"]);
});

const call = { role: "assistant", tool_calls: [{ function: { name: "f" } }] };
const tool = { role: "tool", content: "1" };
test.each<[string, readonly unknown[]]>([
  [
    "messages[1].role: expected user after messages[0], a system turn, came a system turn. Merge system turns",
    [
      { role: "system", content: "a" },
      { role: "developer", content: "b" },
    ],
  ],
  [
    "messages[2].role: expected user or tool after messages[1], an assistant turn, came a system turn.",
    [user("a"), assistant("b"), { role: "system", content: "c" }],
  ],
  [
    "messages[0].role: expected system or user at the start, came an assistant turn.",
    [assistant("a"), user("b")],
  ],
  [
    "messages[1].role: expected user after messages[0], a system turn, came an assistant turn.",
    [{ role: "system", content: "a" }, assistant("b")],
  ],
  [
    "messages[1].role: expected assistant after messages[0], a user turn, came a user turn.",
    [user("a"), user("b")],
  ],
  [
    "messages[2].role: expected user or tool after messages[1], an assistant turn, came an assistant turn.",
    [user("a"), assistant("b"), assistant("c")],
  ],
  [
    "messages[1].role: expected assistant after messages[0], a user turn, came a tool turn. A tool turn answers",
    [user("a"), tool],
  ],
  [
    "messages[2].role: expected tool after messages[1], an assistant turn with tool_calls, came a user turn.",
    [user("a"), call, user("b")],
  ],
  [
    "messages[3].role: expected tool or assistant after messages[2], a tool turn, came a user turn.",
    [user("a"), call, tool, user("b")],
  ],
])("%s", async (expected, messages) => {
  const message = await userError("roles_out_of_order", () => parseSftRow({ messages }, PLACE));
  expect(message).toContain(`rows.jsonl, line 7: ${expected}`);
});

test("the last turn must be the assistant's, unless everything is trained", async () => {
  const row = { messages: [user("a"), assistant("b"), user("c")] };
  for (const lossOn of ["assistant", "completion"] as const) {
    expect(await userError("roles_out_of_order", () => load(row, { lossOn }))).toContain(
      "line 1: messages[2].role: expected the last turn to be the assistant's, came user",
    );
  }
  expect((await load(row, { lossOn: "everything" })).counts.kept).toBe(1);
  const parallel = { messages: [user("a"), call, tool, tool, assistant("b"), user("c"), call] };
  expect((await load(parallel)).counts.kept).toBe(1);
});

test("what fine-tuning must not take: bad examples, variables that are the run's", async () => {
  const messages = [user("a"), assistant("b")];
  expect(await userError("bad_row", () => parseSftRow({ messages, label: false }, PLACE))).toContain(
    "a bad answer",
  );
  expect(parseSftRow({ messages, label: true }, PLACE).format).toBe("messages");
  const kwargs = { messages, chat_template_kwargs: { add_generation_prompt: true } };
  expect(await userError("bad_row", () => parseSftRow(kwargs, PLACE))).toContain(
    "chat_template_kwargs: expected none of messages, tools",
  );
});
