// What a reward model learns from a row: that its better responses score higher than its worse ones. The mean over all pairs of them,
//   L = 1/(k (n - k)) sum_{i better} sum_{j worse} -log sigmoid(r_i - r_j - m)  +  c (r_i + r_j)^2,
// of n responses with k better ones. Of two it is Bradley-Terry with a margin m (Llama 2, arXiv 2307.09288, eq. 2; TRL), of more the listwise
// loss of Qwen2.5-Math (arXiv 2409.12122, section 2.2: n = 6). c (center_rewards_coefficient) keeps scores near 0: arXiv 2312.09244, eq. 2.

/** Of each response: among the better ones, among the worse ones, or (null) not judged. */
export type Labels = readonly (boolean | null)[];

export interface PreferenceLoss {
  readonly loss: number;
  /** dL / d r of each response. */
  readonly gradient: Float64Array;
}

/** `scores` r and `labels` of one row's responses. Without a better or without a worse one there is nothing to learn: 0. */
export function preferenceLoss(
  scores: ArrayLike<number>,
  labels: Labels,
  { margin, centring }: { readonly margin: number; readonly centring: number },
): PreferenceLoss {
  const gradient = new Float64Array(scores.length);
  const pairs = pairsOf(labels);
  let loss = 0;
  for (const [better, worse] of pairs) {
    const [a, b] = [scores[better] as number, scores[worse] as number];
    const ahead = a - b - margin;
    loss += softplus(-ahead) + centring * (a + b) ** 2;
    const pull = -1 / (1 + Math.exp(ahead)); // d/da of -log sigmoid(a - b - m)
    const centre = 2 * centring * (a + b);
    gradient[better]! += (pull + centre) / pairs.length;
    gradient[worse]! += (centre - pull) / pairs.length;
  }
  return { loss: pairs.length === 0 ? 0 : loss / pairs.length, gradient };
}

/** Places of every better response with every worse one. */
export function pairsOf(labels: Labels): readonly (readonly [better: number, worse: number])[] {
  const places = (label: boolean): number[] => labels.flatMap((own, i) => (own === label ? [i] : []));
  return places(true).flatMap((better) => places(false).map((worse) => [better, worse] as const));
}

/** log(1 + e^x), without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}
