// Area mathematics: exercises and word problems that are made, with true answers and worked steps; with --seeds, problems that the generator solves: annotated ones, or others by a vote.
import { UserError } from "@posttrain/data";
import type { Area, Draft, Making } from "../area.js";
import { drop, keep } from "../outcome.js";
import { exercises } from "./exercises.js";
import type { MadeProblem, ProblemMaker } from "./problem.js";
import { solved } from "./solve.js";
import { stories } from "./stories.js";

const made: Readonly<Record<string, readonly ProblemMaker[]>> = { exercise: exercises, story: stories };

/** Problems with answers, and problems without. */
const fromSeeds = ["solve", "vote"] as const;

export const mathematics: Area = {
  version: 1,
  tasks: [...Object.keys(made), ...fromSeeds],
  seeds: "taken",
  build: (making) => {
    const { config, tasks } = making;
    if (config.seeds !== undefined) {
      const task = tasks.includes("solve") ? "solve" : tasks.includes("vote") ? "vote" : undefined;
      if (task === undefined)
        throw new UserError(
          "bad_option",
          "With --seeds the task is solve, or vote for problems without answers: remove --tasks, or the seeds.",
        );
      return solved(making, task);
    }
    if (tasks.every((task) => fromSeeds.some((one) => one === task)))
      throw new UserError(
        "bad_option",
        `Task ${tasks[0]} begins with problems: give their files with --seeds.`,
      );
    return making.distinct(problems(making), ({ messages }) => String(messages[0]?.content));
  },
};

const endings = [
  'Work it out step by step, and end with "Answer: " and the number.',
  'Show your steps. The last line is "Answer: " with the number alone.',
  'Explain each step, then write "Answer: " and the number.',
];

/** Kinds and grades take turns. */
function problems({ tasks, draws, difficultyOf, step }: Making): AsyncGenerator<Draft, void, undefined> {
  const own = tasks.filter((task) => Object.hasOwn(made, task));
  return step("make", numbers(), (index) => {
    const draw = draws(index);
    const task = own[index % own.length] as string;
    const difficulty = difficultyOf(Math.floor(index / own.length));
    let problem: MadeProblem | undefined;
    for (let tries = 0; problem === undefined && tries < 100; tries++)
      problem = draw.pick(made[task]!)(draw, difficulty);
    if (problem === undefined) return drop("none_of_this_grade");
    const { kind, text, answer, steps } = problem;
    return keep({
      ...{ task, difficulty },
      messages: [
        { role: "user", content: `${text}\n\n${draw.pick(endings)}` },
        { role: "assistant", content: `${steps.join("\n")}\nAnswer: ${answer}` },
      ],
      columns: { answer },
      evidence: { generator: `mathematics/${kind}`, index, solver: "computed" },
    });
  });
}

function* numbers(): Generator<number> {
  for (let index = 0; ; index++) yield index;
}
