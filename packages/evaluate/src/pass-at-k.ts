// Scores of several samples a question: pass@k without bias, means with an interval, and the majority's answer.
import { type Accuracy, wilsonShare } from "@posttrain/data";

/**
 * The chance that at least one of k samples drawn without replacement passes, of `total` samples of which `passed` do (Chen et al.,
 * arXiv 2107.03374): 1 - C(total - passed, k) / C(total, k), as a product that neither overflows nor cancels. `total` is at least k.
 */
export function passAtK(total: number, passed: number, k: number): number {
  if (total - passed < k) return 1;
  let noneOf = 1;
  for (let i = total - passed + 1; i <= total; i++) noneOf *= 1 - k / i;
  return 1 - noneOf;
}

/**
 * The mean of a score from 0 to 1 over questions. Its interval is Wilson's for as many yes-or-no questions as would leave the same
 * standard error: that of yes-or-no scores is Wilson's own.
 */
export function meanScore(values: readonly number[]): Accuracy | null {
  const total = values.length;
  if (total === 0) return null;
  const sum = values.reduce((all, value) => all + value, 0);
  const share = sum / total;
  const squares = values.reduce((all, value) => all + (value - share) ** 2, 0);
  const spread = squares / total;
  const room = share * (1 - share);
  const { low, high } = wilsonShare(share, spread > 0 && room > 0 ? (room / spread) * total : total);
  const stderr = total > 1 ? Math.sqrt(squares / (total - 1) / total) : null;
  return { correct: sum, total, share, low, high, stderr };
}

export interface Majority {
  readonly answer: string;
  readonly votes: number;
  /** Its place among the samples, the first that gave this answer. */
  readonly sample: number;
}

/**
 * The answer that most samples gave; of several the one given first. `same` compares two answers that are not the same text. A sample
 * without an answer has no vote.
 */
export async function majorityOf(
  answers: readonly (string | undefined)[],
  same: (a: string, b: string) => Promise<boolean> | boolean,
): Promise<Majority | undefined> {
  const classes: { answer: string; votes: number; sample: number }[] = [];
  for (const [sample, answer] of answers.entries()) {
    if (answer === undefined) continue;
    let own = classes.find((one) => one.answer === answer);
    for (let i = 0; own === undefined && i < classes.length; i++) {
      if (await same(classes[i]!.answer, answer)) own = classes[i];
    }
    if (own === undefined) classes.push({ answer, votes: 1, sample });
    else own.votes++;
  }
  return classes.reduce<Majority | undefined>(
    (best, one) => (best === undefined || one.votes > best.votes ? one : best),
    undefined,
  );
}
