import { beforeAll, describe, expect, test } from "vitest";
import {
  type ChatMessage,
  type ChatTemplate,
  compileChatTemplate,
  type EncodeOptions,
  encodeConversation,
  IGNORED_LABEL,
  loadChatTemplate,
  loadTokenizer,
  type Tokenizer,
} from "../src/index.js";
import { QWEN25_DIR, userError } from "./support/qwen25.js";

let tokenizer: Tokenizer;
let qwen: ChatTemplate;
beforeAll(async () => {
  tokenizer = await loadTokenizer(QWEN25_DIR);
  qwen = await loadChatTemplate(QWEN25_DIR);
});

const system = (content: string): ChatMessage => ({ role: "system", content });
const user = (content: string): ChatMessage => ({ role: "user", content });
const assistant = (content: string): ChatMessage => ({ role: "assistant", content });

/** The whole text with the trained tokens in brackets. */
async function marked(
  messages: readonly ChatMessage[],
  options?: EncodeOptions,
  template = qwen,
): Promise<string> {
  const { inputIds, labels } = await encodeConversation(tokenizer, template, messages, options);
  expect(labels).toHaveLength(inputIds.length);
  let text = "";
  for (let start = 0; start < inputIds.length; ) {
    const trained = labels[start] !== IGNORED_LABEL;
    let end = start;
    while (end < inputIds.length && (labels[end] !== IGNORED_LABEL) === trained) end++;
    const piece = inputIds.slice(start, end);
    if (trained) expect(labels.slice(start, end)).toEqual(piece);
    text += trained ? `[${tokenizer.decode(piece)}]` : tokenizer.decode(piece);
    start = end;
  }
  return text;
}

describe("Qwen2.5", () => {
  test("ids and labels of one exchange", async () => {
    // "<|im_start|>" system \n s <|im_end|> \n, the same with user and hi, then assistant \n Hello <|im_end|> \n.
    const { inputIds, labels } = await encodeConversation(tokenizer, qwen, [
      system("s"),
      user("hi"),
      assistant("Hello"),
    ]);
    const head = [
      151644, 8948, 198, 82, 151645, 198, 151644, 872, 198, 6023, 151645, 198, 151644, 77091, 198,
    ];
    expect(inputIds).toEqual([...head, 9707, 151645, 198]);
    expect(labels).toEqual([...head.map(() => -100), 9707, 151645, -100]);
  });

  const chat = [user("a"), assistant("b\n"), user("c"), assistant("d e")];
  const opening =
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n";

  test("every assistant turn with its end token, the default system prompt not", async () => {
    expect(await marked(chat)).toBe(
      `${opening}<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[b\n<|im_end|>]\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n[d e<|im_end|>]\n`,
    );
  });

  test("the completion alone, or everything", async () => {
    expect(await marked(chat, { lossOn: "completion" })).toBe(
      `${opening}<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb\n<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n[d e<|im_end|>]\n`,
    );
    const plain = (await marked(chat)).replaceAll(/[[\]]/g, "");
    expect(await marked(chat, { lossOn: "everything" })).toBe(`[${plain}]`);
  });

  test("tool calls are the assistant's, their results are not", async () => {
    const tools = [{ type: "function", function: { name: "add", parameters: {} } }];
    const call = { function: { name: "add", arguments: { x: 1, y: "é" } } };
    const messages: ChatMessage[] = [
      user("1+é"),
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", content: "2" },
      { role: "tool", content: "3" },
      assistant("2"),
      user("thanks"),
    ];
    const text = await marked(messages, { tools });
    expect(text.slice(text.indexOf("<|im_start|>user"))).toBe(
      '<|im_start|>user\n1+é<|im_end|>\n<|im_start|>assistant\n[<tool_call>\n{"name": "add", "arguments": {"x": 1, "y": "é"}}\n</tool_call><|im_end|>]\n' +
        "<|im_start|>user\n<tool_response>\n2\n</tool_response>\n<tool_response>\n3\n</tool_response><|im_end|>\n" +
        "<|im_start|>assistant\n[2<|im_end|>]\n<|im_start|>user\nthanks<|im_end|>\n",
    );
    expect(text).toContain(
      '<tools>\n{"type": "function", "function": {"name": "add", "parameters": {}}}\n</tools>',
    );
  });

  test("an answer that melts into its prompt is refused, with turn and token", async () => {
    // "assistant\n" + "\nx": the two line feeds are one token of the whole.
    const message = await userError("prompt_not_prefix", () =>
      encodeConversation(tokenizer, qwen, [system("s"), user("hi"), assistant("\nx")]),
    );
    expect(message).toContain("messages[2]");
    expect(message).toContain('Token 14 is "\\n" (id 198) there and "\\n\\n" (id 271) in the whole');
    expect(message).toContain("remove white space from the start of the answer");
  });

  test("nothing to train, nothing to answer, no completion", async () => {
    const encode = (...messages: ChatMessage[]) => encodeConversation(tokenizer, qwen, messages);
    expect(await userError("nothing_to_train", () => encode(user("a")))).toContain("no assistant turn");
    expect(await userError("bad_row", () => encode(assistant("a"), user("b")))).toContain("messages[0]");
    const open = [user("a"), assistant("b"), user("c")];
    expect(
      await userError("nothing_to_train", () =>
        encodeConversation(tokenizer, qwen, open, { lossOn: "completion" }),
      ),
    ).toContain("messages[2] is a user turn");
  });
});

