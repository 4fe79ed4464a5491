// The known way in which DPO goes wrong: the margin grows because the rejected answers become unlikely, and the chosen ones with them.
// arXiv 2402.13228 (Smaug) and 2404.19733 (RPO) describe it.
import type { DpoConfig } from "./config.js";

/** Steps in a row after which it is said. */
const fallingSteps = 5;

/**
 * Watches steps: their mean log-ratio of chosen answers, which is the log-probability less what it was under the reference, so that other rows
 * are no fall. Returns a sentence at the step at which it has fallen for so many in a row, below the reference; once.
 */
export function watchChosen({
  beta,
  loss_type,
  learning_rate,
}: Pick<DpoConfig, "beta" | "loss_type" | "learning_rate">): (
  step: number,
  rewardChosen: number,
) => string | undefined {
  let before = 0;
  let falls = 0;
  let said = false;
  return (step, rewardChosen) => {
    falls = rewardChosen < before ? falls + 1 : 0;
    before = rewardChosen;
    if (said || falls < fallingSteps || rewardChosen >= 0) return undefined;
    said = true;
    const nats = (-rewardChosen / beta).toPrecision(3);
    const term = loss_type.includes("sft")
      ? "a larger weight of sft (loss_weights)"
      : `an sft term (loss_type ${loss_type.join(",")},sft)`;
    return (
      `The chosen answers have become less likely for ${fallingSteps} steps in a row, at step ${step} by ${nats} nats an answer against the reference: a margin ` +
      `that grows then does so because the rejected ones fall faster. To hold them up: ${term}, a lower learning_rate (now ${learning_rate}), or a larger beta (now ${beta}).`
    );
  };
}
