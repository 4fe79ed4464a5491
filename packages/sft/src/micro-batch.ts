// What a micro-batch of rows looks like to the model.
import { IGNORED_LABEL, type TokenizedRow } from "@posttrain/data";
import { type PackedBatch, type Predictions, packSequences } from "@posttrain/model";

export interface MicroBatch {
  readonly rows: readonly TokenizedRow[];
  readonly batch: PackedBatch;
  readonly predictions: Predictions;
}

export function microBatch(rows: readonly TokenizedRow[]): MicroBatch {
  const batch = packSequences(rows.map((row) => row.inputIds));
  const predicting: number[] = [];
  const targets: number[] = [];
  for (const [s, { labels }] of rows.entries()) {
    const start = batch.starts[s] as number;
    for (let i = 1; i < labels.length; i++) {
      if (labels[i] === IGNORED_LABEL) continue;
      predicting.push(start + i - 1);
      targets.push(labels[i] as number);
    }
  }
  return {
    rows,
    batch,
    predictions: { rows: Int32Array.from(predicting), targets: Int32Array.from(targets) },
  };
}