describe("other templates", () => {
  const compile = (text: string): ChatTemplate =>
    compileChatTemplate("t.jinja", text, { eos_token: "<|endoftext|>" });
  const chat = [user("a"), assistant("<think>x</think>b"), user("c"), assistant("<think>y</think>d")];

  test("one that drops the reasoning of earlier turns is refused, and trains the completion", async () => {
    const template = compile(
      "{% for m in messages %}{{ m.role }}\n{{ m.content if loop.last else m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}" +
        "{% if add_generation_prompt %}assistant\n{% endif %}",
    );
    const message = await userError("prompt_not_prefix", () => encodeConversation(tokenizer, template, chat));
    expect(message).toContain("messages[1]");
    expect(message).toContain("renders earlier turns differently");
    expect(await marked(chat, { lossOn: "completion" }, template)).toBe(
      "user\na<|im_end|>\nassistant\nb<|im_end|>\nuser\nc<|im_end|>\nassistant\n[<think>y</think>d<|im_end|>]\n",
    );
  });

  test("one that rewrites the first turn as more follow is never masked by guess", async () => {
    const template = compile(
      "{{ messages | length }} turns\n{% for m in messages %}{{ m.role }}:{{ m.content }}<|im_end|>\n{% endfor %}",
    );
    for (const lossOn of ["assistant", "completion"] as const) {
      await userError("prompt_not_prefix", () => encodeConversation(tokenizer, template, chat, { lossOn }));
    }
  });

  test("one without end tokens trains all that it writes for the turn", async () => {
    const template = compile(
      "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
    );
    expect(await marked([user("a"), assistant("b")], {}, template)).toBe("user: a\n\nassistant:[ b\n\n]");
  });

  test("one that renders nothing for the assistant has nothing to train", async () => {
    const template = compile("{% for m in messages if m.role == 'user' %}{{ m.content }}\n{% endfor %}");
    await userError("nothing_to_train", () => encodeConversation(tokenizer, template, chat));
  });

  test("tools, date and further variables reach it", async () => {
    const template = compile(
      "{{ strftime_now('%Y') }}{{ mood }}{{ tools | length }}{% for m in messages %}|{{ m.content }}{{ eos_token }}{% endfor %}" +
        "{% if add_generation_prompt %}|{% endif %}",
    );
    const options = { now: "2025-07-10", tools: [{}], variables: { mood: "calm" } };
    expect(await marked([user("a"), assistant("b")], options, template)).toBe(
      "2025calm1|a<|endoftext|>|[b<|endoftext|>]",
    );
  });
});
