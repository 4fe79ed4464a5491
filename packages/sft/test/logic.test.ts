// Puzzles: what is said to be true is true, as a solver finds it that reads the text alone; nothing comes twice; a row is a function of seed and place.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { type BuildReport, build, buildConfig } from "../src/index.js";
import { noModels } from "./support/building.js";
import { solvers } from "./support/logic-solver.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-logic-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Row {
  readonly messages: readonly [{ readonly content: string }, { readonly content: string }];
  readonly task: string;
  readonly difficulty: number;
  readonly answer: string;
  readonly evidence: { readonly generator: string; readonly format: string };
}

let files = 0;
async function made(
  options: object,
): Promise<{ readonly rows: readonly Row[]; readonly report: BuildReport; readonly text: string }> {
  const output = join(folder, `${files++}.jsonl`);
  const report = await build(buildConfig.parse({ area: "logic", output, ...options }), noModels);
  const text = readFileSync(output, "utf8");
  return {
    report,
    text,
    rows: text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Row),
  };
}

/** What is wrong with a row's answer. */
function problemOf({
  messages: [{ content }, response],
  answer,
  evidence: { generator, format },
}: Row): string | undefined {
  const parts = content.split("\n\n");
  const [facts, middle] = [parts.slice(0, -2).join("\n\n"), parts.at(-2)!];
  const solved = solvers[generator.replace("logic/", "")]!(facts);
  if (!response.content.endsWith(`\nAnswer: ${answer}`)) return "the response ends otherwise";
  if (format === "open") return solved.answers(middle, answer) ? undefined : `${answer} is false`;
  if (format === "true or false") {
    const is = solved.statement(middle.replace(/^Statement: /, "")) ? "True" : "False";
    return is === answer ? undefined : `it is ${is}`;
  }
  const [question, ...options] = middle.split("\n");
  const right = options.filter((option) => solved.answers(question!, option.replace(/^[A-E]\. /, "")));
  return right.length === 1 && right[0]!.startsWith(`${answer}. `)
    ? undefined
    : `right: ${right.join(" | ")}`;
}

it("has answers that a solver finds from the text, one alone where there are options", async () => {
  const { rows, report } = await made({ rows: 3000, seed: 7 });
  expect(report).toMatchObject({ end: "complete", rows: 3000, unanswered: 0 });
  const wrong = rows.flatMap((row) => {
    const problem = problemOf(row);
    return problem === undefined ? [] : [`${row.evidence.generator}, ${problem}: ${row.messages[0].content}`];
  });
  expect(wrong).toEqual([]);
  const seen = new Set(rows.map(({ evidence }) => `${evidence.generator} ${evidence.format}`));
  expect(seen.size).toBe(Object.keys(solvers).length * 3);
});

it("gives every kind of reasoning and every grade its share, and both answers to statements", async () => {
  const { report, rows } = await made({ rows: 1500, seed: 3 });
  expect(Object.keys(report.tasks).sort()).toEqual([
    "analogical",
    "causal",
    "deductive",
    "inductive",
    "statistical",
  ]);
  for (const count of Object.values(report.tasks)) expect(count).toBeGreaterThan(290);
  for (const count of Object.values(report.difficulty)) expect(count).toBeGreaterThan(290);
  const statements = rows.filter(({ evidence }) => evidence.format === "true or false");
  const share = statements.filter(({ answer }) => answer === "True").length / statements.length;
  expect(share).toBeGreaterThan(0.42);
  expect(share).toBeLessThan(0.58);
  const easy = await made({ rows: 60, difficulty: [1], tasks: ["causal"] });
  expect(easy.report).toMatchObject({ tasks: { causal: 60 }, difficulty: { 1: 60 } });
});

it("is the same file for the same seed, another for another, and says nothing twice", async () => {
  const [a, b, c] = [
    await made({ rows: 400, seed: 5 }),
    await made({ rows: 400, seed: 5 }),
    await made({ rows: 400, seed: 6 }),
  ];
  expect(a.text).toBe(b.text);
  const questions = ({ rows }: typeof a) => rows.map(({ messages }) => messages[0].content);
  expect(new Set(questions(a)).size).toBe(400);
  expect(questions(c).filter((question) => questions(a).includes(question)).length).toBeLessThan(8);
  // A longer file begins with the shorter one.
  expect((await made({ rows: 600, seed: 5 })).text.startsWith(a.text)).toBe(true);
});
