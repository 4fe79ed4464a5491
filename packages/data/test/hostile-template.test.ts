import { expect, test } from "vitest";
import { type ChatMessage, compileChatTemplate } from "../src/index.js";
import { userError } from "./support/qwen25.js";

const HI: readonly ChatMessage[] = [{ role: "user", content: "hi" }];

function render(template: string, messages = HI): string {
  return compileChatTemplate("t.jinja", template, {}).render(messages, { addGenerationPrompt: false });
}

/** Sets `s` to 2^n characters, `a` to a list of 2^n items. */
const text = (n: number, seed = "x"): string =>
  `{% set ns = namespace(s='${seed}') %}{% for i in range(${n}) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{% set s = ns.s %}`;
const list = (n: number, item = "1"): string =>
  `{% set ns = namespace(a=[${item}]) %}{% for i in range(${n}) %}{% set ns.a = ns.a + ns.a %}{% endfor %}{% set a = ns.a %}`;
/** `name` holds itself ten times at each of `n` levels: small in memory, 10^n when written out. */
const tree = (n: number): string =>
  `{% set ns = namespace(t=[1]) %}{% for i in range(${n}) %}{% set ns.t = [${"ns.t,".repeat(9)} ns.t] %}{% endfor %}`;
const rings = (n: number): string =>
  Array.from({ length: n }, (_, i) => `{% set n${i} = namespace() %}`).join("") +
  Array.from({ length: n - 1 }, (_, i) => `{% set n${i}.x = [n${i + 1}, n${i + 1}] %}`).join("");
const forever = (body: string): string => `{% for i in range(99999) %}${body}{% endfor %}`;

