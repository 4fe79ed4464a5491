// Exercises with a program and its tests, made without a teacher: what the program has to give is computed apart from it, and the sandbox says whether it does.
import { availableParallelism } from "node:os";
import type { CodeTask } from "@posttrain/sandbox";
import type { Draft, Making } from "../area.js";
import { drop, keep, unanswered } from "../outcome.js";
import {
  drawExercise,
  drawInputs,
  type Exercise,
  endText,
  outcomeOf,
  stepText,
  type Value,
} from "./exercise.js";
import { hasFunctions, languageName, type ProgramLanguage, programOf } from "./programs.js";

/** Languages and grades take turns. */
export async function* madeExercises(
  languages: readonly ProgramLanguage[],
  { step, distinct, draws, difficultyOf, grader }: Making,
): AsyncGenerator<Draft, void, undefined> {
  const asked = step("make", numbers(), (index) => {
    const draw = draws(index);
    const language = languages[index % languages.length] as ProgramLanguage;
    const difficulty = difficultyOf(Math.floor(index / languages.length));
    const exercise = drawExercise(draw, difficulty);
    const name = hasFunctions(language) && draw.chance(0.5) ? draw.pick(names) : undefined;
    const cases = drawInputs(exercise, draw).map((input) => ({ input, output: outcomeOf(exercise, input) }));
    // Where every case comes to the same, they tell nothing.
    if (new Set(cases.map(({ output }) => JSON.stringify(output))).size < 3)
      return drop("tests_tell_nothing");
    const code_task = taskOf(language, name, cases);
    const said = saidOf(exercise, language, name, cases[0]!, draw.pick(openings));
    return keep({ ...said, index, language, difficulty, code_task });
  });
  const different = distinct(asked, ({ question }) => question);
  yield* step(
    "execute",
    different,
    async ({ question, response, index, language, difficulty, code_task }) => {
      const verdict = await grader.grade({ row: { code_task } }, { text: response, finish: "stop" });
      if (verdict.outcome === "infrastructure-error") return unanswered(`${language}: ${verdict.evidence}`);
      if (verdict.outcome !== "pass")
        return drop(verdict.outcome, { language, question, response, why: verdict.evidence });
      return keep({
        ...{ task: language, difficulty },
        messages: [
          { role: "user", content: question },
          { role: "assistant", content: response },
        ],
        columns: { code_task },
        evidence: { generator: "code/exercise", index, solver: "computed", verdict },
      } satisfies Draft);
    },
    availableParallelism(),
  );
}

interface Case {
  readonly input: readonly Value[];
  readonly output: Value | readonly Value[];
}

function taskOf(language: ProgramLanguage, name: string | undefined, cases: readonly Case[]): CodeTask {
  if (name !== undefined && hasFunctions(language))
    return {
      ...{ mode: "calls", language, entryPoint: name },
      cases: cases.map(({ input, output }) => ({ args: [input], expected: output })),
    };
  return {
    ...{ mode: "stdio", language },
    cases: cases.map(({ input, output }) => ({
      stdin: `${input.join(" ")}\n`,
      stdout: `${printed(output)}\n`,
    })),
  };
}

const printed = (output: Case["output"]): string =>
  Array.isArray(output) ? (output.length === 0 ? "none" : output.join(" ")) : String(output);

const names = ["transform", "process_values", "solve", "work_through", "reduce_list", "evaluate_list"];
const openings = [
  "It does this, in this order:",
  "What has to be done, one after the other:",
  "These are the steps:",
];

function saidOf(
  exercise: Exercise,
  language: ProgramLanguage,
  name: string | undefined,
  { input, output }: Case,
  opening: string,
): { readonly question: string; readonly response: string } {
  const { kind, steps, end } = exercise;
  const items = kind === "number" ? "whole numbers" : "words of small letters";
  const listed = steps.map((step, i) => {
    const text = stepText(kind, step);
    return `${i + 1}. ${text[0]!.toUpperCase()}${text.slice(1)}.`;
  });
  const [task, last, example] =
    name === undefined
      ? [
          `Write a ${languageName(language)} program that reads one line with ${items}, separated by spaces.`,
          `Then print ${endText(exercise)}${end === "list" ? ', on one line, separated by spaces; if nothing is left, print "none"' : ""}.`,
          `Input: ${input.join(" ")}\nOutput: ${printed(output)}`,
        ]
      : [
          `Write a ${languageName(language)} function ${name}(values) that takes a list of ${items}.`,
          `Then return ${endText(exercise)}${end === "list" ? ", as a list" : ""}.`,
          `${name}(${JSON.stringify(input)}) gives ${JSON.stringify(output)}.`,
        ];
  const program = programOf(exercise, language, name);
  return {
    question: `${task} ${opening}\n\n${listed.join("\n")}\n\n${last}\n\nFor example:\n\n${example}`,
    response: `Each step becomes a few lines that work on the list:\n\n\`\`\`${language}\n${program}\n\`\`\``,
  };
}

function* numbers(): Generator<number> {
  for (let index = 0; ; index++) yield index;
}
