// Tasks that the agent of a language makes from a snippet or a question with its answer, tests that the critic writes without having seen a solution, and
// programs of the agent. What reads no input or does not compile goes; then tests and programs have to bear each other out in the sandbox.

import { isJsonObject } from "@posttrain/data";
import { extractCode, isPython, readsInput, type StdioCase } from "@posttrain/sandbox";
import type { Draft, Making, Seed } from "../area.js";
import { crossCheck } from "../cross-check.js";
import { drop, keep, type Outcome, unanswered } from "../outcome.js";
import type { Asked, Said } from "../roles.js";
import { jsonIn } from "../said-json.js";
import { queryOf, textOf } from "../seed-text.js";
import { habits } from "./agents.js";
import { languageName, type ProgramLanguage } from "./programs.js";

/** Characters of a seed: about a thousand tokens. */
const mostOfSeed = 4000;
const testsWanted = 6;
const fewestTests = 2;
/** A test stays when most programs agree with it, a program when it passes all that stay. */
const rule = { cases: { share: 0.5, itself: false }, functions: { share: 1, itself: true } };

interface Task {
  readonly seed: Seed;
  readonly language: ProgramLanguage;
  readonly text: string;
  readonly tests: readonly StdioCase[];
  readonly asked: readonly Asked[];
}

interface Solution {
  readonly task: Task;
  readonly said: Said;
  readonly code: string;
}

/** Languages take turns over the seeds. */
export async function* taughtPrograms(
  languages: readonly ProgramLanguage[],
  { step, distinct, seeds, roles, grader, config }: Making,
): AsyncGenerator<Draft, void, undefined> {
  let index = 0;
  const pieces = step("read", seeds(), (seed) => {
    const piece = pieceOf(seed);
    return "kept" in piece
      ? keep({
          seed,
          piece: piece.kept[0]!,
          language: languages[index++ % languages.length] as ProgramLanguage,
        })
      : piece;
  });
  const tasks = step(
    "task",
    pieces,
    async ({ seed, piece, language }) => {
      const said = await roles.ask("generator", {
        prompt: "code-task",
        values: { ...agent(language), seed: piece.slice(0, mostOfSeed) },
      });
      if (!("kept" in said)) return said;
      const [{ text, asked }] = said.kept as [Said];
      return /^\W*none\W*$/i.test(text)
        ? drop("no_task", seed.place)
        : keep({ seed, language, text, asked: [asked] });
    },
    roles.width("generator"),
  );
  const tested = step(
    "tests",
    distinct(tasks, ({ text }) => text),
    async (task): Promise<Outcome<Task>> => {
      const said = await roles.ask("critic", {
        prompt: "code-tests",
        values: { task: task.text, count: String(testsWanted) },
      });
      if (!("kept" in said)) return said;
      const [{ text, asked }] = said.kept as [Said];
      const tests = testsIn(text);
      if (tests.length < fewestTests) return drop("too_few_tests", { task: task.text, said: text });
      return keep({ ...task, tests, asked: [...task.asked, asked] });
    },
    roles.width("critic"),
  );
  async function* asOften() {
    for await (const task of tested)
      for (let sample = 0; sample < config.num_samples; sample++) yield { task, sample };
  }
  const solutions = step(
    "solve",
    asOften(),
    async ({ task, sample }) => {
      const values = { ...agent(task.language), task: task.text };
      const said = await roles.ask("generator", { prompt: "code-solve", values, sample });
      return "kept" in said ? keep({ task, said: said.kept[0]! }) : said;
    },
    roles.width("generator"),
  );
  const sound = step("static", solutions, ({ task, said }): Outcome<Solution> => {
    const { language } = task;
    const { code, kind } = extractCode(said.text, { language, readsInput: true });
    if (kind !== "fenced") return drop("no_program", { said: said.text });
    if (task.tests.some(({ stdin }) => stdin.trim() !== "") && !readsInput(code))
      return drop("reads_no_input", { code });
    if (language === "python" && !isPython(code)) return drop("does_not_parse", { code });
    return keep({ task, said, code });
  });
  const grade = (task: Task, cases: readonly StdioCase[], text: string) =>
    grader.grade({ row: { code_task: codeTask(task, cases) } }, { text, finish: "stop" });
  const run = step(
    "execute",
    sound,
    async ({ task, said, code }) => {
      const all = await grade(task, task.tests, said.text);
      if (all.outcome === "infrastructure-error") return unanswered(`${task.language}: ${all.evidence}`);
      if (all.outcome === "crash" && all.evidence.startsWith("It does not compile"))
        return drop("does_not_compile", { code, why: all.evidence });
      if (all.outcome === "pass") return keep({ task, said, passes: task.tests.map(() => true) });
      const passes: boolean[] = [];
      for (const test of task.tests) {
        const one = await grade(task, [test], said.text);
        if (one.outcome === "infrastructure-error") return unanswered(`${task.language}: ${one.evidence}`);
        passes.push(one.outcome === "pass");
      }
      return keep({ task, said, passes });
    },
    config.num_concurrent,
  );
  yield* step("cross-check", together(run), (programs) => {
    const { task } = programs[0]!;
    const { cases, functions } = crossCheck(
      programs.map(({ passes }) => passes),
      rule,
    );
    const best = functions[0];
    if (best === undefined || cases.length < fewestTests)
      return drop("not_borne_out", {
        task: task.text,
        tests: task.tests,
        programs: programs.map(({ said }) => said.text),
      });
    const { said } = programs[best.index]!;
    return keep({
      task: task.language,
      messages: [
        { role: "user", content: task.text },
        { role: "assistant", content: said.text },
      ],
      columns: {
        code_task: codeTask(
          task,
          cases.map((c) => task.tests[c]!),
        ),
      },
      evidence: {
        asked: [...task.asked, said.asked],
        tests: { written: task.tests.length, kept: cases.length },
        programs: { run: programs.length, passed: functions.length },
      },
      parents: [task.seed.id],
    } satisfies Draft);
  });
}