const HOSTILE: Readonly<Record<string, string>> = {
  "a long loop": forever(`{{ 1${"+1".repeat(200)} }}`),
  "nested loops": forever(forever(forever(""))),
  "a walked list": `{% set r = range(99999) %}{% for i in range(999) %}{% for j in r %}{% endfor %}{% endfor %}`,
  "an endless range": "{% for i in range(1000000000) %}{% endfor %}",
  "a range of a list": `${tree(12)}{{ range(ns.t) }}`,
  "a loop of unknown names": forever(forever("{{ nope }}")),
  "a loop that continues": forever(forever("{% continue %}")),
  "a growing string": `${text(40)}{{ s }}`,
  "a string grown by nested loops": `{% set ns = namespace(s='x') %}${forever("{% set ns.s = ns.s + 'xxxxxxxxxxxxxxxxxxxx' ~ i %}")}{{ ns.s }}`,
  "strings kept in a list": `${text(21)}{% set ns.l = [] %}${forever("{% set ns.l = ns.l + [ns.s + i] %}{{ ns.l[0][0:1] }}")}`,
  "string multiplication": "{{ 'x' * 1000000000 }}",
  "a growing list": `${list(60)}{{ a | length }}`,
  "a macro without an end": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
  "macros of each other":
    "{% macro a() %}{{ b() }}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}",
  "a macro that branches":
    "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}",
  "loops deep in macros": `{% macro m(n) %}{% if n %}{{ m(n-1) }}{% else %}${forever("{{ nope }}")}{% endif %}{% endmacro %}{{ m(90) }}`,
  "macros defined over and over": forever(`{% macro m(x) %}${"{{ x }}".repeat(5000)}{% endmacro %}`),
  "a caller of itself": "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
  "a huge join": `${text(20)}${list(16, "'y'")}{{ a | join(s) | length }}`,
  "a join of joins": `${list(21, "'y'")}${forever("{% set b = a | join(',') %}")}`,
  "a huge replace": `${text(20)}{{ s | replace('', s) | length }}`,
  "a huge replace by method": `${text(20)}{{ s.replace('x', s) | length }}`,
  replaces: `${text(20)}${forever("{% set b = s.replace('x', 'yy') %}")}`,
  slices: `${text(21)}${forever("{% set b = s[0:1] %}")}`,
  "slices backwards": `${text(21)}${forever("{% set b = s[::-1] %}")}`,
  "slices of lists": `${list(18)}${forever("{% set b = a[1:] %}")}`,
  "a split": `${text(22)}{{ s.split('x') | length }}`,
  splits: `${text(20, "x ")}${forever("{% set b = s.split() %}")}`,
  "splits kept": `${text(12)}{% set ns.l = [] %}${forever("{% set ns.l = ns.l + [s.split('x')] %}")}`,
  "a wide indent": `${text(20, "\\n")}{{ s | indent(100000000) | length }}`,
  "a wide tojson": "{{ [[[[1]]]] | tojson(indent=100000000) }}",
  "a tree as JSON": `${tree(12)}{{ ns.t | tojson }}`,
  "a tree as text": `${tree(12)}{{ ns.t }}`,
  "a tree in a condition": `${tree(12)}{% if ns.t == 'x' %}{% endif %}`,
  "a tree appended": `${tree(12)}{{ 'x' + ns.t }}`,
  "a tree joined": `${tree(12)}{{ [ns.t] | join(',') }}`,
  "a tree as a string": `${tree(12)}{{ ns.t | string | length }}`,
  "a tree as a reason": `${tree(12)}{{ raise_exception(ns.t) }}`,
  "a ring": "{% set n = namespace() %}{% set n.x = [n, n] %}{{ n | tojson }}",
  rings: `${rings(60)}{{ n0 }}`,
  "searches of a list": `${list(18)}${forever("{% if 2 in a %}{% endif %}")}`,
  "searches of texts": `${text(21)}{% set t = s + 'a' %}{% set u = s + 'a' %}${forever("{% if t in [u, u, u, u, u, u, u, u] %}{% endif %}")}`,
  "searches of a string": `${text(21)}${forever("{% if 'xy' in s %}{% endif %}")}`,
  comparisons: `${text(21)}{% set t = s + '' %}${forever(forever("{% if t == s %}{% endif %}"))}`,
  sorts: `${list(18)}${forever("{% set b = a | sort %}")}`,
  "a sort of long texts": `${text(20)}{% set ns.a = [s] %}{% for i in range(18) %}{% set ns.a = ns.a + ns.a %}{% endfor %}{{ ns.a | sort | length }}`,
  "long attributes": `${text(20, "a.")}${list(16, "{'a': 1}")}{{ a | map(attribute=s) | list | length }}`,
  "sorted by long attributes": `${text(20, "a.")}${list(16, "{'a': 1}")}{{ a | sort(attribute=s) | length }}`,
  unique: `${list(18)}${forever("{% set b = a | unique %}")}`,
  title: `${text(20, "x ")}${forever("{% set b = s | title %}")}`,
  "tests of prefixes": `${text(20)}${list(16, "s + 'y'")}${forever("{% if s.startswith(a) %}{% endif %}")}`,
  powers: forever(forever("{{ 9.9 ** 300 }}")),
  "white space": `${" ".repeat(400_000)}x`,
  "a long source": "x".repeat(600_000),
  "deep brackets": `{{ ${"(".repeat(100_000)} }}`,
  "deep lists": `{{ ${"[".repeat(20_000)}${"]".repeat(20_000)} }}`,
  "a long sum": `{{ 1${"+1".repeat(20_000)} }}`,
  "deep conditions": `${"{% if true %}".repeat(5000)}x${"{% endif %}".repeat(5000)}`,
};

test.each(Object.entries(HOSTILE))("%s ends in an error, soon", async (_, template) => {
  const before = process.memoryUsage().rss;
  const started = performance.now();
  const message = await userError("bad_template", () => render(template));
  // Each takes under a second on a quiet machine.
  expect(performance.now() - started).toBeLessThan(5000);
  expect(process.memoryUsage().rss - before).toBeLessThan(600e6);
  expect(message).toContain("t.jinja");
});
