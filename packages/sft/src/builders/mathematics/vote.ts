// The answer of a problem that came without one: what most of its solutions say, each with the weight that the reward model gives it.
import { extractAnswer } from "@posttrain/answers";
import type { Making } from "../area.js";
import { drop, keep, type Outcome, unanswered } from "../outcome.js";
import { grouped } from "../steps.js";
import type { Right, Solution } from "./solve.js";

interface Party {
  readonly answer: string;
  readonly solutions: Solution[];
  weight: number;
}

/**
 * Solutions whose answer has at least min_agreement of the weight of all solutions of its problem, those without an answer among them. Weights: the score through the
 * logistic function, or 1 each without a reward model. Answers are the same where the verifier of mathematics takes one for the other.
 */
export const voted = (
  { config, step, grader, reward }: Making,
  solutions: AsyncGenerator<Solution>,
): AsyncGenerator<Right, void, undefined> => {
  const weightOf = ({ score }: Solution): number => {
    if (reward === undefined) return 1;
    return score === null || score === undefined ? 0 : 1 / (1 + Math.exp(-score));
  };
  return step(
    "vote",
    grouped(solutions, ({ seed }) => seed.id),
    async (group): Promise<Outcome<Right>> => {
      const parties: Party[] = [];
      for (const solution of group) {
        const extracted = extractAnswer(solution.said.text);
        if (!extracted.found) continue;
        const found = await partyOf(solution, parties);
        if (typeof found === "string") return unanswered(found);
        const party = found ?? { answer: extracted.text, solutions: [], weight: 0 };
        if (found === undefined) parties.push(party);
        party.solutions.push(solution);
        party.weight += weightOf(solution);
      }
      const { place } = group[0]!.seed;
      const total = group.reduce((sum, solution) => sum + weightOf(solution), 0);
      const [first, second] = parties.toSorted((a, b) => b.weight - a.weight);
      const votes = parties.map(({ answer, solutions: own, weight }) => ({
        answer,
        votes: own.length,
        weight,
      }));
      if (first === undefined) return drop("no_answer_in_any", place);
      if (total === 0 || first.weight < config.min_agreement * total || first.weight === second?.weight)
        return drop("no_majority", { ...place, of: group.length, votes });
      const evidence = { vote: { of: group.length, share: first.weight / total, votes } };
      return keep(...first.solutions.map((solution) => ({ ...solution, answer: first.answer, evidence })));
    },
  );

  /** Who says the same; text: why nobody could tell. */
  async function partyOf({ said }: Solution, parties: readonly Party[]): Promise<Party | string | undefined> {
    for (const party of parties) {
      const row = { verifier: "math", answer: party.answer };
      const { outcome, evidence } = await grader.grade({ row }, { text: said.text, finish: "stop" });
      if (outcome === "infrastructure-error") return evidence;
      if (outcome === "pass") return party;
    }
    return undefined;
  }
};
