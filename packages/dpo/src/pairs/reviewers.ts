// Machines that look at a pair once more: a judge, a reward model, a verifier of the user's own.
import type { ChatMessage } from "@posttrain/data";
import type { Judge } from "@posttrain/rollout";
import type { Verifier } from "@posttrain/verify";
import type { ReviewedPair } from "./review-file.js";
import type { Opinion, Review } from "./reviews.js";

export interface Reviewer {
  readonly name: string;
  readonly kind: Exclude<Review["kind"], "person">;
  /** What decides its reviews beside the pair: others are not taken for these. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** Throws what concerns every pair; what it cannot judge of one is a review without an opinion. */
  review(pair: ReviewedPair): Promise<Omit<Review, "by" | "kind">>;
}

type Named = Pick<Reviewer, "name" | "identity">;

/** Vetoes where it prefers the rejected side in both orders. */
export function judgeReviewer(judge: Judge, named: Named): Reviewer {
  return {
    ...named,
    kind: "judge",
    review: async (pair) => {
      const judgement = await judge.compare({
        prompt: turnsOf(pair.prompt ?? []).map(({ role, content }) => ({ role, content: content ?? "" })),
        first: textOf(pair.chosen),
        second: textOf(pair.rejected),
      });
      if (judgement.outcome === "failed") return { opinion: null, veto: false, evidence: judgement.reason };
      const opinion = ({ first: "chosen", second: "rejected", tie: "tie" } as const)[judgement.preference];
      const said = judgement.rulings.map(({ order, said }) => `${order}: ${said}`);
      return { opinion, veto: opinion === "rejected", evidence: said.join("\n\n") };
    },
  };
}

/** Scores of responses to a prompt, in order; higher is better. null: it could not be scored. */
export type Scorer = (
  rows: readonly { readonly prompt: readonly ChatMessage[] | string; readonly response: string }[],
) => Promise<readonly (number | null)[]>;

/** Vetoes where it scores the rejected side higher. */
export function scorerReviewer(score: Scorer, named: Named): Reviewer {
  return {
    ...named,
    kind: "reward model",
    review: async ({ prompt = [], chosen, rejected }) => {
      const rows = [chosen, rejected].map((side) => ({ prompt, response: textOf(side) }));
      const [better = null, worse = null] = await score(rows);
      if (better === null || worse === null || !Number.isFinite(better) || !Number.isFinite(worse)) {
        return { opinion: null, veto: false, evidence: `no scores: chosen ${better}, rejected ${worse}` };
      }
      const opinion = better > worse ? "chosen" : better < worse ? "rejected" : "tie";
      return { opinion, veto: opinion === "rejected", evidence: `chosen ${better}, rejected ${worse}` };
    },
  };
}

/** Vetoes where the chosen side does not pass. It is given the pair as its row. */
export function verifierReviewer(verifier: Verifier, named: Named): Reviewer {
  return {
    ...named,
    kind: "verifier",
    review: async (pair) => {
      const sides = await Promise.all(
        [pair.chosen, pair.rejected].map((side) => verifier.grade(textOf(side), pair)),
      );
      const evidence = sides
        .map((verdict, i) => `${i === 0 ? "chosen" : "rejected"}: ${verdict.outcome}. ${verdict.evidence}`)
        .join("\n");
      const [chosen, rejected] = sides.map(({ outcome }) => outcome);
      if ([chosen, rejected].includes("infrastructure-error"))
        return { opinion: null, veto: false, evidence };
      const passes = [chosen === "pass", rejected === "pass"] as const;
      const opinion: Opinion = passes[0] === passes[1] ? "tie" : passes[0] ? "chosen" : "rejected";
      return { opinion, veto: !passes[0], evidence };
    },
  };
}

const turnsOf = (side: string | readonly ChatMessage[]): readonly ChatMessage[] =>
  typeof side === "string" ? [{ role: "user", content: side }] : side;

/** What a side says; turns of tools as they are called. */
function textOf(side: string | readonly ChatMessage[]): string {
  if (typeof side === "string") return side;
  return side
    .map(({ content, tool_calls: calls }) =>
      [content ?? "", ...(calls ?? []).map((call) => JSON.stringify(call.function))]
        .filter(Boolean)
        .join("\n"),
    )
    .join("\n\n");
}
