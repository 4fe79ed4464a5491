// Queries that are answered under an instruction by a teacher, by execution feedback: an answer stays when the instruction's own check passes it and the
// critic finds that all of it fits.
import { checkInstructions, goTogether, instructionKinds } from "@posttrain/instructions";
import type { Draft, Making } from "../area.js";
import { drop, keep, type Outcome } from "../outcome.js";
import type { Asked } from "../roles.js";
import { scoreIn } from "../said-json.js";
import { queryOf } from "../seed-text.js";
import { askForVerdict } from "../verdict.js";
import { autoIfRules } from "./verifiers.js";

export interface ToAnswer {
  readonly task: string;
  readonly query: string;
  readonly instruction: string;
  readonly difficulty?: number;
  readonly parents: readonly string[];
  readonly asked: readonly Asked[];
  readonly columns: Readonly<Record<string, unknown>>;
  /** Kept: what was found. */
  readonly isFollowed: (response: string) => Promise<Outcome<object>>;
  readonly isScoreEnough: (score: number) => boolean;
}

/** --num_samples answers to each. */
export async function* answered(
  queries: AsyncIterable<ToAnswer>,
  { step, distinct, roles, config }: Making,
): AsyncGenerator<Draft, void, undefined> {
  async function* asOften() {
    for await (const one of queries)
      for (let sample = 0; sample < config.num_samples; sample++) yield { one, sample };
  }
  const said = step(
    "respond",
    asOften(),
    async ({ one, sample }) => {
      const { query, instruction } = one;
      const reply = await roles.ask("generator", {
        prompt: "instructions-respond",
        values: { query, instruction },
        sample,
      });
      return "kept" in reply
        ? keep({ ...one, response: reply.kept[0]!.text, asked: [...one.asked, reply.kept[0]!.asked] })
        : reply;
    },
    roles.width("generator"),
  );
  const different = distinct(said, ({ query, instruction, response }) =>
    JSON.stringify([query, instruction, response]),
  );
  const followed = step("execute", different, async (one) => {
    const outcome = await one.isFollowed(one.response);
    if ("kept" in outcome) return keep({ ...one, found: outcome.kept[0]! });
    const { query, instruction, response } = one;
    return "dropped" in outcome ? drop(outcome.dropped, { query, instruction, response }) : outcome;
  });
  yield* step(
    "score",
    followed,
    async ({
      task,
      query,
      instruction,
      difficulty,
      parents,
      asked,
      columns,
      isScoreEnough,
      response,
      found,
    }) => {
      const judged = await askForVerdict(
        roles,
        "critic",
        { prompt: "instructions-score", values: { query, instruction, response }, temperature: 0 },
        scoreIn,
      );
      if (!("kept" in judged)) return judged;
      const [{ verdict: score, said }] = judged.kept as [(typeof judged.kept)[number]];
      if (!isScoreEnough(score)) return drop("low_score", { query, instruction, response, said: said.text });
      return keep({
        ...{ task, columns, parents },
        ...(difficulty !== undefined && { difficulty }),
        messages: [
          { role: "user", content: `${query}\n\n${instruction}` },
          { role: "assistant", content: response },
        ],
        evidence: { asked: [...asked, said.asked], ...found, score },
      } satisfies Draft);
    },
    roles.width("critic"),
  );
}

/** Queries of --seeds, each with as many of IFEval's checks as its grade says. */
export function checkedQueries({
  step,
  seeds,
  draws,
  difficultyOf,
  config,
}: Making): AsyncIterable<ToAnswer> {
  let index = 0;
  return step("read", seeds(), (seed) => {
    const asked = queryOf(seed);
    if (!("kept" in asked)) return asked;
    const [query] = asked.kept as [string];
    const [draw, difficulty] = [draws(index), difficultyOf(index++)];
    const kinds: (typeof instructionKinds)[number][] = [];
    for (const kind of draw.shuffled(instructionKinds))
      if (kinds.length < difficulty && kinds.every(({ id }) => goTogether(id, kind.id))) kinds.push(kind);
    const instructions = kinds.map(({ id, generate }) => ({ id, kwargs: generate(draw.unit, query) }));
    const texts = instructions.map(({ kwargs }, i) => kinds[i]!.describe(kwargs));
    return keep({
      ...{ task: "checked", query, difficulty: kinds.length, parents: [seed.id], asked: [] },
      instruction: texts.join("\n"),
      columns: { instructions },
      isFollowed: async (response) => {
        const verdict = await checkInstructions(response, instructions, "strict");
        return verdict.outcome === "pass" ? keep({ found: verdict.evidence }) : drop("not_followed");
      },
      isScoreEnough: autoIfRules[config.preset].isScoreEnough,
    } satisfies ToAnswer);
  });
}
