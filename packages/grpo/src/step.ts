// One optimizer step over responses, and the log-probabilities of responses as they stand.
import { backward, Tape } from "@posttrain/kernels";
import { forward, type Model, predict, readPredictions } from "@posttrain/model";
import { eachMicroBatch, finishStep, type Optimizer, type StepOptions } from "@posttrain/train";
import { type PolicyLossOptions, policyLoss, type ResponseCounts } from "./loss.js";
import { microBatch, type TrainedResponse } from "./micro-batch.js";

export interface PolicyStepOptions extends StepOptions, PolicyLossOptions {
  /** Of the policy: logits are divided by it. */
  readonly temperature: number;
  /** The weights are those that sampled: every log-probability must be the sampler's, bit for bit. */
  readonly onPolicy?: boolean;
}

/** What the sampler stored is not what the trainer computes: the promise that everything here rests on is broken. */
class SamplerDiffers extends Error {
  constructor(line: number, token: number, sampled: number, computed: number) {
    super(
      `The log-probability of token ${token} of a response to the prompt on line ${line} was ${sampled} when it was drawn and is ${computed} to the trainer, with the same weights. ` +
        "One forward path must give one number: please report it, with this machine's `posttrain env`.",
    );
  }
}

/** Throws SamplerDiffers at the first token whose log-probabilities are not the same bits. */
export function checkSampler(
  rows: readonly Pick<StepRow, "line" | "oldLogProbs">[],
  computed: readonly Float32Array[],
): void {
  for (const [r, { line, oldLogProbs }] of rows.entries()) {
    const own = computed[r] as Float32Array;
    const token = own.findIndex((logProb, t) => !Object.is(logProb, oldLogProbs[t]));
    if (token >= 0) throw new SamplerDiffers(line, token, oldLogProbs[token] as number, own[token] as number);
  }
}

export interface PolicyStepResult {
  readonly loss: number;
  readonly gradNorm: number;
  /** Sum of entropies (nats) over the tokens that count. */
  readonly entropy: number;
  readonly responses: readonly ResponseCounts[];
  /** How many tokens went through the model. */
  readonly tokens: number;
}

/** A response, and the line of its prompt. */
export type StepRow = TrainedResponse & { readonly line: number };

/** Throws Diverged rather than touch the weights with a loss or gradient that is not a number. */
export async function policyStep(
  model: Model,
  optimizer: Optimizer,
  batches: readonly (readonly StepRow[])[],
  options: PolicyStepOptions,
): Promise<PolicyStepResult> {
  const parts = await eachMicroBatch(model, optimizer, batches, (rows) => {
    const { batch, predictions, starts } = microBatch(rows);
    const of = (value: (row: StepRow) => number): Float64Array => {
      const values = new Float64Array(predictions.targets.length);
      for (const [r, row] of rows.entries()) values.fill(value(row), starts[r], starts[r + 1]);
      return values;
    };
    const weights = of(({ weight }) => weight);
    const tape = new Tape();
    return model.device.run(async (scope) => {
      const hidden = forward(scope, model, batch, options);
      const predicted = predict(scope, model, hidden, predictions, options.temperature);
      scope.release(hidden);
      const { logProbs, entropies } = await readPredictions(predicted);
      if (options.onPolicy === true) {
        checkSampler(
          rows,
          rows.map((_, r) => logProbs.subarray(starts[r], starts[r + 1])),
        );
      }
      const part = policyLoss(
        {
          logProbs,
          oldLogProbs: joined(rows.map(({ oldLogProbs }) => oldLogProbs)),
          referenceLogProbs: rows.every(({ referenceLogProbs }) => referenceLogProbs !== undefined)
            ? joined(rows.map(({ referenceLogProbs }) => referenceLogProbs as Float32Array))
            : undefined,
          advantages: of(({ advantage }) => advantage),
          weights,
          starts,
        },
        options,
      );
      backward(scope, tape, [{ tensor: predicted.logProb, gradient: scope.from(part.gradient) }]);
      const counted = entropies.filter((_, t) => weights[t] !== 0);
      return { loss: part.loss, responses: part.responses, counted, tokens: batch.ids.length };
    }, tape);
  });
  const responses: ResponseCounts[] = [];
  let loss = 0;
  let entropy = 0;
  let tokens = 0;
  for (const part of parts) {
    loss += part.loss;
    responses.push(...part.responses);
    for (const value of part.counted) entropy += value;
    tokens += part.tokens;
  }
  const gradNorm = await finishStep(model, optimizer, loss, batches.flat(), options);
  return { loss, gradNorm, entropy, responses, tokens };
}

/** Log-probabilities of the completions' tokens, one array a response: of a reference, or of the policy before its first update. */
export async function responseLogProbs(
  model: Model,
  responses: readonly Pick<TrainedResponse, "promptIds" | "completionIds">[],
  temperature: number,
): Promise<readonly Float32Array[]> {
  const { batch, predictions, starts } = microBatch(responses);
  return model.device.run(async (scope) => {
    const predicted = predict(scope, model, forward(scope, model, batch), predictions, temperature);
    const { logProbs } = await readPredictions(predicted);
    return responses.map((_, r) => logProbs.slice(starts[r], starts[r + 1]));
  });
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
