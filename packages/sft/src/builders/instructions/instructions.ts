// Area instructions: requests with instructions of form, and responses that are seen to follow them. Without a teacher: combinations of IFEval's 25 checks over
// notes that are made. With --seeds, queries that a teacher answers: under such combinations, or under instructions of its own (AutoIF).

import { UserError } from "@posttrain/data";
import { checkInstructions, instructionKinds } from "@posttrain/instructions";
import type { Area, Draft, Making } from "../area.js";
import { drop, keep } from "../outcome.js";
import { inTurns } from "../turns.js";
import { answered, checkedQueries } from "./answered.js";
import { autoIf } from "./autoif.js";
import { type Composed, compose } from "./compose.js";

export const instructions: Area = {
  version: 1,
  tasks: ["composed", "checked", "autoif"],
  seeds: "taken",
  build: (making) => {
    const hasSeeds = making.config.seeds !== undefined;
    const own = making.tasks.filter((task) => (task !== "composed") === hasSeeds);
    if (own.length === 0)
      throw new UserError(
        "bad_option",
        hasSeeds
          ? "With --seeds the tasks are checked and autoif: change --tasks, or remove the seeds."
          : "Tasks checked and autoif begin with queries: give their files with --seeds.",
      );
    if (!hasSeeds) return making.distinct(composed(making), ({ messages }) => String(messages[0]?.content));
    return inTurns(
      own.map((task) => answered(task === "autoif" ? autoIf(making) : checkedQueries(making), making)),
    );
  },
};

/** Grades take turns: so many instructions has a request. */
async function* composed({ draws, difficultyOf, step }: Making): AsyncGenerator<Draft, void, undefined> {
  const made = step("compose", numbers(), (index) => {
    const draw = draws(index);
    const difficulty = difficultyOf(index);
    let one: Composed | undefined;
    for (let tries = 0; one === undefined && tries < 100; tries++) one = compose(draw, difficulty);
    if (one === undefined) return drop("none_go_together");
    const asked = one.instructions.map(({ id, kwargs }) =>
      instructionKinds.find((kind) => kind.id === id)!.describe(kwargs),
    );
    const question = `${one.request}\n\n${asked.join(draw.pick(["\n", " "]))}`;
    return keep({ ...one, question, index, difficulty });
  });
  yield* step("check", made, async ({ subject, instructions, response, question, index, difficulty }) => {
    const verdict = await checkInstructions(response, instructions, "strict");
    if (verdict.outcome !== "pass")
      return drop("not_followed", { question, response, why: verdict.evidence });
    return keep({
      ...{ task: "composed", difficulty },
      messages: [
        { role: "user", content: question },
        { role: "assistant", content: response },
      ],
      columns: { instructions },
      evidence: { generator: `instructions/${subject}`, index, solver: "checked", found: verdict.evidence },
    } satisfies Draft);
  });
}

function* numbers(): Generator<number> {
  for (let index = 0; ; index++) yield index;
}
