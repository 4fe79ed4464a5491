// What DPO does with its pairs, as packages/train takes it dry: for `posttrain plan`, and for the refusal of what cannot fit.
import type { TokenizedPair } from "@posttrain/data";
import { forward, forwardWork, type Model, predict } from "@posttrain/model";
import { dtypeOf, type PlannedRun, ruleOf, type StageSteps } from "@posttrain/train";
import { type DpoConfig, lossOptionsOf } from "./config.js";
import { pairBatch, pairSums } from "./pair-batch.js";
import type { DpoData } from "./rows.js";
import { dpoStep, evaluateDpo, type Reference } from "./step.js";

/** A run of DPO as planTraining() takes it. A live reference stays beside it. */
export function plannedDpo(
  config: DpoConfig,
  {
    model: own,
    reference: other,
    units,
    evalRows,
  }: Pick<DpoData, "model" | "units" | "evalRows"> & Partial<Pick<DpoData, "reference">>,
): PlannedRun<TokenizedPair> {
  const live = !config.precompute_ref_log_probs;
  const referenceOf =
    ([beside]: readonly Model[]): Reference =>
    async (pairs) =>
      beside === undefined ? pairs.map(() => ({ chosen: 0, rejected: 0 })) : pairSums(beside, pairs);
  const loss = lossOptionsOf(config);
  const stage: StageSteps<TokenizedPair> = {
    sequencesOf: ({ promptIds, chosenIds, rejectedIds }) =>
      [chosenIds, rejectedIds].map(({ length }) => ({
        tokens: promptIds.length + length,
        predictions: length,
      })),
    forward: (scope, model, pairs, options) => {
      const { batch, predictions } = pairBatch(pairs);
      predict(scope, model, forward(scope, model, batch, options), predictions);
    },
    step: (model, optimizer, microBatches, options, beside) => {
      const reference = referenceOf(beside);
      return dpoStep(model, optimizer, microBatches.map(pairBatch), { ...options, ...loss, reference });
    },
    evaluate: (model, pairs, beside) =>
      evaluateDpo(model, pairs, pairs.length, { ...loss, reference: referenceOf(beside) }),
  };
  const asked = (pairs: readonly TokenizedPair[]): number =>
    pairs.flatMap(stage.sequencesOf).reduce((sum, { tokens, predictions }) => {
      const { layers, head } = forwardWork(other ?? own, [tokens], predictions);
      return sum + layers + head;
    }, 0);
  return {
    ...{ model: own, stage, rule: ruleOf(config), units, evalRows },
    // Live it answers at every visit of a pair, else once for all.
    otherWork: (epochs) => (live ? epochs * asked(units.flat()) : asked([...units.flat(), ...evalRows])),
    ...(live && { beside: [{ name: "reference", model: other ?? own, dtype: dtypeOf(config) }] }),
  };
}
