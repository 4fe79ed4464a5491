// Shares of right answers with what they leave open.

export interface Accuracy {
  readonly correct: number;
  readonly total: number;
  readonly share: number;
  /** 95 % score interval of Wilson (1927): right at 0 and 1 and for small numbers, unlike the textbook's. */
  readonly low: number;
  readonly high: number;
  /** Of the mean, from the sample's deviation, as lm-evaluation-harness has it; null of a single one. */
  readonly stderr: number | null;
}

/** Of `total` at least 1. */
export function wilson(correct: number, total: number): Accuracy {
  const z = 1.959964;
  const share = correct / total;
  const middle = (share + (z * z) / (2 * total)) / (1 + (z * z) / total);
  const half =
    (z * Math.sqrt((share * (1 - share)) / total + (z * z) / (4 * total * total))) / (1 + (z * z) / total);
  const stderr = total > 1 ? Math.sqrt((share * (1 - share)) / (total - 1)) : null;
  return { correct, total, share, low: Math.max(0, middle - half), high: Math.min(1, middle + half), stderr };
}
