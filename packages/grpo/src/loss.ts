// The policy's loss over given responses, from log-probabilities to a value, its gradient and counts of what was clipped. For token t of a
// response with advantage A:
//
//   r_t = exp(log p_t - log p_old,t)                            or, for `sequence`, exp of its mean over the response (GSPO)
//   clip:  S_t = -min(r_t A, clip(r_t, 1 - e_low, 1 + e_high) A)     at most c |A| for A < 0, where there is a dual clip c (PPO, GRPO)
//   cispo: S_t = -min(r_t, e_high) A log p_t                        its ratio without gradient: no token falls silent (CISPO)
//   L = sum_t w_t (S_t + beta K_t)                                   w: aggregation.ts; K: the estimators below
//
// Sources: GRPO arXiv 2402.03300, clip-higher arXiv 2503.14476, dual clip arXiv 1912.09729, GSPO arXiv 2507.18071, CISPO arXiv 2506.13585.

/** Responses of a micro-batch, one after the other: T tokens, R responses. Log-probabilities are those of the tempered policy. */
export interface PolicyBatch {
  /** Under the policy as it is now (T). */
  readonly logProbs: ArrayLike<number>;
  /** Under the policy that the episode began with (T): the sampler's own. */
  readonly oldLogProbs: ArrayLike<number>;
  /** Under the reference (T), where there is a KL term. */
  readonly referenceLogProbs?: ArrayLike<number> | undefined;
  readonly advantages: ArrayLike<number>;
  /** What a token counts in the step's loss (T); 0: it is masked. */
  readonly weights: ArrayLike<number>;
  /** First token of each response, and T at the end (R+1). */
  readonly starts: ArrayLike<number>;
}

export interface PolicyLossOptions {
  /** Whose ratio: each token's own, or its response's. */
  readonly ratio: keyof typeof ratioLevels;
  readonly surrogate: keyof typeof surrogates;
  readonly epsilonLow: number;
  /** Upper room of `clip`; the upper bound itself of `cispo`, as TRL has it. */
  readonly epsilonHigh: number;
  /** c above 1. */
  readonly dualClip?: number | undefined;
  /** 0: no KL term. */
  readonly beta: number;
  readonly kl: keyof typeof klEstimators;
  /** Multiply the KL term by the ratio: TRL's use_bias_correction_kl. On-policy it changes the gradient, not the value. */
  readonly klTimesRatio: boolean;
}

export interface PolicyLoss {
  /** This micro-batch's part of the step's loss. */
  readonly loss: number;
  /** dL / d log p of each token (T). */
  readonly gradient: Float32Array;
  readonly responses: readonly ResponseCounts[];
}

/** Of one response, over its tokens that count: sums, or numbers of tokens. All 0 where it is masked. */
export interface ResponseCounts {
  readonly tokens: number;
  /** Ratio below 1 - e_low at a negative advantage, above 1 + e_high at a positive one: tokens that clipping took out. */
  readonly clippedLow: number;
  readonly clippedHigh: number;
  /** Sum of the KL estimate to the reference; 0 without one. */
  readonly kl: number;
  /** Sums of log p_old - log p, the k1 estimate of how far the policy has moved, and of the token ratios. */
  readonly moved: number;
  readonly ratio: number;
  /** The least and the largest token ratio. */
  readonly leastRatio: number;
  readonly mostRatio: number;
  /** Sum of |log p - log p_old|, and the largest. */
  readonly difference: number;
  readonly mostDifference: number;
}

/** Log-ratios (T) to those that the loss uses (T). */
const ratioLevels = {
  token: (own: Float64Array): Float64Array => own,
  sequence: (own: Float64Array, starts: ArrayLike<number>): Float64Array => {
    const means = new Float64Array(own.length);
    for (let r = 0; r + 1 < starts.length; r++) {
      const [from, to] = [starts[r] as number, starts[r + 1] as number];
      means.fill(sum(own.subarray(from, to)) / (to - from), from, to);
    }
    return means;
  },
};

interface Term {
  readonly value: number;
  /** d value / d log ratio, and d value / d log p beside the ratio. */
  readonly byLogRatio: number;
  readonly byLogProb: number;
}

type Surrogate = (ratio: number, advantage: number, logProb: number, options: PolicyLossOptions) => Term;

