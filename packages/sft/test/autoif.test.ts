// AutoIF's steps on its published samples, and the whole of it behind a server that says right and wrong things.
import { readFileSync } from "node:fs";
import { openJournal } from "@posttrain/run";
import { closeSandboxes } from "@posttrain/sandbox";
import { afterAll, expect, it } from "vitest";
import { json } from "../../../tests/support/openai-server.js";
import { crossCheck } from "../src/builders/cross-check.js";
import { autoIfRules, crossValidated, proposedIn } from "../src/builders/instructions/verifiers.js";
import { scoreIn } from "../src/builders/said-json.js";
import type { BuildReport } from "../src/index.js";
import { building, byPrompt } from "./support/building.js";
import { verify } from "./support/verify-rows.js";

const { server, answering, at, write, lines, output, make: build } = building();
const teach = (teacher: Parameters<typeof byPrompt>[0]): void => answering(byPrompt(teacher));
afterAll(closeSandboxes);

const fixture = <T>(name: string): readonly T[] =>
  readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

it("gives AutoIF's published functions the accuracy that its own code gave them", async () => {
  const journal = await openJournal(at("journal.jsonl"));
  for (const { verification_functions, cases } of fixture<{
    readonly verification_functions: readonly (readonly [string, number])[];
    readonly cases: readonly { readonly input: string; readonly expected: boolean }[];
  }>("autoif-verifiers.jsonl")) {
    const functions = verification_functions.map(([source]) => source);
    const outcome = await crossValidated({ functions, cases }, autoIfRules.repo, journal);
    if (!("kept" in outcome)) throw new Error(JSON.stringify(outcome));
    const [{ functions: kept, cases: held }] = outcome.kept as [(typeof outcome.kept)[number]];
    expect(held).toEqual(cases);
    const accuracy = Object.fromEntries(kept.map(({ source, accuracy }) => [source, accuracy]));
    expect(accuracy).toEqual(Object.fromEntries(verification_functions));
  }
  // Functions that loop, raise, do not parse or return no truth bear nothing out.
  const bad = [
    "def evaluate(r):\n    return r.foo",
    "def evaluate(r) return",
    "def evaluate(r):\n    return len(r)",
    "def check(r):\n    return True",
  ];
  const cases = [{ input: "a", expected: true }];
  expect(await crossValidated({ functions: bad, cases }, autoIfRules.repo, journal)).toMatchObject({
    dropped: "not_borne_out",
  });
  await journal.close();
});

it("reads scores as AutoIF's filter does", () => {
  const rows = fixture<{ readonly gen: readonly [string]; readonly kept: boolean }>("autoif-scores.jsonl");
  const kept = rows.map(({ gen: [text] }) => autoIfRules.repo.isScoreEnough(scoreIn(text)!));
  expect(kept).toEqual(rows.map(({ kept }) => kept));
  expect(
    ["Score: 10", "**Score:** 7", "I score it. Score: 3\nScore: 8/10", "no number", "Score: 11"].map(scoreIn),
  ).toEqual([10, 7, 8, undefined, undefined]);
});

it("keeps cases and functions by the shares of its rule", () => {
  const agrees = [
    [true, true, false, true],
    [true, false, false, false],
    [true, true, false, false],
  ];
  // Cases 1, 2/3, 0, 1/3 of three functions; then of cases 0 and 1: 1, 1/2, 1.
  expect(crossCheck(agrees, autoIfRules.paper)).toEqual({
    cases: [0, 1],
    functions: [
      { index: 0, accuracy: 1 },
      { index: 2, accuracy: 1 },
    ],
  });
  // Any function is enough for a case: 0, 1, 3; then 1, 1/3, 2/3.
  expect(crossCheck(agrees, autoIfRules.repo)).toEqual({
    cases: [0, 1, 3],
    functions: [{ index: 0, accuracy: 1 }],
  });
});

