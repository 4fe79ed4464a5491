// Reasoning by a teacher, in rounds: the generator answers, what is wrong or flawed goes back to it with what the critic says, and only a right answer with flawless reasoning
// stays. Qwen2.5's report, section 4.1 (6): wrong answers and flawed reasoning are filtered out iteratively.
import type { ChatMessage } from "@posttrain/data";
import type { Draft, Making } from "../area.js";
import { drop, keep, type Outcome, unanswered } from "../outcome.js";
import type { Asked, Said } from "../roles.js";
import { askForVerdict, wordAfter } from "../verdict.js";

/** Drafts whose column `answer` is right; the response of those that come out is the generator's. */
export function refined(
  { step, roles, grader }: Making,
  drafts: AsyncGenerator<Draft>,
  rounds: number,
): AsyncGenerator<Draft, void, undefined> {
  return step(
    "refine",
    drafts,
    async (draft): Promise<Outcome<Draft>> => {
      const question = String(draft.messages[0]?.content);
      const answer = String(draft.columns?.["answer"]);
      const asked: Asked[] = [];
      let before: { readonly response: string; readonly flaws: string } | undefined;
      let reason = "wrong_answer";
      for (let round = 0; round < rounds; round++) {
        const reply = await roles.ask("generator", {
          sample: round,
          ...(before === undefined
            ? { prompt: "logic-reason", values: { question } }
            : { prompt: "logic-refine", values: { question, ...before } }),
        });
        if (!("kept" in reply)) return reply;
        const said = reply.kept[0] as Said;
        asked.push(said.asked);
        const verdict = await grader.grade(
          { row: { question, answer } },
          { text: said.text, finish: "stop" },
        );
        if (verdict.outcome === "infrastructure-error") return unanswered(verdict.evidence);
        if (verdict.outcome !== "pass") {
          reason = "wrong_answer";
          before = {
            response: said.text,
            flaws: "The final answer is wrong, or it is not where it should be.",
          };
          continue;
        }
        const values = { question, response: said.text };
        const judged = await askForVerdict(roles, "critic", { prompt: "logic-critic", values }, (text) =>
          wordAfter(text, "verdict", ["flawless", "flawed"]),
        );
        if (!("kept" in judged)) return judged;
        const [{ verdict: found, said: remarks }] = judged.kept as [(typeof judged.kept)[number]];
        asked.push(remarks.asked);
        if (found === "flawless") {
          const response: ChatMessage = { role: "assistant", content: said.text };
          const evidence = { ...draft.evidence, asked, rounds: round + 1, verdict };
          return keep({ ...draft, messages: [...draft.messages.slice(0, 1), response], evidence });
        }
        reason = "flawed_reasoning";
        before = { response: said.text, flaws: remarks.text };
      }
      return drop(reason, { question, answer, ...before });
    },
    Math.max(roles.width("generator"), roles.width("critic")),
  );
}
