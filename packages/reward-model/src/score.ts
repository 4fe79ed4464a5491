// The score of a sequence: the hidden state after the final norm at its last token, times the head. A sequence's score has the same bits
// alone and in any pack.
import { convert, gatherRows, linear, type Scope, type Tensor } from "@posttrain/kernels";
import {
  forward,
  headsWeight,
  type Model,
  type PackedBatch,
  packSequences,
  parameter,
  type Qwen2Config,
  type ScoreHead,
  scoreWeight,
  setParameter,
} from "@posttrain/model";

export interface SequenceScores {
  /** Of each sequence. */
  readonly scores: Float32Array;
  /** Of each sequence by head, in the order of the model's score_heads; none where the score is no sum. */
  readonly heads: readonly Float32Array[];
}

/** Scores of whole sequences (prompt and response), each read at its last token, by a model on a device. */
export async function scoreSequences(
  model: Model,
  sequences: readonly Int32Array[],
): Promise<SequenceScores> {
  if (sequences.length === 0) return { scores: new Float32Array(), heads: [] };
  const batch = packSequences(sequences);
  const count = headOf(model).heads.length;
  return model.device.run(async (scope) => {
    const last = lastStates(scope, forward(scope, model, batch), batch);
    const scores = linear(scope, last, parameter(model, scoreWeight));
    const heads = count > 0 ? linear(scope, last, parameter(model, headsWeight)) : undefined;
    const read = (await heads?.read()) as Float32Array | undefined;
    return {
      scores: (await scores.read()) as Float32Array,
      heads: read === undefined ? [] : sequences.map((_, s) => read.subarray(s * count, (s + 1) * count)),
    };
  });
}

/** What training learns of each sequence (S, heads), with a gradient: the score itself, or each head that it is the sum of. */
export function trainedScores(scope: Scope, model: Model, hidden: Tensor, batch: PackedBatch): Tensor {
  const weight = headOf(model).heads.length > 0 ? headsWeight : scoreWeight;
  return linear(scope, lastStates(scope, hidden, batch), parameter(model, weight));
}

function lastStates(scope: Scope, hidden: Tensor, { starts }: PackedBatch): Tensor {
  const last = starts.subarray(1).map((end) => end - 1);
  return gatherRows(scope, hidden, scope.from(last));
}

/** The head of a model that was opened as a reward model. */
export function headOf({ config }: Model): ScoreHead {
  if (config.score === null) throw new Error("this model has no score head");
  return config.score;
}

/** The config of a language model with one score in place of its words. */
export function withScore(config: Qwen2Config, heads: ScoreHead["heads"]): Qwen2Config {
  return { ...config, score: { labels: ["LABEL_0"], heads } };
}

/** Which parameters move: where the score is a sum, its weight follows from the heads. */
export function trainableOf({ score }: Qwen2Config): (name: string) => boolean {
  const summed = (score?.heads.length ?? 0) > 0;
  return (name) => !(summed && name === scoreWeight);
}

/** Makes score.weight the weighted sum of the heads as the forward pass reads them, where there are any. */
export async function sumHeads(model: Model): Promise<void> {
  const { heads } = headOf(model);
  if (heads.length === 0) return;
  const { hiddenSize } = model.config;
  await model.device.run(async (scope) => {
    // Of a model in bf16 its values in f32, which are exact.
    const wide = scope.empty([heads.length, hiddenSize]);
    convert(wide, parameter(model, headsWeight));
    const values = (await wide.read()) as Float32Array;
    const sum = Float32Array.from({ length: hiddenSize }, (_, i) =>
      heads.reduce((total, { weight }, h) => total + weight * (values[h * hiddenSize + i] as number), 0),
    );
    setParameter(model, scoreWeight, scope.from(sum, [1, hiddenSize]));
  });
}
