// What a reward model's run does with its rows, as packages/train takes it dry.
import { forward } from "@posttrain/model";
import { type PlannedRun, type RuleConfig, ruleOf, type StageSteps } from "@posttrain/train";
import { headsOf, type RewardConfig } from "./config.js";
import type { RewardData } from "./rows.js";
import { trainableOf, trainedScores, withScore } from "./score.js";
import { evaluateReward, packRows, type RewardRow, rewardStep } from "./step.js";

const rewardSteps: StageSteps<RewardRow> = {
  sequencesOf: ({ sequences }) => sequences.map(({ length }) => ({ tokens: length, predictions: 1 })),
  forward: (scope, model, rows, options) => {
    const batch = packRows(rows);
    trainedScores(scope, model, forward(scope, model, batch, options), batch);
  },
  step: (model, optimizer, microBatches, options) =>
    rewardStep(model, optimizer, microBatches, { ...options, centerRewardsCoefficient: 0 }),
  evaluate: (model, rows) => evaluateReward(model, rows, rows.length, { centerRewardsCoefficient: 0 }),
};

/** A run as planTraining() takes it. */
export function plannedReward(
  config: RuleConfig & Pick<RewardConfig, "criteria" | "criteria_weights">,
  { model: given, units, evalRows }: Pick<RewardData, "model" | "units" | "evalRows">,
): PlannedRun<RewardRow> {
  // Of a language model before it is known what it is trained on.
  const model = given.score === null ? withScore(given, headsOf(config)) : given;
  return { model, stage: rewardSteps, rule: ruleOf(config), trainable: trainableOf(model), units, evalRows };
}
