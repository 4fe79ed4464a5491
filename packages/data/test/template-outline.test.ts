import { expect, test } from "vitest";
import { parseTemplate } from "../src/bounded-template.js";
import { type ChatMessage, compileChatTemplate } from "../src/index.js";
import { outlinesOf } from "../src/template-outline.js";
import { fixture, random } from "./support/qwen25.js";

const conversation = (...contents: readonly string[]): readonly ChatMessage[] =>
  contents.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));

/** Rendered by outline, once its shape has come twice. */
function byOutline(source: string, messages: readonly ChatMessage[]): string | undefined {
  const fromOutline = outlinesOf(parseTemplate(source));
  const variables = (): Readonly<Record<string, unknown>> => ({ none: null, add_generation_prompt: true });
  expect(fromOutline(messages, "", variables)).toBeUndefined();
  return fromOutline(messages, "", variables);
}

const loop = (body: string): string => `{% for m in messages %}${body}{% endfor %}`;

test.each([
  ["writes", loop("[{{ m.role }}]{{ m.content }};"), "[user]a b;[assistant]c;"],
  ["joins", loop("{{ '<' + m['content'] + '>' ~ loop.index }}"), "<a b>1<c>2"],
  ["asks what is there", loop("{% if m.content and not m.name %}{{ m.content }}{% endif %}"), "a bc"],
  ["asks of what kind it is", loop("{{ m.content if m.content is string else 'no text' }}"), "a bc"],
  ["keeps", "{% set ns = namespace(s='') %}" + loop("{% set ns.s = m.content %}") + "{{ ns.s }}", "c"],
  ["trims what is trimmed", loop("{{ m.content | trim }}"), "a bc"],
  ["takes the last", "{{ messages[-1].content }}{{ (messages | last).content }}", "cc"],
  ["takes a part of the list", "{% set l = messages[1:] %}{{ l[0].content }}{{ l | length }}", "c1"],
  ["looks for a key", loop("{{ m.content if 'content' in m else '' }}"), "a bc"],
  ["makes a default", loop("{{ m.content | default('') }}"), "a bc"],
  ["goes through keys", loop("{% for k, v in m.items() %}{{ v }},{% endfor %}"), "user,a b,assistant,c,"],
  [
    "twice, and backwards",
    "{% for m in messages | reverse %}{{ m.content }}{{ m.content }}{% endfor %}",
    "cca ba b",
  ],
])("a template that %s has an outline", (_, source, expected) => {
  expect(byOutline(source, conversation("a b", "c"))).toBe(expected);
});

test.each([
  loop("{{ m.content | upper }}"),
  loop("{{ m.content.upper() }}"),
  loop("{{ m.content | length }}"),
  loop("{{ m.content[0] }}"),
  loop("{{ m.content[1:] }}"),
  loop("{{ m.content.split(' ')[0] }}"),
  loop("{{ m.content.replace('a', 'b') }}"),
  loop("{{ m.content | replace('a', 'b') }}"),
  loop("{% if m.content == 'a b' %}x{% endif %}"),
  loop("{% if 'a' in m.content %}x{% endif %}"),
  loop("{% if m.content in ['a b'] %}x{% endif %}"),
  loop("{% if 'c' in [m.content] %}x{% endif %}"),
  loop("{% if m.content is upper %}x{% endif %}"),
  loop("{{ ('x' + m.content) | trim }}"),
  loop("{{ m | tojson }}"),
  loop("{{ m }}"),
  loop("{{ m.values() | join(',') }}"),
  loop("{{ m | dictsort(by='value') }}"),
  loop("{{ m.dictsort(false, 'value')[0] }}"),
  loop("{% set k = 'dictsort' %}{{ m[k](false, 'value')[0] }}"),
  loop("{{ {m.content: 1} | length }}"),
  loop("{{ {'a b': 1}[m.content] }}"),
  loop("{% filter upper %}{{ m.content }}{% endfilter %}"),
  "{% macro f(x) %}{{ x | upper }}{% endmacro %}" + loop("{{ f(m.content) }}"),
  "{{ messages | map(attribute='content') | join(' ') }}",
  "{{ messages | selectattr('content', 'equalto', 'c') | list | length }}",
  "{{ (messages | sort(attribute='content'))[0].role }}",
  "{% for c in messages[0].content %}{{ c }}{% endfor %}",
])("a template that looks into what is said has none: %s", (source) => {
  expect(byOutline(source, conversation("a b", "c"))).toBeUndefined();
});

test("text with white space around it is not trimmed by outline", () => {
  expect(byOutline(loop("{{ m.content | trim }}"), conversation(" a", "b"))).toBeUndefined();
});

test("what a template made of marks that it was given is no mark", () => {
  const source = loop("{{ m.content }}");
  const fromOutline = outlinesOf(parseTemplate(source));
  const render = (text: string) => fromOutline(conversation(text), "", () => ({}));
  render("a");
  expect(render("$& $1 0t; 1u;")).toBe("$& $1 0t; 1u;");
});

test("by outline or in full, 28 models' templates make the same of any conversation", async () => {
  const [qwen] = await fixture<{ template: string }>("qwen25-chat/cases.jsonl");
  const cases = await fixture<{ id: string; chat_template: string }>("jinja-templates/cases.jsonl");
  const next = random(7);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(next() * of.length)]!;
  const parts = [
    "hello",
    " ",
    "\n",
    "</think>",
    "<|im_end|>",
    "[TOOL_CALLS]",
    "{{ x }}",
    "é",
    "'",
    "",
    "<tool_response>",
  ];
  const text = (): string => Array.from({ length: 1 + Math.floor(next() * 4) }, () => pick(parts)).join("");
  const roles = { s: "system", u: "user", a: "assistant" } as const;
  const outcome = (render: () => string): string => {
    try {
      return render();
    } catch (error) {
      return `error: ${(error as Error).message}`;
    }
  };
  let outlined = 0;
  for (const { id, chat_template } of [...cases, { id: "qwen2.5", chat_template: qwen!.template }]) {
    const compile = () => compileChatTemplate(id, chat_template, { eos_token: "</s>" });
    const shared = compile();
    for (let i = 0; i < 30; i++) {
      const messages = [...pick(["ua", "sua", "uaua", "u"])].map(
        (letter): ChatMessage => ({ role: roles[letter as keyof typeof roles], content: text() }),
      );
      const options = { addGenerationPrompt: next() < 0.5, now: "2025-07-10" };
      // The first of its shape is rendered in full.
      const full = compile();
      expect(
        outcome(() => shared.render(messages, options)),
        id,
      ).toBe(outcome(() => full.render(messages, options)));
    }
    const fromOutline = outlinesOf(parseTemplate(chat_template));
    const plain = () => fromOutline(conversation("a", "b"), "", () => ({ none: null, eos_token: "</s>" }));
    plain();
    if (plain() !== undefined) outlined++;
  }
  expect(outlined).toBeGreaterThan(10);
});
