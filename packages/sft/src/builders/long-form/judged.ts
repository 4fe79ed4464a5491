// Long answers as conversations: without damage, with a constraint of length that they keep, and a critic who finds them good.
import { faultsOf } from "@posttrain/data";
import type { Draft, Making } from "../area.js";
import type { Draws } from "../draws.js";
import { drop, keep } from "../outcome.js";
import type { Asked } from "../roles.js";
import { scoreIn } from "../said-json.js";
import { askForVerdict } from "../verdict.js";
import { lengthConstraint, lengthOf } from "./length.js";

export interface LongAnswer {
  readonly task: string;
  readonly query: string;
  readonly response: string;
  readonly difficulty: number;
  readonly draw: Draws;
  readonly asked: readonly Asked[];
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly parents: readonly string[];
}

/** Of the critic, from 1 to 10. */
const leastScore = 8;

export async function* judged(
  answers: AsyncIterable<LongAnswer>,
  { step, distinct, roles }: Making,
): AsyncGenerator<Draft, void, undefined> {
  const sound = step("faults", answers, (answer) => {
    const [fault] = faultsOf(
      { asked: [], answers: [answer.response], rejected: [], beside: [] },
      { checks: ["encoding", "repetition", "refusal"], minWords: 0, maxWords: Number.POSITIVE_INFINITY },
    );
    return fault === undefined ? keep(answer) : drop(fault.reason, { query: answer.query, why: fault.why });
  });
  const different = distinct(sound, ({ response }) => response);
  yield* step(
    "judge",
    different,
    async ({ task, query, response, difficulty, draw, asked, evidence, parents }) => {
      const length = lengthOf(response);
      const constraint = lengthConstraint(length, draw);
      const question = `${query}\n\n${constraint.text}`;
      const outcome = await askForVerdict(
        roles,
        "critic",
        { prompt: "long-form-judge", values: { query: question, response }, temperature: 0 },
        scoreIn,
      );
      if (!("kept" in outcome)) return outcome;
      const [{ verdict: score, said }] = outcome.kept as [(typeof outcome.kept)[number]];
      if (score < leastScore) return drop("low_score", { query: question, response, said: said.text });
      return keep({
        ...{ task, difficulty, parents },
        messages: [
          { role: "user", content: question },
          { role: "assistant", content: response },
        ],
        ...(constraint.instructions.length > 0 && { columns: { instructions: constraint.instructions } }),
        evidence: { asked: [...asked, said.asked], ...evidence, length, score },
      } satisfies Draft);
    },
    roles.width("critic"),
  );
}
