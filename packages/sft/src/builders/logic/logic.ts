// Area logic: puzzles with one answer, without a teacher; with one, reasoning in rounds about these or about given questions. Deductive, inductive, analogical, causal, statistical; multiple choice, true or false, open.
import { UserError } from "@posttrain/data";
import type { Area, Draft, Making } from "../area.js";
import { drop, keep } from "../outcome.js";
import { analogical } from "./analogical.js";
import { causal } from "./causal.js";
import { deductive } from "./deductive.js";
import { given } from "./given.js";
import { inductive } from "./inductive.js";
import { asked, formats, type Maker, type Puzzle } from "./puzzle.js";
import { refined } from "./refine.js";
import { statistical } from "./statistical.js";

const makers: Readonly<Record<string, readonly Maker[]>> = {
  ...{ deductive, inductive, analogical, causal, statistical },
};

export const logic: Area = {
  version: 1,
  tasks: [...Object.keys(makers), "given"],
  seeds: "taken",
  build: (making) => {
    const { config, tasks } = making;
    const hasSeeds = config.seeds !== undefined;
    if (!tasks.some((task) => (task === "given") === hasSeeds))
      throw new UserError(
        "bad_option",
        hasSeeds
          ? "With --seeds the task is given: remove --tasks, or the seeds."
          : "Task given begins with questions and their answers: give their files with --seeds.",
      );
    const drafts = making.distinct(hasSeeds ? given(making) : puzzles(making), questionOf);
    const rounds = config.refine_rounds ?? (hasSeeds ? 2 : 0);
    return rounds === 0 ? drafts : refined(making, drafts, rounds);
  },
};

const questionOf = ({ messages }: Draft): string => String(messages[0]?.content);

/** Tasks, their makers, formats and grades take turns. */
function puzzles({ tasks, draws, difficultyOf, step }: Making): AsyncGenerator<Draft, void, undefined> {
  const own = tasks.filter((task) => Object.hasOwn(makers, task));
  return step("solve", numbers(), (index) => {
    const draw = draws(index);
    const task = own[index % own.length] as string;
    const difficulty = difficultyOf(Math.floor(index / own.length));
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
