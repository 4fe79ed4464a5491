import { describe, expect, test } from "vitest";
import {
  type ChatMessage,
  compileChatTemplate,
  encodeConversation,
  loadChatTemplate,
  loadTokenizer,
  parseJson,
  parseSftRow,
} from "../src/index.js";
import { fixture, folderWith, QWEN25_DIR, userError } from "./support/qwen25.js";

const HI: readonly ChatMessage[] = [{ role: "user", content: "hi" }];
const PLAIN = { addGenerationPrompt: false };

function render(template: string, options: object = {}): string {
  return compileChatTemplate("t.jinja", template, { eos_token: "</s>" }).render(HI, { ...PLAIN, ...options });
}

test("Qwen2.5's template renders as Python's Jinja2 does", async () => {
  const [first, ...cases] = await fixture<{
    id: string;
    template?: string;
    messages: ChatMessage[];
    tools?: unknown[];
    add_generation_prompt: boolean;
    expected: string;
  }>("qwen25-chat/cases.jsonl");
  const template = compileChatTemplate("qwen2_5.jinja", first?.template ?? "", {});
  expect(cases).toHaveLength(87);
  for (const { id, messages, tools, add_generation_prompt: addGenerationPrompt, expected } of cases) {
    expect(template.render(messages, { addGenerationPrompt, tools }), id).toBe(expected);
  }
});

test("the templates of 27 models render as their suite expects", async () => {
  const cases = await fixture<{
    id: string;
    chat_template: string;
    data: Readonly<Record<string, unknown>> & { messages: ChatMessage[]; tools?: unknown[] };
    expected: string;
  }>("jinja-templates/cases.jsonl");
  expect(cases).toHaveLength(27);
  for (const { id, chat_template, data, expected } of cases) {
    const { messages, tools, add_generation_prompt: open, ...variables } = data;
    const template = compileChatTemplate(id, chat_template, {});
    const options = { addGenerationPrompt: open === true, tools, variables, now: "2025-07-10" };
    expect(template.render(messages, options), id).toBe(expected);
  }
});

test("a long conversation with tools is no hostile template", async () => {
  const template = await loadChatTemplate(QWEN25_DIR);
  const turns = Array.from({ length: 3000 }, (_, i): ChatMessage[] => [
    { role: "user", content: `question ${i}` },
    { role: "assistant", content: "", tool_calls: [{ function: { name: "f", arguments: { i } } }] },
    { role: "tool", content: "x".repeat(100) },
    { role: "assistant", content: "answer" },
  ]).flat();
  const text = template.render(turns, { ...PLAIN, tools: [{ type: "function" }] });
  expect(text.split("<|im_start|>")).toHaveLength(3000 * 4 + 2);
  // Filters with a text beside a long one.
  const filtered = compileChatTemplate(
    "t.jinja",
    "{{ messages[0].content | default('something quite long') }}",
    {},
  );
  const one: ChatMessage[] = [{ role: "user", content: "a b\n".repeat(4_000_000) }];
  expect(template.render(one, PLAIN).length).toBeGreaterThan(16_000_000);
  expect(filtered.render(one, PLAIN)).toBe(one[0]?.content);
});

describe("where a template comes from", () => {
  const config = (chat_template: unknown): string =>
    JSON.stringify({ bos_token: null, eos_token: { content: "<e>", lstrip: false }, chat_template });

  test("tokenizer_config.json, its special tokens as variables", async () => {
    const folder = await folderWith({
      "tokenizer_config.json": config("{{ messages[0].content }}{{ eos_token }}{{ bos_token }}"),
    });
    expect((await loadChatTemplate(folder)).render(HI, PLAIN)).toBe("hi<e>");
    expect((await loadChatTemplate(QWEN25_DIR)).render(HI, { addGenerationPrompt: true })).toMatch(
      /hi<\|im_end\|>\n<\|im_start\|>assistant\n$/,
    );
  });

  test("chat_template.jinja goes first", async () => {
    const folder = await folderWith({
      "tokenizer_config.json": config("no"),
      "chat_template.jinja": "yes{{ eos_token }}",
    });
    expect((await loadChatTemplate(folder)).render(HI, PLAIN)).toBe("yes<e>");
  });

  test("a list of named ones: tool_use when there are tools", async () => {
    const list = [
      { name: "default", template: "plain" },
      { name: "tool_use", template: "{{ tools | length }} tools" },
    ];
    const template = await loadChatTemplate(await folderWith({ "tokenizer_config.json": config(list) }));
    expect(template.render(HI, PLAIN)).toBe("plain");
    expect(template.render(HI, { ...PLAIN, tools: [{}, {}] })).toBe("2 tools");
  });

  test("none, or a broken one, is said with what to do", async () => {
    expect(await userError("missing_template", async () => loadChatTemplate(await folderWith({})))).toContain(
      "copy chat_template.jinja",
    );
    expect(
      await userError("missing_template", async () =>
        loadChatTemplate(await folderWith({ "tokenizer_config.json": "{}" })),
      ),
    ).toContain("already tokenised");
    await userError("bad_tokenizer", async () =>
      loadChatTemplate(await folderWith({ "tokenizer_config.json": "{" })),
    );
    await userError("bad_template", async () =>
      loadChatTemplate(await folderWith({ "tokenizer_config.json": config(7) })),
    );
    const message = await userError("bad_template", async () =>
      loadChatTemplate(await folderWith({ "chat_template.jinja": "{% for m in messages %}" })),
    );
    expect(message).toContain("chat_template.jinja has a syntax error");
    const latin = await folderWith({ "chat_template.jinja": Buffer.from("caf\u00e9", "latin1") });
    expect(await userError("unreadable_file", () => loadChatTemplate(latin))).toContain("is not UTF-8");
  });
});

