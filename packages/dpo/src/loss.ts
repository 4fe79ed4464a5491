// Losses of preference optimization. Of a pair, with log-probabilities summed over the tokens of an answer y after its prompt x:
//
//   r_w = log pi(y_w | x) - log ref(y_w | x)    r_l likewise    D = r_w - r_l    (w: chosen, l: rejected)
//
//   sigmoid        -log s(b D)                                    DPO, arXiv 2305.18290, eq. 7; with label smoothing e it is cDPO:
//                  -(1 - e) log s(b D) - e log s(-b D)            arXiv 2305.18290's authors, ericmitchell.ai/cdpo.pdf
//   robust         [-(1 - e) log s(b D) + e log s(-b D)] / (1 - 2 e)    arXiv 2403.00409, eq. 12: below 0 without a bound
//   ipo_sum        (D - 1 / (2 b))^2                              IPO, arXiv 2310.12036, eq. 17
//   ipo            the same of r_w / |y_w| - r_l / |y_l|          as TRL has it
//   hinge          max(0, 1 - b D)                                SLiC, arXiv 2305.10425, section 2.2
//   sigmoid_norm   sigmoid of r_w / |y_w| - r_l / |y_l|           Tulu 3, arXiv 2411.15124, eq. 6 (b = 5)
//   sft            the mean of -log pi over the chosen tokens     beside another: RPO, arXiv 2404.19733; Llama 3.1 with weight 0.2
//
// s: sigmoid, b: beta. Where a loss says nothing of a pair's tokens but their sum, all tokens of an answer have one gradient.

export const lossTypes = ["sigmoid", "sigmoid_norm", "robust", "ipo", "ipo_sum", "hinge", "sft"] as const;
export type LossType = (typeof lossTypes)[number];

export interface PairLogProbs {
  /** log pi of each token of an answer. */
  readonly chosen: Float32Array;
  readonly rejected: Float32Array;
  /** log ref of the answers: sums over their tokens. */
  readonly reference: PairSums;
}

/** Of a pair's answers: log-probabilities summed over tokens. */
export interface PairSums {
  readonly chosen: number;
  readonly rejected: number;
}

export interface DpoLossOptions {
  readonly terms: readonly { readonly type: LossType; readonly weight: number }[];
  readonly beta: number;
  readonly labelSmoothing: number;
}

export interface DpoLoss {
  /** The mean over pairs; of `sft` over chosen tokens. */
  readonly loss: number;
  /** Of each pair: dL / d log pi of a token of chosen, and of one of rejected. */
  readonly gradients: readonly PairSums[];
}

export function dpoLoss(
  pairs: readonly PairLogProbs[],
  { terms, beta, labelSmoothing }: DpoLossOptions,
): DpoLoss {
  const chosenTokens = pairs.reduce((tokens, { chosen }) => tokens + chosen.length, 0);
  let loss = 0;
  const gradients = pairs.map((pair) => {
    const sums = sumsOf(pair);
    const gradient = { chosen: 0, rejected: 0 };
    for (const { type, weight } of terms) {
      if (type === "sft") {
        loss -= (weight * sums.chosen) / chosenTokens;
        gradient.chosen -= weight / chosenTokens;
        continue;
      }
      const [perChosen, perRejected] = byLength.has(type)
        ? [1 / pair.chosen.length, 1 / pair.rejected.length]
        : [1, 1];
      const { chosen, rejected } = logRatios(pair);
      const [value, slope] = losses[type](chosen * perChosen - rejected * perRejected, beta, labelSmoothing);
      loss += (weight * value) / pairs.length;
      gradient.chosen += (weight * slope * perChosen) / pairs.length;
      gradient.rejected -= (weight * slope * perRejected) / pairs.length;
    }
    return gradient;
  });
  return { loss, gradients };
}

/** r_w and r_l. */
export function logRatios(pair: PairLogProbs): PairSums {
  const { chosen, rejected } = sumsOf(pair);
  return { chosen: chosen - pair.reference.chosen, rejected: rejected - pair.reference.rejected };
}

export function sumsOf({ chosen, rejected }: Pick<PairLogProbs, "chosen" | "rejected">): PairSums {
  return { chosen: sum(chosen), rejected: sum(rejected) };
}

/** Those that divide the log-ratios by the answers' numbers of tokens. */
const byLength: ReadonlySet<LossType> = new Set(["ipo", "sigmoid_norm"]);

/** A pair's loss and its derivative, both of D. */
type LossOfMargin = (margin: number, beta: number, e: number) => readonly [value: number, slope: number];

const sigmoidLoss: LossOfMargin = (margin, beta, e) => {
  const h = beta * margin;
  return [(1 - e) * softplus(-h) + e * softplus(h), beta * (e * sigmoid(h) - (1 - e) * sigmoid(-h))];
};

const ipoLoss: LossOfMargin = (margin, beta) => {
  const off = margin - 1 / (2 * beta);
  return [off * off, 2 * off];
};

const losses: Readonly<Record<Exclude<LossType, "sft">, LossOfMargin>> = {
  sigmoid: sigmoidLoss,
  sigmoid_norm: sigmoidLoss,
  robust: (margin, beta, e) => {
    const h = beta * margin;
    const value = (1 - e) * softplus(-h) - e * softplus(h);
    const slope = -beta * ((1 - e) * sigmoid(-h) + e * sigmoid(h));
    return [value / (1 - 2 * e), slope / (1 - 2 * e)];
  },
  ipo: ipoLoss,
  ipo_sum: ipoLoss,
  hinge: (margin, beta) => (beta * margin < 1 ? [1 - beta * margin, -beta] : [0, 0]),
};

function sum(values: Float32Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** log(1 + e^x), without overflow: -log s(x) is softplus(-x). */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}
