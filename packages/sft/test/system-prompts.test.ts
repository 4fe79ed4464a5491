// Area system-prompts: what is composed is many and suits its conversation; probes put every question under the same prompts.
import { expect, it } from "vitest";
import { building } from "./support/building.js";

const { server, answering, at, write, lines, output, make } = building();

interface Row {
  readonly task: string;
  readonly kind?: string;
  readonly answer?: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly evidence: { readonly asked?: readonly object[]; readonly checked_parts?: number };
}

const systemOf = ({ messages: [first] }: Row): string => (first!.role === "system" ? first!.content : "");
const chat = (question: string, ...answers: readonly string[]) => ({
  messages: answers.flatMap((answer) => [
    { role: "user", content: question },
    { role: "assistant", content: answer },
  ]),
});
const brief = chat(
  "What is the capital of France, and how many people live there?",
  "Paris; about two million.",
);
const long = chat(
  "Tell me about tea.",
  `Sure! Here it is.\n\n# Tea\n\nTea is a **drink**. 🍵\n\n- green\n- black\n\n${"It is made of leaves that people pick by hand in the hills. ".repeat(30)}\n\nSorry, I am Bob. Shall I go on?`,
);

it("composes hundreds, each of which its conversation follows", async () => {
  const name = output();
  const seeds = write("chats.jsonl", [brief, long]);
  const options = { area: "system-prompts", seeds: [seeds], num_samples: 400, rows: 1000 };
  const report = await make({ ...options, output: at(name) });
  const rows = lines<Row>(name);
  expect(report.rows).toBe(rows.length);
  const under = (question: string): readonly string[] =>
    rows.filter(({ messages }) => messages[1]!.content === question).map(systemOf);
  const [short, wordy] = [brief, long].map(({ messages }) => under(messages[0]!.content)) as [
    string[],
    string[],
  ];
  expect(new Set([...short, ...wordy]).size).toBeGreaterThan(500);
  const all = (prompts: readonly string[]): string => prompts.join("\n");
  // What a brief, plain answer follows, and what it breaks.
  for (const text of ["Be brief.", "at most 30 words", "Answer in a single paragraph.", "Do not use emoji."])
    expect(all(short).includes(text), text).toBe(true);
  for (const text of ["Be thorough", "at least 20 words", "into a list", "fenced blocks", 'line "Answer: "'])
    expect(all(short).includes(text), text).toBe(false);
  for (const text of ["Be thorough", "at least 150 words", "into a list"])
    expect(all(wordy).includes(text), text).toBe(true);
  for (const text of [
    ...[
      "Be brief.",
      "at most 300",
      "single paragraph",
      "Do not use emoji.",
      "without Markdown",
      "Use no headings",
    ],
    ...["exclamation", "end with a question", "Do not apologize", "Your name is", "filler", "formal tone"],
  ])
    expect(all(wordy).includes(text), text).toBe(false);
  // The same seed composes the same.
  const again = output();
  await make({ ...options, output: at(again) });
  expect(lines(again)).toEqual(rows);
});

it("asks a critic where there is one, and keeps no conversation that has a system prompt or no answer", async () => {
  const name = output();
  let asked = 0;
  answering((body) => {
    expect(body.messages.at(-1)!.content).toContain("<system>");
    asked++;
    return asked <= 2 ? `Verdict: ${asked === 1 ? "contradicted" : "consistent"}` : "hm";
  });
  const seeds = write("mixed.jsonl", [
    brief,
    { messages: [{ role: "system", content: "Be kind." }, ...brief.messages] },
    { prompt: "What now?" },
  ]);
  const report = await make({
    ...{ area: "system-prompts", seeds: [seeds], num_samples: 3, rows: 50, output: at(name) },
    ...{ base_url: server().baseUrl, model: "teacher" },
  });
  expect(lines<Row>(name)).toHaveLength(1);
  expect(lines<Row>(name)[0]!.evidence.asked).toMatchObject([
    { role: "critic", prompt: "system-prompts-check" },
  ]);
  expect(report.steps.map(({ step, dropped }) => [step, dropped])).toEqual([
    ["read", {}],
    ["choose", { has_a_system_prompt: 1, has_no_answer: 1 }],
    ["compose", {}],
    ["distinct", {}],
    ["check", { contradicted: 1, no_verdict: 1 }],
  ]);
});

it("puts every question under the same prompts and under none, with what grades it", async () => {
  const name = output();
  const seeds = write("sums.jsonl", [
    { question: "What is 2 + 3?", answer: "5", kind: "easy" },
    { question: "What is 10 / 4?", answer: "2.5" },
    { question: "Who are you?" },
  ]);
  const report = await make({
    ...{ area: "system-prompts", tasks: ["probe"], seeds: [seeds], num_samples: 12, rows: 100 },
    output: at(name),
  });
  const rows = lines<Row>(name);
  expect([rows.length, report.steps.at(-1)!.dropped]).toEqual([26, { no_answer: 1 }]);
  const kinds = [...new Set(rows.map(({ kind }) => kind))];
  expect(kinds.slice(0, 3)).toEqual(["no system prompt", "system 01", "system 02"]);
  for (const kind of kinds) {
    const own = rows.filter((row) => row.kind === kind);
    expect(own.map(({ answer }) => answer)).toEqual(["5", "2.5"]);
    expect(new Set(own.map(systemOf)).size).toBe(1);
    expect(own[0]!.messages).toHaveLength(kind === "no system prompt" ? 1 : 2);
  }
  expect(new Set(rows.map(systemOf)).size).toBe(13);
  // No rule that would change how an answer is graded.
  expect(rows.map(systemOf).join("\n")).not.toMatch(/at most|paragraph|brief|list/);
});