test("variables as transformers passes them: tools defined as none, further ones by name", () => {
  expect(
    render("{{ tools is defined }} {{ tools is none }} {{ documents is none }} {{ add_generation_prompt }}"),
  ).toBe("true true true false");
  expect(
    render("{{ enable_thinking }}{{ [1, 'é\u2028'] | tojson }}", { variables: { enable_thinking: 3 } }),
  ).toBe('3[1, "é\u2028"]');
  expect(
    render("{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 1, -2) %}{{ i }}{% endfor %}"),
  ).toBe("01253");
});

// Jinja2's documentation, "Whitespace Control": what trim_blocks and lstrip_blocks take away.
test("blocks on lines of their own leave no white space", () => {
  expect(render("{% if true %}\n  a\n  {% endif %}\nb\n\n")).toBe("  a\nb\n");
});

test("a template that raises or fails is an error with its reason", async () => {
  expect(
    await userError("bad_template", () => render("{{ raise_exception('roles must alternate') }}")),
  ).toContain("roles must alternate");
  expect(await userError("bad_template", () => render("{{ 'a' + none }}"))).toContain("t.jinja failed");
});

// Expected by Python 3: datetime(2025, 7, 10, 14, 5).strftime(format), locale C.
test("strftime_now reads the date that is passed, never the clock", async () => {
  const show = (format: string, now?: string): string => render(`{{ strftime_now("${format}") }}`, { now });
  expect(show("%d %B %Y", "2025-07-10")).toBe("10 July 2025");
  expect(show("%a %A %b %e %-d %m %y %j %H:%M:%S %I %p 100%%", "2025-07-10T14:05")).toBe(
    "Thu Thursday Jul 10 10 07 25 191 14:05:00 02 PM 100%",
  );
  expect(show("%I %p", "2025-07-10T00:30")).toBe("12 AM");
  expect(await userError("template_needs_date", () => show("%Y"))).toContain("2025-07-10");
  expect(await userError("bad_template", () => show("%Q", "2025-07-10"))).toContain("%Q");
  for (const date of ["2025-02-30", "10.7.2025", "2025-7-1", "2025-07-10T25:00"])
    await userError("bad_date", () => show("%Y", date));
});

test("numbers of rows are written as Python writes them", () => {
  const render = (text: string, source: string): string =>
    compileChatTemplate("t.jinja", source, {}).render([], {
      addGenerationPrompt: false,
      variables: { x: parseJson(text) },
    });
  // python3 -c 'import json; print(json.dumps(json.loads(...), ensure_ascii=False))'
  for (const [text, expected] of [
    ["1.0", "1.0"],
    [
      "[1, -1.0, 2.50, 1e5, 1E16, 1e-06, 1e-7, 0.00001, 123456789012345678.0]",
      "[1, -1.0, 2.5, 100000.0, 1e+16, 1e-06, 1e-07, 1e-05, 1.2345678901234568e+17]",
    ],
    [
      '{"a": {"b": [12345678901234567890, -9007199254740993, 10000000000000000]}}',
      '{"a": {"b": [12345678901234567890, -9007199254740993, 10000000000000000]}}',
    ],
    ["[-0, -0.0, 0.10000000000000000555, 1e400, -1e400]", "[0, -0.0, 0.1, Infinity, -Infinity]"],
    ['{"s": "1.0", "n": null, "t": true, "é": 0.5}', '{"s": "1.0", "n": null, "t": true, "é": 0.5}'],
  ] as const) {
    expect(render(text, "{{ x | tojson }}")).toBe(expected);
    expect(render(`[${text}]`, "{% for item in x %}{{ item | tojson }}{% endfor %}")).toBe(expected);
  }
  expect(
    render('{"a": 1.0, "b": 12345678901234567890}', "{{ x.a }} {{ x.b }} {{ x.a + 1 }} {{ x.a > 0 }}"),
  ).toBe("1.0 12345678901234567890 2.0 true");
  expect(render('[{"a": 1.0}]', "{{ x | tojson(indent=2) }}")).toBe('[\n  {\n    "a": 1.0\n  }\n]');
  expect(() => render("[9007199254740993]", "{{ x[0] + 1 }}")).toThrow("t.jinja failed on a conversation");
});

test("a tool's numbers reach the text of a row", async () => {
  const row = parseJson(
    '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\\"x\\": 5.0, \\"id\\": 12345678901234567890}"}}]}], "tools": [{"default": 1e-06}]}',
  );
  const parsed = parseSftRow(row, { path: "rows.jsonl", line: 1 });
  if (parsed.kind !== "messages") throw new Error("not messages");
  const template = compileChatTemplate(
    "t.jinja",
    "{{ tools | tojson }}{{ messages[1].tool_calls[0].function.arguments | tojson }}",
    {},
  );
  expect(template.render(parsed.messages, { addGenerationPrompt: false, tools: parsed.tools })).toBe(
    '[{"default": 1e-06}]{"x": 5.0, "id": 12345678901234567890}',
  );
});

test("a template that writes nothing is an error, not an empty row", async () => {
  const empty = compileChatTemplate("t.jinja", "{% if false %}x{% endif %}", {});
  const tokenizer = await loadTokenizer(QWEN25_DIR);
  const turns = [
    { role: "user", content: "a" },
    { role: "assistant", content: "b" },
  ] as const;
  const message = await userError("bad_template", () => encodeConversation(tokenizer, empty, turns));
  expect(message).toContain("t.jinja makes an empty text");
});
