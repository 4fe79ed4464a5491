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
  const share = correct / total;
  const stderr = total > 1 ? Math.sqrt((share * (1 - share)) / (total - 1)) : null;
  return { correct, total, share, ...wilsonShare(share, total), stderr };
}

/** The interval of a share of `total` trials, which need be no whole number. */
export function wilsonShare(share: number, total: number): { readonly low: number; readonly high: number } {
  const z = 1.959964;
  const middle = (share + (z * z) / (2 * total)) / (1 + (z * z) / total);
  const half =
    (z * Math.sqrt((share * (1 - share)) / total + (z * z) / (4 * total * total))) / (1 + (z * z) / total);
  return { low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/** A difference of two shares of right answers to the same questions. */
export interface PairedGain {
  readonly gain: number;
  /** 95 % interval. */
  readonly low: number;
  readonly high: number;
}

/**
 * Of `total` questions, at least 1, `gained` became right and `lost` became wrong. The interval is Wald's for matched pairs with half an observation added to each of the four cells
 * (Agresti and Min, Statistics in Medicine 24, 2005), which covers well for few changes too.
 */
export function pairedGain(gained: number, lost: number, total: number): PairedGain {
  const [changes, difference, n] = [gained + lost + 1, gained - lost, total + 2];
  const half = (1.959964 * Math.sqrt(changes - difference ** 2 / n)) / n;
  return { gain: difference / total, low: difference / n - half, high: difference / n + half };
}