it("takes functions and cases out of whatever was said", () => {
  const said = (value: unknown): string => `Here:\n\`\`\`json\n${JSON.stringify(value)}\n\`\`\`\nDone.`;
  const func = "def evaluate(response):\n    import requests\n    return True";
  const { functions, cases } = proposedIn([
    said({
      func,
      cases: [
        { input: "a", output: true },
        { input: "b", output: "False" },
        { input: 3, output: true },
        { input: "c", output: 1 },
      ],
    }),
    said({ func: func.replaceAll("\n", "\\n"), cases: [{ input: "a", output: true }] }),
    said({ func: "def check(r): pass", cases: [] }),
    said([1]),
    "no JSON {",
  ]);
  expect(functions).toEqual(["def evaluate(response):\n    return True"]);
  expect(cases).toEqual([
    { input: "a", expected: true },
    { input: "b", expected: false },
  ]);
});

const make = (options: Readonly<Record<string, unknown>>): Promise<BuildReport> =>
  build({ area: "instructions", base_url: server().baseUrl, model: "teacher", ...options });

interface Row {
  readonly task: string;
  readonly messages: readonly [{ readonly content: string }, { readonly content: string }];
  readonly checker: { readonly source: string };
  readonly evidence: {
    readonly accuracy: number;
    readonly score: number;
    readonly asked: readonly { readonly prompt: string }[];
  };
  readonly parents: readonly string[];
}

const short = "def evaluate(response):\n    return len(response.split()) < 6";
const verifier = (func: string, ...cases: readonly (readonly [string, boolean])[]): string =>
  JSON.stringify({ func, cases: cases.map(([input, output]) => ({ input, output })) });

it("grows, verifies, translates back, answers and scores; what is wrong goes by reason, and nothing is paid for twice", async () => {
  let isDown = true;
  teach((prompt, nth) => {
    if (prompt.includes("Write 20 more"))
      return "Here they are:\n1. Answer in fewer than six words.\n- Write every word twice\n* Use only vowels, please";
    if (prompt.includes("Which instruction does it check?")) return "Use at most five words.";
    if (prompt.includes("evaluate(response)")) {
      if (prompt.includes("every word twice")) return "I cannot.";
      if (prompt.includes("only vowels"))
        return verifier("def evaluate(response):\n    return 'b' in response", ["b", false], ["a", true]);
      return nth === 0
        ? verifier(short, ["one two", true], ["one two three four five six seven", false])
        : nth === 1
          ? verifier(short.replace("< 6", "<= 5"), ["a b c", true], ["x", false])
          : verifier("def evaluate(response):\n    return True", ["y z", true]);
    }
    if (prompt.includes("Hypothesis:")) return "Entailment.";
    if (prompt.includes("Does the response answer"))
      return prompt.includes("Paris") ? "Good.\nScore: 9" : "Bad.\nScore: 4";
    if (prompt.includes("capital of Spain") && isDown) return json(500, {});
    if (prompt.includes("capital of France"))
      return nth === 0
        ? "It is Paris."
        : nth === 1
          ? "The capital of France is the city of Paris."
          : "Berlin";
    return "Madrid";
  });
  const seeds = write("seeds.jsonl", [
    { constraint: "Answer in fewer than six words" },
    { prompt: "What is the capital of France?" },
    {
      messages: [
        { role: "user", content: "Name the capital of Spain." },
        { role: "assistant", content: "Madrid" },
      ],
    },
    { note: "asks nothing" },
  ]);
  const name = output();
  const options = { seeds: [seeds], tasks: ["autoif"], num_samples: 3, output: at(name) };
  const report = await make(options);
  const dropped = Object.fromEntries(report.steps.map((step) => [step.step, step.dropped]));
  expect(dropped).toEqual({
    read: { asks_nothing: 1 },
    grow: {},
    distinct: expect.anything(),
    verifiers: { no_function: 1 },
    "cross-validate": { not_borne_out: 1 },
    "back-translate": {},
    queries: {},
    respond: {},
    execute: { not_followed: 1 },
    score: { low_score: 1 },
  });
  expect(report).toMatchObject({ rows: 1, unanswered: 3 });
  const [row] = lines<Row>(name);
  expect(row).toMatchObject({
    task: "autoif",
    messages: [
      { content: "What is the capital of France?\n\nAnswer in fewer than six words" },
      { content: "It is Paris." },
    ],
    checker: { language: "python", entryPoint: "evaluate" },
    // The case that no function agrees with is gone; the one that says yes to everything passes 3 of the other 4, which is enough for the paper.
    evidence: { accuracy: 1, functions: 3, score: 9 },
  });
  expect(row!.evidence.asked.map(({ prompt }) => prompt)).toEqual([
    "instructions-verifier",
    ...Array.from({ length: 3 }, () => "instructions-back-translate"),
    ...Array.from({ length: 3 }, () => "instructions-contradiction"),
    ...["instructions-respond", "instructions-score"],
  ]);
  expect(row!.parents).toHaveLength(2);
  isDown = false;
  server().reset();
  expect(await make(options)).toMatchObject({ rows: 1, unanswered: 0 });
  // Three answers, of which two are the same, and one score.
  expect(server().bodies).toHaveLength(4);
  expect(await make(options)).toMatchObject({ end: "nothing" });
});

