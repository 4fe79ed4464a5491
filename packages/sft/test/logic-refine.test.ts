// Area logic with a teacher: right answers with flawless reasoning stay, after as many rounds as they take; questions with answers from files.
import { expect, it } from "vitest";
import type { ServedRequest } from "../../../tests/support/openai-server.js";
import { building } from "./support/building.js";

const { server, answering, at, write, lines, output, make } = building();

interface Row {
  readonly task: string;
  readonly answer: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly evidence: { readonly rounds: number; readonly asked: readonly { readonly role: string }[] };
}

const isCritic = ({ messages }: ServedRequest): boolean =>
  messages[0]!.content.includes("You check reasoning");
const asking = (more: object = {}) => ({
  ...{ area: "logic", base_url: server().baseUrl, model: "teacher", rows: 50, ...more },
});

it("goes back with what is wrong until nothing is, or the rounds are over", async () => {
  const name = output();
  const seeds = write("questions.jsonl", [
    {
      context: "All cats purr. Tom is a cat.",
      question: "Does Tom purr?",
      options: ["A) Yes", "B) No"],
      answer: "A",
    },
    { premises: ["No fish walks.", "Rex walks."], conclusion: "Rex is a fish.", label: "False" },
    { question: "Never right?", answer: "True" },
    { question: "Always flawed?", options: ["yes", "no"], answer: "B" },
    { question: "Without an answer?" },
  ]);
  const asked: string[] = [];
  answering((body) => {
    const text = body.messages.at(-1)!.content;
    if (isCritic(body)) {
      const isFlawed = text.includes("Always flawed") || text.includes("Sloppy.");
      return isFlawed ? "Step 1 does not follow.\nVerdict: flawed" : "Verdict: flawless";
    }
    asked.push(text);
    if (text.includes("Tom")) return text.includes("flaws") ? "All cats purr.\nAnswer: A" : "Hm.\nAnswer: B";
    if (text.includes("Rex"))
      return text.includes("Step 1 does not follow")
        ? "No fish walks, Rex does.\nAnswer: False"
        : "Sloppy.\nAnswer: False";
    return text.includes("Never right") ? "Answer: False" : "So it is.\nAnswer: B";
  });
  const report = await make({ ...asking(), seeds: [seeds], output: at(name) });
  const rows = lines<Row>(name);
  expect(
    rows.map(({ task, answer, messages, evidence }) => [task, answer, messages[1]!.content, evidence.rounds]),
  ).toEqual([
    ["given", "A", "All cats purr.\nAnswer: A", 2],
    ["given", "False", "No fish walks, Rex does.\nAnswer: False", 2],
  ]);
  expect(rows[0]!.messages[0]!.content).toMatch(
    /^All cats purr\. Tom is a cat\.\n\nDoes Tom purr\?\nA\) Yes\nB\) No\n\n/,
  );
  expect(rows[1]!.messages[0]!.content).toContain("Conclusion: Rex is a fish.");
  expect(rows[1]!.evidence.asked.map(({ role }) => role)).toEqual([
    "generator",
    "critic",
    "generator",
    "critic",
  ]);
  expect(report.steps.map(({ step, dropped }) => [step, dropped])).toEqual([
    ["read", { no_answer: 1 }],
    ["distinct", {}],
    ["refine", { wrong_answer: 1, flawed_reasoning: 1 }],
  ]);
  // The right answer is not given away.
  expect(asked.filter((text) => text.includes("Never right"))[1]).toMatch(/final answer is wrong/);
  expect(asked.filter((text) => text.includes("Never right"))[1]).not.toContain("True");
  const more = output();
  const three = await make({ ...asking({ refine_rounds: 1 }), seeds: [seeds], output: at(more) });
  expect([three.rows, three.steps.at(-1)!.dropped]).toEqual([0, { wrong_answer: 2, flawed_reasoning: 2 }]);
});

it("refines puzzles that it made, only where it is told to", async () => {
  const name = output();
  const options = asking({ tasks: ["inductive"], difficulty: [1], rows: 3, seed: 5 });
  await make({ ...options, output: at(name) });
  expect(server().bodies).toHaveLength(0);
  const [first] = lines<Row>(name);
  answering((body) => {
    if (isCritic(body)) return "Verdict: flawless";
    const known = lines<Row>(name).find(({ messages }) =>
      body.messages.at(-1)!.content.includes(messages[0]!.content),
    );
    return `I see.\nAnswer: ${known?.answer ?? "none"}`;
  });
  const refined = output();
  const report = await make({ ...options, refine_rounds: 2, output: at(refined) });
  expect(report.rows).toBe(3);
  expect(lines<Row>(refined)[0]).toMatchObject({
    ...{ task: "inductive", answer: first!.answer, difficulty: 1 },
    messages: [first!.messages[0], { role: "assistant", content: `I see.\nAnswer: ${first!.answer}` }],
    evidence: { rounds: 1, generator: expect.stringContaining("logic/") },
  });
  await expect(make({ ...options, tasks: ["given"], output: at(output()) })).rejects.toThrow(/--seeds/);
});
