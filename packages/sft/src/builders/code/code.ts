// Area code: programs that pass their tests in the sandbox, in seven languages, which are the tasks. Without a teacher: exercises that are made. With --seeds,
// snippets or questions and answers: tasks, tests and programs of a teacher.
import type { Area } from "../area.js";
import { madeExercises } from "./made.js";
import { type ProgramLanguage, programLanguages } from "./programs.js";
import { taughtPrograms } from "./taught.js";

/** What runs wherever posttrain does. */
const everywhere: readonly ProgramLanguage[] = ["python", "javascript", "typescript"];

export const code: Area = {
  version: 1,
  tasks: programLanguages,
  seeds: "taken",
  build: (making) => {
    const { tasks, seeds } = making.config;
    const languages = (tasks as readonly ProgramLanguage[] | undefined) ?? everywhere;
    return seeds === undefined ? madeExercises(languages, making) : taughtPrograms(languages, making);
  },
};