it("takes instructions with their functions from a file, and drops those whose functions say otherwise", async () => {
  teach((prompt) => {
    if (prompt.includes("Hypothesis:")) return prompt.includes("palindromes") ? "contradiction" : "neutral";
    if (prompt.includes("Does the response answer")) return "Score: 10";
    return "sing-ing";
  });
  const given = readFileSync(new URL("fixtures/autoif-verifiers.jsonl", import.meta.url), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const seeds = write("given.jsonl", [
    ...given.slice(2, 4),
    { query: "What do birds like to do in the morning?" },
  ]);
  const name = output();
  const report = await make({
    seeds: [seeds],
    tasks: ["autoif"],
    num_samples: 1,
    preset: "repo",
    output: at(name),
    temperature: 0,
  });
  const rows = lines<Row>(name);
  expect(rows.map(({ messages }) => messages[1].content)).toEqual(["sing-ing"]);
  expect(report.steps.find(({ step }) => step === "back-translate")).toMatchObject({
    kept: 1,
    dropped: { contradiction: 1 },
  });
});

it("answers queries under IFEval's checks, and keeps what they pass", async () => {
  teach((prompt) => (prompt.includes("Does the response answer") ? "Score: 8" : "well then, hello"));
  const seeds = write(
    "queries.jsonl",
    Array.from({ length: 60 }, (_, i) => ({ prompt: `Say hello in way ${i}.` })),
  );
  const name = output();
  const report = await make({
    seeds: [seeds],
    tasks: ["checked"],
    difficulty: [1],
    num_samples: 1,
    output: at(name),
  });
  const steps = Object.fromEntries(report.steps.map((step) => [step.step, step]));
  expect(report.rows).toBeGreaterThan(5);
  expect(steps["execute"]!.dropped["not_followed"]).toBe(60 - report.rows);
  expect(await verify(lines<Row>(name))).toEqual({ pass: report.rows });
});

it("says what it needs", async () => {
  const rows = write("constraint.jsonl", [{ constraint: "Write no word" }]);
  await expect(make({ seeds: [rows], tasks: ["autoif"], output: at(output()) })).rejects.toThrow(
    /no row of --seeds asks anything/,
  );
  await expect(make({ seeds: [rows], tasks: ["composed"], output: at(output()) })).rejects.toThrow(
    /checked and autoif/,
  );
  await expect(make({ tasks: ["autoif"], output: at(output()) })).rejects.toThrow(/begin with queries/);
});
