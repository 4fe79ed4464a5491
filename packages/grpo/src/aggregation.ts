// How the tokens of an episode's responses share in the losses of its updates. Masked responses (cut off, or without a verdict) count for nothing
// themselves, but stay in the number of responses, as TRL has it: leaving them out must not make the others louder. A token counts the same
// whichever micro-batch and update of the episode it falls into.

/** The responses of a whole episode. */
export interface EpisodeResponses {
  readonly lengths: readonly number[];
  /** Which take part; the others have weight 0. */
  readonly counted: readonly boolean[];
  /** The most tokens that a response may have: dr_grpo's divisor. */
  readonly maxCompletionLength: number;
  /** Into how many updates they are dealt. */
  readonly updates: number;
}

/** What every token of a response counts, by the response's length. */
type Aggregation = (episode: EpisodeResponses) => (length: number) => number;

const aggregations = {
  /** The mean over tokens of each response, then over responses (arXiv 2402.03300). */
  grpo:
    ({ lengths, updates }) =>
    (length) =>
      updates / (lengths.length * length),
  /** One mean over all tokens that count (arXiv 2503.14476). */
  dapo: ({ lengths, counted, updates }) => {
    const tokens = lengths.reduce((sum, length, i) => sum + (counted[i] === true ? length : 0), 0);
    return () => updates / tokens;
  },
  /** The sum over tokens by a constant: no response's length changes what its tokens count (arXiv 2503.20783). */
  dr_grpo:
    ({ lengths, maxCompletionLength, updates }) =>
    () =>
      updates / (lengths.length * maxCompletionLength),
} satisfies Record<string, Aggregation>;

export type AggregationName = keyof typeof aggregations;
export const aggregationNames = Object.keys(aggregations) as AggregationName[];

/** The weight of each response's tokens. */
export function responseWeights(name: AggregationName, episode: EpisodeResponses): readonly number[] {
  const weigh = aggregations[name](episode);
  return episode.lengths.map((length, i) => (episode.counted[i] === true && length > 0 ? weigh(length) : 0));
}
