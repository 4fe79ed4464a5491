// What of a response is graded, wherever it is graded.

import { gradeAnswer } from "@posttrain/answers";
import { saidAfter, withoutThinking } from "@posttrain/data";
import { expect, test } from "vitest";
import { openVerifiers } from "../src/index.js";

test.each<[response: string, seen: string | undefined]>([
  ["The answer is 5.", "The answer is 5."],
  ["  indented\n", "  indented\n"],
  ["<think>4?</think>The answer is 5.", "The answer is 5."],
  ["<think>\n4?\n</think>\n\n    return 5", "    return 5"],
  // The prompt opened it.
  ["it may be 4</think>The answer is 5.", "The answer is 5."],
  ["4</think>5</think>6", "6"],
  ["<THINK>4</Think>5", "5"],
  ["<thinking>4</thinking>5", "5"],
  // Several, and a word on each side.
  ["<think>4</think>The answer is 7<think>2?</think>2", "The answer is 7\n2"],
  // It speaks of its own tags.
  ["<think>I am to use <think> and <thinking></thinking> here</think>5", "5"],
  ["<think>a <think>b</think>c</think>5", "5"],
  ['Use `<think>` and "</think>".', 'Use `<think>` and "</think>".'],
  ["re.sub(r'<think>.*?</think>', '', s)", "re.sub(r'<think>.*?</think>', '', s)"],
  // It never closes.
  ["<think>The answer is 5.", undefined],
  ["The answer is 5. <think>or 6", undefined],
  ["<think>4</think>The answer is 5.<think>", undefined],
  ["<think>The answer is 5.</thinking>", undefined],
  ["<think>5</think>", ""],
])("of %j is seen %j", (response, seen) => {
  expect(withoutThinking(response)).toBe(seen);
});

test("thinking that the prompt began and nothing ended is thinking", () => {
  const prompt = "<|im_start|>assistant\n<think>\n";
  expect(withoutThinking(saidAfter(prompt, "The answer is 5."))).toBeUndefined();
  expect(withoutThinking(saidAfter(prompt, "so 4</think>The answer is 5."))).toBe("The answer is 5.");
  expect(saidAfter("<|im_start|>assistant\n", "The answer is 5.")).toBe("The answer is 5.");
  expect(saidAfter("<|im_start|>assistant\n<think>\n\n</think>\n\n", "5")).toBe("5");
});

const drafts = [
  "<think>ANSWER",
  "<think>ANSWER</think>",
  "ANSWER</think>",
  "ANSWER</think> I do not know.",
  "<think>a</think><think>ANSWER",
  "<think>ANSWER</think> and <thinking>ANSWER",
  `<think>ANSWER ${"so it is. ".repeat(25_000)} ANSWER`,
];

test("no verifier of ours grades what stands in thinking", async () => {
  await using verifiers = openVerifiers({ concurrency: 1, route: "wasm" });
  const rows: readonly (readonly [name: string, answer: string, row: Record<string, unknown>])[] = [
    ["math", "\\boxed{72}", { answer: "72" }],
    ["gsm8k", "\n#### 72\nA: 72", { answer: "72" }],
    ["multiple_choice", "The answer is B.", { answer: "B" }],
    ["exact", "Paris", { answer: "Paris" }],
    ["exact_match", "Paris", { answer: "Paris" }],
    ["text", "The answer is Paris.", { answer: "Paris" }],
    ["json", '<answer>{"a": 1}</answer>', { answer: '{"a": 1}' }],
    ["string_f1", "Paris", { answer: "Paris" }],
    ["puzzle", "Paris", { answer: "Paris" }],
    ["string_matcher", "<answer>Paris</answer>", { answer: "Paris" }],
    ["strict_math", "72", { answer: "72" }],
    ["flan", "The answer is: Paris", { answer: "Paris" }],
    ["re_search", "<finish>Paris</finish>", { answer: "Paris" }],
    ["re_search_f1", "<finish>Paris</finish>", { answer: "Paris" }],
    [
      "code",
      "\n```python\ndef add(a, b):\n    return a + b\n```\n",
      { language: "python", tests: "assert add(1, 2) == 3" },
    ],
    [
      "instructions",
      "a sea",
      { instructions: [{ id: "keywords:existence", kwargs: { keywords: ["sea"] } }] },
    ],
  ];
  for (const [name, answer, row] of rows) {
    const outcome = async (response: string) =>
      (await verifiers.grade(response, { ...row, verifier: name })).outcome;
    expect(await outcome(`<think>?</think>${answer}`), name).toBe("pass");
    for (const draft of drafts)
      expect(await outcome(draft.replaceAll("ANSWER", answer)), `${name}: ${draft}`).not.toBe("pass");
  }
});

test("no convention of a published grader grades what stands in thinking", () => {
  for (const mode of ["own", "qwen2.5-math", "hendrycks", "math-verify", "gsm8k"] as const) {
    const answer = mode === "gsm8k" ? "\n#### 72\n" : "$\\boxed{72}$";
    expect(gradeAnswer("72", `<think>?</think>${answer}`, { mode }).outcome, mode).toBe("pass");
    for (const draft of drafts)
      expect(gradeAnswer("72", draft.replaceAll("ANSWER", answer), { mode }).outcome, mode).not.toBe("pass");
  }
});
