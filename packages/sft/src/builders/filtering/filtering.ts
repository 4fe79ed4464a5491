// Area filtering: responses that every scorer finds flawless: a critic, judges in roles of their own, a reward model, the verifier that the row asks for.
// Where they disagree, the conversation goes into a file for people. Qwen2.5's report, section 4.1 (9): "only those deemed flawless by all scoring systems are retained".
import type { Area, Draft, Making } from "../area.js";
import { type Answer, type Question, questionsOf, served } from "../conversation.js";
import { drop, keep, type Outcome, review } from "../outcome.js";
import type { Asked } from "../roles.js";
import { scorersOf, type Vote } from "./scorers.js";

interface Answered extends Answer {
  /** By whom, where it was asked for here. */
  readonly asked?: Asked;
}

export const filtering: Area = {
  version: 1,
  tasks: ["given", "generated"],
  seeds: "needed",
  build: filtered,
};

async function* filtered(making: Making): AsyncGenerator<Draft, void, undefined> {
  const { seeds, step, roles, tasks, config } = making;
  const scorersFor = scorersOf(making);
  const read = step("read", seeds(), questionsOf);
  const answered = step(
    "respond",
    read,
    async (question: Question | Answer): Promise<Outcome<Answered>> => {
      const task = "response" in question ? "given" : "generated";
      if (!tasks.includes(task)) return drop(`not_${task}`);
      if ("response" in question) return keep(question);
      const messages = served(question.messages);
      if (messages === undefined) return drop("has_tools", question.seed.place);
      const samples = Array.from({ length: config.num_samples }, (_, sample) =>
        roles.ask("generator", { messages, sample }),
      );
      const replies = await Promise.all(samples);
      const missing = replies.find((reply) => "unanswered" in reply);
      if (missing !== undefined) return missing as Outcome<never>;
      const said = replies.flatMap((reply) => ("kept" in reply ? reply.kept : []));
      const distinct = said.filter(({ text }, i) => said.findIndex((other) => other.text === text) === i);
      if (distinct.length === 0) return drop("no_response", question.seed.place);
      return keep(...distinct.map(({ text, asked }) => ({ ...question, response: text, asked })));
    },
    roles.width("generator"),
  );
  yield* step(
    "judge",
    answered,
    async (one): Promise<Outcome<Draft>> => {
      const outcomes = await Promise.all(scorersFor(one).map((scorer) => scorer()));
      const missing = outcomes.find((outcome) => "unanswered" in outcome);
      if (missing !== undefined) return missing as Outcome<never>;
      const votes = outcomes.flatMap((outcome) => ("kept" in outcome ? outcome.kept : []));
      if (votes.length === 0) return drop("nobody_judges", one.seed.place);
      const draft = draftOf(one, votes);
      const count = (verdict: Vote["verdict"]): number =>
        votes.filter((vote) => vote.verdict === verdict).length;
      if (count("flawless") === votes.length) return keep(draft);
      if (count("flawless") === 0 && count("flawed") > 0)
        return drop("flawed", { ...one.seed.place, said: one.response, votes });
      return review(count("flawed") > 0 ? "disagreement" : "no_verdict", draft);
    },
    Math.max(roles.width("critic"), roles.width("judge")),
  );
}

/** Columns that say what the new row says itself, or what was answered. */
const ownColumns = new Set([
  ...["schema", "id", "messages", "area", "task", "parents", "evidence", "original", "prompt", "completion"],
  ...["conversations", "system", "instruction", "input", "output", "history", "text"],
  ...["response", "responses", "completions"],
]);

function draftOf({ seed, messages, response, asked }: Answered, scorers: readonly Vote[]): Draft {
  const { area, task, evidence } = seed.row;
  const columns = Object.entries(seed.row).filter(([name]) => !ownColumns.has(name));
  return {
    task: asked === undefined ? "given" : "generated",
    messages: [...messages, { role: "assistant", content: response }],
    columns: Object.fromEntries(columns),
    evidence: {
      ...(asked !== undefined && { asked: [asked] }),
      scorers,
      // Of the row that it was.
      ...(evidence !== undefined && { seed: { area, task, evidence } }),
    },
    parents: [seed.id],
  };
}
