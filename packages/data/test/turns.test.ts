/** What a turn may hold: content in parts, a weight, a call in its text. */
import { describe, expect, test } from "vitest";
import { compileChatTemplate, LosslessNumber, type LossOn, parseSftRow } from "../src/index.js";
import { plainTurn, turnSchema } from "../src/messages.js";
import { userError } from "./support/qwen25.js";
import { assistant, load, marked, PLACE, tokenizer, user } from "./support/rows.js";

const tool = { role: "tool", content: "1" };

describe("content in parts, as LLaMA-Factory's newer files have it", () => {
  const text = (value: string) => ({ type: "text", value });
  const reasoning = (value: string) => ({ type: "reasoning", value });
  const toolCall = (value: string) => ({ type: "tool_call", value });
  const row = {
    messages: [
      { role: "user", content: [{ type: "text", text: "How " }, text("warm?")] },
      {
        role: "assistant",
        content: [reasoning("Look it up."), toolCall('{"name": "warm", "arguments": {"in": "Bern"}}')],
      },
      { role: "tool", content: [text("21")] },
      { role: "assistant", content: [reasoning("Say so."), text("21 degrees.")] },
    ],
  };

  test("texts are joined, calls and reasoning go where OpenAI's form has them", () => {
    expect(parseSftRow(row, PLACE)).toMatchObject({
      messages: [
        user("How warm?"),
        {
          role: "assistant",
          content: "",
          tool_calls: [{ type: "function", function: { name: "warm", arguments: { in: "Bern" } } }],
          reasoning_content: "Look it up.",
        },
        { role: "tool", content: "21" },
        { ...assistant("21 degrees."), reasoning_content: "Say so." },
      ],
    });
  });

  test("reasoning that the template has no word for is written before the answer, and trained", async () => {
    const [, called, answered] = (await marked(row)).split("<|im_start|>assistant\n");
    expect(called).toContain(
      '[<think>\nLook it up.\n</think>\n<tool_call>\n{"name": "warm", "arguments": {"in": "Bern"}}\n</tool_call><|im_end|>]',
    );
    expect(answered).toBe("[<think>\nSay so.\n</think>\n\n21 degrees.<|im_end|>]\n");
  });

  test("no reasoning, no tags", async () => {
    const messages = [user("a"), { ...assistant("b"), reasoning_content: "", thinking: null }];
    expect(await marked({ messages })).not.toContain("think");
  });

  test("a template that knows reasoning gets it as it is", async () => {
    const knowing = compileChatTemplate(
      "t.jinja",
      "{% for m in messages %}{{ m.role }}:{{ m.reasoning_content }}|{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
      {},
    );
    const thinking = { messages: [user("a"), { ...assistant("b"), thinking: "hm" }] };
    const { rows } = await load(thinking, { template: knowing });
    expect(tokenizer.decode([...rows[0]!.inputIds])).toBe("user:|a<|im_end|>assistant:hm|b<|im_end|>");
  });

  test.each<[string, unknown, string]>([
    [
      "user",
      [{ type: "image_url", value: "a.png" }],
      "messages[0].content[0].type: expected text, reasoning or tool_call (these are language models)",
    ],
    ["user", ["hi"], "messages[0].content[0]: expected text, reasoning or tool_call"],
    ["user", [{ type: "text" }], "messages[0].content[0].text: expected text, came nothing"],
    ["user", [reasoning("x")], "messages[0].reasoning_content: expected only on assistant turns"],
    ["user", [toolCall('{"name":"f"}')], "messages[0].tool_calls: expected only on assistant turns"],
    [
      "assistant",
      [toolCall("f()")],
      "messages[0].content[0].value: expected JSON of a tool call, {name, arguments}",
    ],
    ["user", [{ type: "reasoning" }], "messages[0].content[0].value: expected text, came nothing"],
  ])("%s %j", async (role, content, expected) => {
    const message = await userError("bad_row", () => parseSftRow({ messages: [{ role, content }] }, PLACE));
    expect(message).toContain(expected);
  });
});

