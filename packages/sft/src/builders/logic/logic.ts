// Area logic: puzzles with one answer, without a teacher. Deductive, inductive, analogical, causal, statistical; multiple choice, true or false, open.
import type { Area, Draft, Making } from "../area.js";
import { drop, keep } from "../outcome.js";
import { analogical } from "./analogical.js";
import { causal } from "./causal.js";
import { deductive } from "./deductive.js";
import { inductive } from "./inductive.js";
import { asked, formats, type Maker, type Puzzle } from "./puzzle.js";
import { statistical } from "./statistical.js";

const makers: Readonly<Record<string, readonly Maker[]>> = {
  ...{ deductive, inductive, analogical, causal, statistical },
};

export const logic: Area = {
  version: 1,
  tasks: Object.keys(makers),
  seeds: "none",
  build: (making) => making.distinct(puzzles(making), questionOf),
};

const questionOf = ({ messages }: Draft): string => String(messages[0]?.content);

/** Tasks, their makers, formats and grades take turns. */
function puzzles({ tasks, draws, difficultyOf, step }: Making): AsyncGenerator<Draft, void, undefined> {
  return step("solve", numbers(), (index) => {
    const draw = draws(index);
    const task = tasks[index % tasks.length] as string;
    const difficulty = difficultyOf(Math.floor(index / tasks.length));
    let puzzle: Puzzle | undefined;
    // Draws may come to no answer, or to more than one.
    for (let tries = 0; puzzle === undefined && tries < 100; tries++)
      puzzle = draw.pick(makers[task]!)(draw, difficulty);
    if (puzzle === undefined) return drop("no_single_answer");
    const format = draw.pick(formats);
    const { question, response, answer } = asked(puzzle, format, draw);
    return keep({
      ...{ task, difficulty },
      messages: [
        { role: "user", content: question },
        { role: "assistant", content: response },
      ],
      columns: { answer },
      evidence: { generator: `logic/${puzzle.family}`, index, format, solver: puzzle.solver },
    });
  });
}

function* numbers(): Generator<number> {
  for (let index = 0; ; index++) yield index;
}