const agent = (language: ProgramLanguage) => ({ language: languageName(language), habits: habits[language] });

const codeTask = ({ language }: Task, cases: readonly StdioCase[]) =>
  ({ mode: "stdio", language, cases }) as const;

/** A snippet, or what is asked with its answer where there is one. */
function pieceOf(seed: Seed): Outcome<string> {
  const snippet = textOf(seed.row, ["code", "snippet", "canonical_solution", "content"]);
  if (snippet !== undefined) return keep(snippet);
  const asked = queryOf(seed);
  if (!("kept" in asked)) return asked;
  const answer = textOf(seed.row, ["answer", "response", "response_j", "output", "completion", "chosen"]);
  return keep(answer === undefined ? asked.kept[0]! : `${asked.kept[0]!}\n\n${answer}`);
}

function testsIn(said: string): readonly StdioCase[] {
  const written = jsonIn(said);
  const tests = new Map<string, StdioCase>();
  for (const one of Array.isArray(written) ? written : []) {
    if (!isJsonObject(one)) continue;
    const { stdin, stdout } = one;
    if (typeof stdin === "string" && typeof stdout === "string" && stdout.trim() !== "" && !tests.has(stdin))
      tests.set(stdin, { stdin, stdout });
  }
  return [...tests.values()];
}

/** Programs of one task, which come one after the other. */
async function* together<T extends { readonly task: Task }>(
  programs: AsyncIterable<T>,
): AsyncGenerator<readonly T[], void, undefined> {
  let group: T[] = [];
  for await (const one of programs) {
    if (group.length > 0 && group[0]!.task !== one.task) {
      yield group;
      group = [];
    }
    group.push(one);
  }
  if (group.length > 0) yield group;
}
