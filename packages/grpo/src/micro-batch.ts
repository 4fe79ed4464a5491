// What responses look like to the model: prompt and response as one packed sequence each, asked for the response's tokens.
import { type PackedBatch, type Predictions, packSequences } from "@posttrain/model";

/** A response with what training needs of it. */
export interface TrainedResponse {
  readonly promptIds: Int32Array;
  readonly completionIds: Int32Array;
  /** Under the policy that the episode began with, and under the reference where there is a KL term: one a token of the completion. */
  readonly oldLogProbs: Float32Array;
  readonly referenceLogProbs?: Float32Array | undefined;
  readonly advantage: number;
  /** What each of its tokens counts in the step's loss; 0: it is masked. */
  readonly weight: number;
}

export interface MicroBatch {
  readonly batch: PackedBatch;
  readonly predictions: Predictions;
  /** First prediction of each response, and their number at the end (R+1). */
  readonly starts: Int32Array;
}

export function microBatch(
  responses: readonly Pick<TrainedResponse, "promptIds" | "completionIds">[],
): MicroBatch {
  const batch = packSequences(
    responses.map(({ promptIds, completionIds }) => Int32Array.from([...promptIds, ...completionIds])),
  );
  const starts = new Int32Array(responses.length + 1);
  const rows: number[] = [];
  const targets: number[] = [];
  for (const [r, { promptIds, completionIds }] of responses.entries()) {
    const first = (batch.starts[r] as number) + promptIds.length - 1;
    for (const [i, id] of completionIds.entries()) {
      rows.push(first + i);
      targets.push(id);
    }
    starts[r + 1] = rows.length;
  }
  return { batch, predictions: { rows: Int32Array.from(rows), targets: Int32Array.from(targets) }, starts };
}
