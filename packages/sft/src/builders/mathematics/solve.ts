// Problems that the generator solves several times: annotated ones by their answers, others by a vote among the solutions; right solutions that go different ways are kept, the
// best by a reward model first. Qwen2.5-Math (arXiv 2409.12122) makes its data so.
import { askedByRow } from "@posttrain/data";
import type { Draft, Making, Seed } from "../area.js";
import { drop, keep, type Outcome, unanswered } from "../outcome.js";
import type { Said } from "../roles.js";
import { grouped } from "../steps.js";
import { voted } from "./vote.js";

interface Problem {
  readonly seed: Seed;
  readonly text: string;
  readonly sample: number;
}

export interface Solution extends Problem {
  readonly said: Said;
  /** By the reward model, where there is one; null: it is too long for it. */
  readonly score?: number | null;
}

/** A solution that may be believed. */
export interface Right extends Solution {
  readonly evidence: Readonly<Record<string, unknown>>;
  /** Of a problem that came without one. */
  readonly answer?: string;
}

/** `task`: `solve` for annotated problems, `vote` for others. */
export async function* solved(
  making: Making,
  task: "solve" | "vote",
): AsyncGenerator<Draft, void, undefined> {
  const { config, seeds, step, roles, verifiers, reward } = making;
  const problems = step("read", seeds(), (seed) => {
    const asked = askedByRow(seed.row, seed.place);
    if ("problem" in asked) return drop("asks_nothing", { ...seed.place, why: asked.problem });
    if (asked.kind !== "text") return drop("no_single_question", seed.place);
    const why = task === "solve" ? verifiers.problemOf({ ...seed.row, response: "x" }) : undefined;
    if (why !== undefined) return drop("no_answer", { ...seed.place, why });
    return keep(
      ...Array.from({ length: config.num_samples }, (_, sample) => ({ seed, text: asked.text, sample })),
    );
  });
  const solutions = step(
    "solve",
    problems,
    async (problem: Problem): Promise<Outcome<Solution>> => {
      const { text, sample } = problem;
      const said = await roles.ask("generator", {
        prompt: "mathematics-solve",
        values: { problem: text },
        sample,
      });
      return "kept" in said ? keep({ ...problem, said: said.kept[0] as Said }) : said;
    },
    roles.width("generator"),
  );
  const scored =
    reward === undefined
      ? solutions
      : step("score", solutions, async (solution) => {
          const { text, said } = solution;
          const score = await reward.score([
            { role: "user", content: text },
            { role: "assistant", content: said.text },
          ]);
          return keep<Solution>({ ...solution, score });
        });
  const right = task === "solve" ? checked(making, scored) : voted(making, scored);
  const seen = new Set<string>();
  const ways = step("diversity", bestFirst(right), (solution) => {
    const way = `${solution.seed.id} ${equationsOf(solution.said.text)}`;
    if (seen.has(way)) return drop("same_way");
    seen.add(way);
    return keep(solution);
  });
  const kept = new Map<string, number>();
  const best =
    config.keep_best === undefined
      ? ways
      : step("best", ways, (solution) => {
          const before = kept.get(solution.seed.id) ?? 0;
          if (before >= config.keep_best!) return drop("not_among_the_best");
          kept.set(solution.seed.id, before + 1);
          return keep(solution);
        });
  for await (const { seed, text, said, score, answer, evidence } of best) {
    yield {
      task,
      messages: [
        { role: "user", content: text },
        { role: "assistant", content: said.text },
      ],
      ...(answer !== undefined && { columns: { answer } }),
      evidence: {
        asked: [said.asked],
        ...evidence,
        ...(reward !== undefined && { reward: { model: reward.model, score } }),
      },
      parents: [seed.id],
    };
  }
}

/** Rejection sampling: graded as posttrain verify grades the problem's row. */
const checked = (
  { config, step, grader }: Making,
  solutions: AsyncGenerator<Solution>,
): AsyncGenerator<Right, void, undefined> =>
  step(
    "check",
    solutions,
    async (solution) => {
      const { seed, said } = solution;
      const verdict = await grader.grade({ row: seed.row }, { text: said.text, finish: "stop" });
      if (verdict.outcome === "pass") return keep({ ...solution, evidence: { verdict } });
      if (verdict.outcome === "infrastructure-error") return unanswered(verdict.evidence);
      const shown = { ...seed.place, said: said.text, evidence: verdict.evidence };
      return drop(verdict.outcome === "fail" ? "wrong_answer" : verdict.outcome, shown);
    },
    config.num_concurrent,
  );

/** The solutions of each problem by falling score; in the order of their samples where there is none. */
async function* bestFirst(solutions: AsyncIterable<Right>): AsyncGenerator<Right, void, undefined> {
  const scoreOf = ({ score }: Right): number => score ?? Number.NEGATIVE_INFINITY;
  for await (const group of grouped(solutions, ({ seed }) => seed.id))
    yield* group.toSorted((a, b) => scoreOf(b) - scoreOf(a) || a.sample - b.sample);
}

/** What a solution computes, in order: two that compute the same go the same way, however they are worded. */
const equationsOf = (solution: string): string =>
  [...solution.matchAll(/[\d(][\d.,()\s+\-*/^×÷%$]*=\s*[$]?\d+(?:[.,]\d+)*/g)]
    .map(([equation]) =>
      equation
        .replaceAll(/[\s$,]/g, "")
        .replaceAll("×", "*")
        .replaceAll("÷", "/"),
    )
    .join(";");
