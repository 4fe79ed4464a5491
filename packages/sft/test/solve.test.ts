// Area mathematics with a teacher: votes among solutions of problems without answers, weighed by a reward model, and the best of those that go different ways.
import { writeFileSync } from "node:fs";
import { beforeAll, expect, it } from "vitest";
import type { BuildRun } from "../src/index.js";
import { building, says } from "./support/building.js";

const { server, at, write, lines, output, make } = building();
beforeAll(() => writeFileSync(at("reward.onnx"), "any bytes"));

interface Row {
  readonly task: string;
  readonly answer?: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly evidence: { readonly vote?: object; readonly reward?: { readonly score: number | null } };
}
const saidBy = (name: string): readonly string[] =>
  lines<Row>(name).map(({ messages }) => messages[1]!.content);
const solutions = [
  "2 + 3 = 5, so \\boxed{5}",
  "3 + 2 = 5, so \\boxed{5.0}",
  "It is \\boxed{6}",
  "5 = 5, that is \\boxed{\\frac{10}{2}}",
  "I do not know.",
];
const voting = (more: object = {}) => ({
  ...{ area: "mathematics", tasks: ["vote"], base_url: server().baseUrl, model: "teacher", rows: 50 },
  seeds: [write("problems.jsonl", [{ problem: "What is 2 + 3?" }])],
  ...{ num_samples: solutions.length, ...more },
});
/** A reward model that says of each solution what the test says. */
const scoring = (scores: readonly (number | null)[]): Pick<BuildRun, "withReward"> => ({
  withReward: (_, body) =>
    body(async (messages) => scores[solutions.indexOf(messages[1]!.content as string)] as number | null),
});

it("takes the answer of the majority, and what leads to it", async () => {
  const name = output();
  server().answers = solutions.map((text) => says(text));
  const report = await make({ ...voting(), output: at(name) });
  expect(saidBy(name)).toEqual([solutions[0], solutions[1], solutions[3]]);
  expect(lines<Row>(name)[0]).toMatchObject({
    ...{ task: "vote", answer: "5" },
    evidence: {
      vote: {
        ...{ of: 5, share: 0.6 },
        votes: [
          { answer: "5", votes: 3, weight: 3 },
          { answer: "6", votes: 1, weight: 1 },
        ],
      },
    },
  });
  expect(report.steps.map(({ step }) => step)).toEqual(["read", "solve", "vote", "diversity"]);
  // A solution without an answer speaks for none: 3 of 5 are no two thirds.
  const strict = output();
  server().answers = solutions.map((text) => says(text));
  const none = await make({ ...voting({ min_agreement: 0.66 }), output: at(strict) });
  expect([none.rows, none.steps.find(({ step }) => step === "vote")!.dropped]).toEqual([
    0,
    { no_majority: 1 },
  ]);
});

it("weighs votes by a reward model, and keeps the best of several ways", async () => {
  const reward = { reward_model_name_or_path: at("reward.onnx") };
  const few = output();
  server().answers = solutions.map((text) => says(text));
  // One solution that is trusted weighs more than three that are not.
  await make(
    { ...voting({ ...reward, min_agreement: 0.6 }), output: at(few) },
    scoring([-3, -3, 4, -3, null]),
  );
  expect([saidBy(few), lines<Row>(few)[0]!.answer]).toEqual([[solutions[2]], "6"]);
  const best = output();
  server().answers = solutions.map((text) => says(text));
  const report = await make(
    { ...voting({ ...reward, keep_best: 2 }), output: at(best) },
    scoring([1, 3, -2, 2, 0]),
  );
  expect(saidBy(best)).toEqual([solutions[1], solutions[3]]);
  expect(lines<Row>(best)[0]!.evidence.reward!.score).toBe(3);
  expect(report.steps.at(-1)).toMatchObject({ step: "best", dropped: { not_among_the_best: 1 } });
  // Nothing that could be weighed decides nothing.
  const blank = output();
  server().answers = solutions.map((text) => says(text));
  const none = await make({ ...voting(reward), output: at(blank) }, scoring([null, null, null, null, null]));
  expect(none.rows).toBe(0);
});

it("keeps the best right solutions of annotated problems, one for each way", async () => {
  const name = output();
  const ways = [
    "2 + 3 = 5 \\boxed{5}",
    "So 2 + 3 = 5. \\boxed{5}",
    "3 + 2 = 5 \\boxed{5}",
    "1 + 4 = 5 \\boxed{5}",
  ];
  server().answers = [...ways, "2 + 3 = 6 \\boxed{6}"].map((text) => says(text));
  const scores = [0, 2, 1, -1, 9];
  const report = await make(
    {
      ...voting({ tasks: ["solve"], keep_best: 2, reward_model_name_or_path: at("reward.onnx") }),
      seeds: [write("annotated.jsonl", [{ problem: "What is 2 + 3?", answer: "5" }])],
      output: at(name),
    },
    {
      withReward: (_, body) =>
        body(async (messages) => scores[ways.indexOf(messages[1]!.content as string)] ?? scores[4]!),
    },
  );
  // The better one of two that go the same way.
  expect(saidBy(name)).toEqual([ways[1], ways[2]]);
  expect(report.steps.map(({ step, dropped }) => [step, dropped])).toEqual([
    ["read", {}],
    ["solve", {}],
    ["score", {}],
    ["check", { wrong_answer: 1 }],
    ["diversity", { same_way: 1 }],
    ["best", { not_among_the_best: 1 }],
  ]);
});
