// Who judges a response: each by itself, none knows what the others say.
import type { ChatMessage } from "@posttrain/data";
import { shortened } from "@posttrain/data";
import type { Making, Seed } from "../area.js";
import { readable } from "../conversation.js";
import { keep, type Outcome, unanswered } from "../outcome.js";
import type { RoleName } from "../roles.js";
import { askForVerdict, wordAfter } from "../verdict.js";

export interface Judged {
  readonly seed: Seed;
  readonly messages: readonly ChatMessage[];
  readonly response: string;
}

/** What one scorer finds, with what it says of it. `none`: it came to no verdict. */
export interface Vote {
  readonly scorer: string;
  readonly verdict: "flawless" | "flawed" | "none";
  readonly [evidence: string]: unknown;
}

type Scorer = () => Promise<Outcome<Vote>>;

/** By the name of their prompts, filtering-NAME.md. */
const readers: Readonly<Record<string, RoleName>> = {
  critic: "critic",
  correctness: "judge",
  instructions: "judge",
  reader: "judge",
};

const mostShown = 1000;

/** Those who can judge a response: readers where there is somebody to ask, a reward model where there is one, a verifier where the row has what it needs. */
export function scorersOf({
  roles,
  reward,
  grader,
  verifiers,
  config,
}: Making): (judged: Judged) => readonly Scorer[] {
  return ({ seed, messages, response }) => {
    const read = Object.entries(readers)
      .filter(([, role]) => roles.has(role))
      .map(
        ([name, role]): Scorer =>
          async () => {
            const values = { conversation: readable(messages), response };
            const found = await askForVerdict(roles, role, { prompt: `filtering-${name}`, values }, (said) =>
              wordAfter(said, "verdict", ["flawless", "flawed"]),
            );
            if ("unanswered" in found) return found;
            if ("dropped" in found) return keep<Vote>({ scorer: name, verdict: "none" });
            const [{ verdict, said }] = found.kept as [(typeof found.kept)[number]];
            const evidence = { said: shortened(said.text, mostShown), asked: said.asked };
            return keep<Vote>({ scorer: name, verdict: verdict as Vote["verdict"], ...evidence });
          },
      );
    const scored: readonly Scorer[] =
      reward === undefined
        ? []
        : [
            async () => {
              const score = await reward.score([...messages, { role: "assistant", content: response }]);
              const found = { scorer: "reward", model: reward.model, score };
              if (score === null) return keep<Vote>({ ...found, verdict: "none" });
              return keep<Vote>({ ...found, verdict: score >= config.min_reward ? "flawless" : "flawed" });
            },
          ];
    const verified: readonly Scorer[] =
      verifiers.verifierOf(seed.row) === undefined
        ? []
        : [
            async () => {
              const verdict = await grader.grade({ row: seed.row }, { text: response, finish: "stop" });
              const { outcome, evidence } = verdict;
              if (outcome === "infrastructure-error") return unanswered(evidence);
              const found = { scorer: "verifier", verifier: verdict.verifier, outcome, evidence };
              return keep<Vote>({ ...found, verdict: outcome === "pass" ? "flawless" : "flawed" });
            },
          ];
    return [...read, ...scored, ...verified];
  };
}
