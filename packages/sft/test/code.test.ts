// Programs that pass: exercises that are made, and a teacher's, whose tests and programs bear each other out or go.
import { readFileSync } from "node:fs";
import { closeSandboxes, runProgram } from "@posttrain/sandbox";
import { afterAll, expect, it } from "vitest";
import { drawExercise, drawInputs, endText, outcomeOf, stepText } from "../src/builders/code/exercise.js";
import { programLanguages, programOf } from "../src/builders/code/programs.js";
import { createDraws } from "../src/builders/draws.js";
import { building, byPrompt } from "./support/building.js";
import { verify } from "./support/verify-rows.js";

const { server, answering, at, write, lines, output, make } = building();
afterAll(closeSandboxes);

interface Row {
  readonly task: string;
  readonly messages: readonly [{ readonly content: string }, { readonly content: string }];
  readonly code_task: {
    readonly mode: string;
    readonly cases: readonly { readonly stdin: string; readonly stdout: string }[];
  };
  readonly evidence: Readonly<Record<string, unknown>>;
}

it("makes exercises whose programs pass, in languages that take turns; another program fails", async () => {
  const name = output();
  const report = await make({ area: "code", rows: 6, seed: 2, output: at(name) });
  expect(report).toMatchObject({ end: "complete", tasks: { python: 2, javascript: 2, typescript: 2 } });
  const rows = lines<Row>(name);
  expect(new Set(rows.map(({ code_task }) => code_task.mode))).toEqual(new Set(["calls", "stdio"]));
  // Its own task grades it once more; a program of another row is wrong.
  const python = rows.filter(({ task }) => task === "python");
  expect(await verify(python)).toEqual({ pass: 2 });
  const swapped = python.map((row, i) => ({ ...row, messages: python[1 - i]!.messages }));
  expect((await verify(swapped))["pass"]).toBe(undefined);
});

it("comes to what its own words say, worked out from these alone", () => {
  const read = (text: string): RegExpExecArray["groups"] => /(?<k>-?\d+)|"(?<c>[a-z])"/.exec(text)?.groups;
  for (let index = 0; index < 400; index++) {
    const draw = createDraws(9, "code", index);
    const exercise = drawExercise(draw, 1 + (index % 5));
    for (const input of drawInputs(exercise, draw)) {
      let left = [...input];
      for (const step of exercise.steps) {
        const text = stepText(exercise.kind, step);
        const { k, c } = { k: Number(read(text)?.["k"]), c: String(read(text)?.["c"]) };
        left = byWords(text, left, k, c);
      }
      const text = endText(exercise);
      const numbers = left.map(Number);
      const found = text.startsWith("what is left")
        ? left
        : text.startsWith("how many are")
          ? left.length
          : text.startsWith("their sum")
            ? numbers.reduce((a, b) => a + b, 0)
            : text.startsWith("the greatest")
              ? (numbers.sort((a, b) => b - a)[0] ?? 0)
              : text.startsWith("the least")
                ? (numbers.sort((a, b) => a - b)[0] ?? 0)
                : text.startsWith("how many characters")
                  ? [...left.join("")].length
                  : (left.filter((x) => left.every((y) => String(y).length <= String(x).length))[0] ??
                    "none");
      expect([exercise, found]).toEqual([exercise, outcomeOf(exercise, input)]);
    }
  }
});

function byWords(
  text: string,
  left: readonly (number | string)[],
  k: number,
  c: string,
): (number | string)[] {
  const out: (number | string)[] = [];
  for (const [i, x] of left.entries()) {
    const [n, w] = [Number(x), String(x)];
    if (/even numbers$/.test(text) ? n & 1 : /odd numbers$/.test(text) ? !(n & 1) : false) continue;
    if (/greater than/.test(text) && n <= k) continue;
    if (/less than/.test(text) && n >= k) continue;
    if (/multiples/.test(text) && Math.round(n / k) * k !== n) continue;
    if (/more than/.test(text) && w.length <= k) continue;
    if (/fewer than/.test(text) && w.length >= k) continue;
    if (/begin with/.test(text) && w[0] === c) continue;
    if (/have the letter/.test(text) && !w.split("").includes(c)) continue;
    if (/come before/.test(text) && left.indexOf(x) < i) continue;
    if (/drop the rest/.test(text) && i >= k) continue;
    if (/^drop the first/.test(text) && i < k) continue;
    if (/the third/.test(text) && i % 2 === 1) continue;
    if (/differences/.test(text)) {
      if (i > 0) out.push(n - Number(left[i - 1]));
      continue;
    }
    if (/^add/.test(text)) out.push(n + k);
    else if (/^multiply/.test(text)) out.push(n * k);
    else if (/minus it$/.test(text)) out.push(k - n);
    else if (/square/.test(text)) out.push(n ** 2);
    else if (/sum of all/.test(text)) out.push(n + Number(out.at(-1) ?? 0));
    else if (/backwards/.test(text)) out.push(w.split("").reverse().join(""));
    else if (/twice/.test(text)) out.push(`${w}${w}`);
    else if (/first letter/.test(text)) out.push(w.charAt(0));
    else if (/exclamation/.test(text)) out.push(`${w}!`);
    else out.push(x);
  }
  if (/^reverse/.test(text)) out.reverse();
  if (/^sort/.test(text)) {
    out.sort((a, b) => (typeof a === "number" ? a - Number(b) : a < b ? -1 : a > b ? 1 : 0));
    if (/descending/.test(text)) out.reverse();
  }
  return out;
}