const surrogates = {
  clip: (ratio, advantage, _, { epsilonLow, epsilonHigh, dualClip }) => {
    const clipped = Math.min(Math.max(ratio, 1 - epsilonLow), 1 + epsilonHigh);
    const least = Math.min(ratio * advantage, clipped * advantage);
    if (dualClip !== undefined && advantage < 0 && least < dualClip * advantage) {
      return { value: -dualClip * advantage, byLogRatio: 0, byLogProb: 0 };
    }
    return {
      value: -least,
      byLogRatio: least === ratio * advantage ? -ratio * advantage : 0,
      byLogProb: 0,
    };
  },
  cispo: (ratio, advantage, logProb, { epsilonHigh }) => {
    const factor = -Math.min(ratio, epsilonHigh) * advantage;
    return { value: factor * logProb, byLogRatio: 0, byLogProb: factor };
  },
} satisfies Record<string, Surrogate>;

/**
 * Of d = log p_ref - log p: an estimate of KL(p || p_ref) and its derivative by log p. k3's own gradient is not that of the reverse KL;
 * k2's is, and k3_k2 has it under k3's value (verl's k3+).
 */
const klEstimators = {
  k2: (d: number) => ({ value: d ** 2 / 2, slope: -d }),
  k3: (d: number) => ({ value: Math.exp(d) - d - 1, slope: 1 - Math.exp(d) }),
  k3_k2: (d: number) => ({ value: Math.exp(d) - d - 1, slope: -d }),
};

export const ratioNames = Object.keys(ratioLevels) as (keyof typeof ratioLevels)[];
export const surrogateNames = Object.keys(surrogates) as (keyof typeof surrogates)[];
export const klNames = Object.keys(klEstimators) as (keyof typeof klEstimators)[];

const noCounts: ResponseCounts = {
  ...{ tokens: 0, clippedLow: 0, clippedHigh: 0, kl: 0, moved: 0 },
  ...{ ratio: 0, leastRatio: 0, mostRatio: 0, difference: 0, mostDifference: 0 },
};

export function policyLoss(batch: PolicyBatch, options: PolicyLossOptions): PolicyLoss {
  const { logProbs, oldLogProbs, referenceLogProbs, advantages, weights, starts } = batch;
  const { beta, klTimesRatio } = options;
  const surrogate: Surrogate = surrogates[options.surrogate];
  const own = Float64Array.from(
    { length: logProbs.length },
    (_, t) => (logProbs[t] as number) - (oldLogProbs[t] as number),
  );
  const used = ratioLevels[options.ratio](own, starts);
  const gradient = new Float32Array(logProbs.length);
  const responses: ResponseCounts[] = [];
  let loss = 0;
  for (let r = 0; r + 1 < starts.length; r++) {
    const [from, to] = [starts[r] as number, starts[r + 1] as number];
    const counts = { ...noCounts };
    /** Of the response: the sum over its tokens of what goes through its shared ratio. */
    let shared = 0;
    for (let t = from; t < to; t++) {
      const weight = weights[t] as number;
      if (weight === 0) continue;
      const [logProb, advantage] = [logProbs[t] as number, advantages[t] as number];
      const ratio = Math.exp(used[t] as number);
      const { value, byLogRatio, byLogProb } = surrogate(ratio, advantage, logProb, options);
      const reference = referenceLogProbs?.[t];
      const kl =
        reference === undefined ? { value: 0, slope: 0 } : klEstimators[options.kl](reference - logProb);
      const factor = klTimesRatio ? ratio : 1;
      loss += weight * (value + beta * factor * kl.value);
      const throughRatio = weight * (byLogRatio + (klTimesRatio ? beta * ratio * kl.value : 0));
      const direct = weight * (byLogProb + beta * factor * kl.slope);
      gradient[t] = direct + (options.ratio === "token" ? throughRatio : 0);
      shared += throughRatio;
      counts.tokens++;
      if (advantage < 0 && ratio < 1 - options.epsilonLow) counts.clippedLow++;
      if (advantage > 0 && ratio > upperBound(options)) counts.clippedHigh++;
      counts.kl += kl.value;
      counts.moved -= own[t] as number;
      const apart = Math.abs(own[t] as number);
      const tokenRatio = Math.exp(own[t] as number);
      counts.ratio += tokenRatio;
      counts.leastRatio = counts.tokens === 1 ? tokenRatio : Math.min(counts.leastRatio, tokenRatio);
      counts.mostRatio = Math.max(counts.mostRatio, tokenRatio);
      counts.difference += apart;
      counts.mostDifference = Math.max(counts.mostDifference, apart);
    }
    if (options.ratio === "sequence") {
      for (let t = from; t < to; t++) gradient[t] = (gradient[t] as number) + shared / (to - from);
    }
    responses.push(counts);
  }
  return { loss, gradient, responses };
}

function upperBound({ surrogate, epsilonHigh }: PolicyLossOptions): number {
  return surrogate === "cispo" ? epsilonHigh : 1 + epsilonHigh;
}

function sum(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
