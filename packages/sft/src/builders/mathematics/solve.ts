// Problems with annotated answers, solved by the generator several times; only right solutions that go different ways are kept.
import { askedByRow } from "@posttrain/data";
import type { Draft, Making, Seed } from "../area.js";
import { drop, keep, unanswered } from "../outcome.js";
import type { Said } from "../roles.js";

interface Problem {
  readonly seed: Seed;
  readonly text: string;
  readonly sample: number;
}

/** Rejection sampling: num_samples solutions to each problem, graded as posttrain verify grades its row. */
export async function* solved({
  config,
  seeds,
  step,
  roles,
  grader,
  verifiers,
}: Making): AsyncGenerator<Draft, void, undefined> {
  const problems = step("read", seeds(), (seed) => {
    const asked = askedByRow(seed.row, seed.place);
    if ("problem" in asked) return drop("asks_nothing", { ...seed.place, why: asked.problem });
    if (asked.kind !== "text") return drop("no_single_question", seed.place);
    const why = verifiers.problemOf({ ...seed.row, response: "x" });
    if (why !== undefined) return drop("no_answer", { ...seed.place, why });
    return keep(
      ...Array.from({ length: config.num_samples }, (_, sample) => ({ seed, text: asked.text, sample })),
    );
  });
  const solutions = step(
    "solve",
    problems,
    async (problem: Problem) => {
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
  const right = step(
    "check",
    solutions,
    async (solution) => {
      const { seed, said } = solution;
      const verdict = await grader.grade({ row: seed.row }, { text: said.text, finish: "stop" });
      if (verdict.outcome === "pass") return keep({ ...solution, verdict });
      if (verdict.outcome === "infrastructure-error") return unanswered(verdict.evidence);
      const shown = { ...seed.place, said: said.text, evidence: verdict.evidence };
      return drop(verdict.outcome === "fail" ? "wrong_answer" : verdict.outcome, shown);
    },
    config.num_concurrent,
  );
  const seen = new Set<string>();
  yield* step("diversity", right, ({ seed, text, said, verdict }) => {
    const way = `${seed.id} ${equationsOf(said.text)}`;
    if (seen.has(way)) return drop("same_way");
    seen.add(way);
    return keep({
      task: "solve",
      messages: [
        { role: "user", content: text },
        { role: "assistant", content: said.text },
      ],
      evidence: { asked: [said.asked], verdict },
      parents: [seed.id],
    } satisfies Draft);
  });
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