// Compilers take seconds each: more of them in the long tests.
const inEachLanguage = process.env["POSTTRAIN_TEST_LONG"] === undefined ? 0 : 40;
it.skipIf(inEachLanguage === 0)(
  "writes programs that print what is computed, in every language",
  async () => {
    for (const language of programLanguages) {
      for (let index = 0; index < inEachLanguage; index++) {
        const draw = createDraws(7, "code", index);
        const exercise = drawExercise(draw, 1 + (index % 5));
        const input = drawInputs(exercise, draw)[0]!;
        const source = programOf(exercise, language);
        const { stdout, stderr } = await runProgram({ language, source, stdin: `${input.join(" ")}\n` });
        const wanted = outcomeOf(exercise, input);
        const printed = Array.isArray(wanted) ? wanted.join(" ") || "none" : String(wanted);
        expect([source, stderr, stdout.trim()]).toEqual([source, "", printed]);
      }
    }
  },
  3_600_000,
);

const fenced = (code: string): string => `This is how:\n\n\`\`\`python\n${code}\n\`\`\``;

it("keeps a teacher's program where tests and programs bear each other out, and counts all else", async () => {
  const task = "Write a Python program that reads whole numbers and prints the sum of their squares.";
  answering(
    byPrompt((prompt, nth) => {
      if (prompt.includes("Let yourself be inspired")) {
        expect(prompt).toContain("You write Python 3");
        return prompt.includes("def squares")
          ? task
          : prompt.includes("What is 2 to the 5?\n\n32")
            ? "NONE."
            : "Print a poem.";
      }
      if (prompt.includes("Write 6 tests"))
        return prompt.includes("poem")
          ? "No tests, sorry."
          : '```json\n[{"stdin": "1 2 3\\n", "stdout": "14\\n"}, {"stdin": "4\\n", "stdout": "16\\n"}, {"stdin": "2 2\\n", "stdout": "9\\n"}, {"stdin": "5"}]\n```';
      return [
        fenced("print(sum(int(x) for x in input().split()))"),
        fenced("print(sum(int(x) ** 2 for x in input().split()))"),
        fenced("print(sum(x * x for x in map(int, input().split())))"),
        fenced("print(14)"),
        fenced("print sum(input())"),
        "I would add them up.",
      ][nth]!;
    }),
  );
  const seeds = write("seeds.jsonl", [
    { code: "def squares(n):\n    return [i * i for i in range(n)]" },
    { question: "What is 2 to the 5?", answer: "32" },
    { question: "Poems?" },
    { note: "nothing" },
  ]);
  const name = output();
  const options = {
    ...{ area: "code", seeds: [seeds], tasks: ["python"], output: at(name), num_samples: 6 },
    ...{ base_url: server().baseUrl, model: "teacher" },
  };
  const report = await make(options);
  expect(report).toMatchObject({ end: "used up", rows: 1, unanswered: 0 });
  expect(Object.fromEntries(report.steps.map(({ step, dropped }) => [step, dropped]))).toEqual({
    read: { asks_nothing: 1 },
    task: { no_task: 1 },
    distinct: {},
    tests: { too_few_tests: 1 },
    solve: {},
    static: { no_program: 1, reads_no_input: 1, does_not_parse: 1 },
    execute: {},
    "cross-check": {},
  });
  const [row] = lines<Row>(name);
  expect(row).toMatchObject({
    messages: [{ content: task }, { content: expect.stringContaining("int(x) ** 2") }],
    code_task: { mode: "stdio", language: "python", cases: [{ stdin: "1 2 3\n" }, { stdin: "4\n" }] },
    evidence: { tests: { written: 3, kept: 2 }, programs: { run: 3, passed: 2 } },
  });
  expect(await verify([row!])).toEqual({ pass: 1 });
  server().reset();
  const again = output();
  await make({ ...options, output: at(again), reply_cache: `${at(name)}.progress/replies.jsonl` });
  expect(server().bodies).toHaveLength(0);
  expect(readFileSync(at(again), "utf8")).toBe(readFileSync(at(name), "utf8"));
});