describe("a turn's weight", () => {
  const weigh = (message: object, value: unknown, name = "loss_weight") => ({ ...message, [name]: value });
  const head = "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n";
  const middle = "\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n";
  const chat = (first: unknown, second: unknown, name?: string) => [
    weigh({ role: "system", content: "s" }, 0, name),
    weigh(user("a"), 0, name),
    weigh(assistant("b"), first, name),
    user("c"),
    weigh(assistant("d"), second, name),
  ];

  test("0 is not trained, 1 and none are; OpenAI calls it weight; no template sees it", async () => {
    for (const name of ["loss_weight", "weight"]) {
      expect(await marked({ messages: chat(0, 1, name) })).toBe(`${head}b<|im_end|>${middle}[d<|im_end|>]\n`);
      expect(await marked({ messages: chat(1, 0.0, name) })).toBe(
        `${head}[b<|im_end|>]${middle}d<|im_end|>\n`,
      );
      expect(await marked({ messages: chat(null, 1, name) })).toBe(
        `${head}[b<|im_end|>]${middle}[d<|im_end|>]\n`,
      );
      expect(await marked({ messages: chat(1, 1, name) }, "completion")).toBe(
        `${head}b<|im_end|>${middle}[d<|im_end|>]\n`,
      );
    }
    const { messages } = parseSftRow({ messages: chat(0, 1) }, PLACE) as { messages: unknown };
    expect(messages).toEqual([
      { role: "system", content: "s" },
      user("a"),
      assistant("b"),
      user("c"),
      assistant("d"),
    ]);
  });

  test("in ShareGPT's turns, and in a completion of several", async () => {
    const conversations = [
      { from: "system", value: "s" },
      { from: "human", value: "a", weight: 0 },
      { from: "gpt", value: "b", weight: 0 },
      { from: "human", value: "c" },
      { from: "gpt", value: "d", weight: 1 },
    ];
    const expected = `${head}b<|im_end|>${middle}[d<|im_end|>]\n`;
    expect(await marked({ conversations })).toBe(expected);
    const turns = chat(0, 1);
    const row = { prompt: turns.slice(0, 2), completion: turns.slice(2) };
    expect(await marked(row, "completion")).toBe(expected);
    expect(await marked(row)).toBe(expected);
  });

  test.each<[string, LossOn, object, string]>([
    [
      "bad_row",
      "assistant",
      { messages: chat(0.5, 1) },
      "messages[2].loss_weight: expected 0 (not trained) or 1, came a number 0.5",
    ],
    [
      "bad_row",
      "assistant",
      { messages: chat("1", 1) },
      'messages[2].loss_weight: expected 0 (not trained) or 1, came a string "1"',
    ],
    [
      "bad_row",
      "assistant",
      { messages: chat(true, 1, "weight") },
      "messages[2].weight: expected 0 (not trained) or 1",
    ],
    [
      "bad_row",
      "assistant",
      { messages: [user("a"), { ...assistant("b"), loss_weight: 1, weight: 0 }] },
      "messages[1].weight: expected 1, which loss_weight is, came a number 0",
    ],
    [
      "bad_row",
      "assistant",
      { messages: [weigh(user("a"), 1), assistant("b")] },
      "messages[0].loss_weight: expected 0 or nothing on a user turn, came 1",
    ],
    [
      "bad_row",
      "assistant",
      { prompt: [user("a"), weigh(assistant("b"), 1), user("c")], completion: [assistant("d")] },
      "prompt[1].loss_weight: expected 0 or nothing on a turn of the prompt",
    ],
    ["nothing_to_train", "assistant", { messages: chat(0, 0) }, "messages[2], messages[4]: loss_weight is 0"],
    ["nothing_to_train", "completion", { messages: chat(1, 0) }, "messages[4]: loss_weight is 0"],
    [
      "bad_row",
      "everything",
      { messages: chat(0, 1) },
      "messages[0].loss_weight is 0, but with loss on everything",
    ],
  ])("%s, loss on %s: %j", async (code, lossOn, row, expected) => {
    expect(await userError(code, () => load(row, { lossOn }))).toContain(`line 1: ${expected}`);
  });
});

test("a tool may answer a call that is written in the assistant's text", async () => {
  const written = assistant('<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>');
  const text = await marked({ messages: [user("a"), written, tool, assistant("b")] });
  expect(text.slice(text.indexOf("<|im_start|>user"))).toBe(
    `<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[${written.content}<|im_end|>]\n` +
      "<|im_start|>user\n<tool_response>\n1\n</tool_response><|im_end|>\n<|im_start|>assistant\n[b<|im_end|>]\n",
  );
});

test("a number that would lose digits on its way to the text", async () => {
  const numbered = (x: unknown) => ({
    messages: [
      user("a"),
      { role: "assistant", tool_calls: [{ function: { name: "f", arguments: { x: [x] } } }] },
    ],
    big: 2 ** 60,
  });
  expect(await userError("bad_row", () => parseSftRow(numbered(2 ** 53), PLACE))).toContain(
    "line 7: a number near 9007199254740992 has more digits",
  );
  expect(parseSftRow(numbered(2 ** 53 - 1), PLACE).kind).toBe("messages");
});

test("a plain turn is what the schema makes of it, and every other is left to the schema", () => {
  const roles = ["system", "user", "assistant", "tool", "developer", "human", null];
  const contents = ["hi", "", " \n", null, undefined, 7, [{ type: "text", text: "hi" }]];
  const more = [{}, { name: "n" }, { weight: 1 }, { tool_calls: [] }, { content_type: "text" }];
  let plain = 0;
  for (const role of roles) {
    for (const content of contents) {
      for (const rest of more) {
        const turn = plainTurn({ content, role, ...rest });
        if (turn === undefined) continue;
        plain++;
        expect(turn).toEqual(turnSchema.parse({ content, role, ...rest }));
        expect(Object.keys(turn.message)).toEqual(["role", "content"]);
      }
    }
  }
  expect(plain).toBe(10);
  for (const value of [null, "hi", [], undefined, new LosslessNumber("1.0")])
    expect(plainTurn(value)).toBeUndefined();
});
