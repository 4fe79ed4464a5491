// What GRPO does with its prompts, as packages/train takes it dry: for `posttrain plan`, and for the refusal of what cannot fit. Nobody knows how long
// responses become, so every one is taken to be as long as it may.
import { byteText } from "@posttrain/data";
import {
  forward,
  forwardWork,
  type GenerationRequest,
  generate,
  kvCacheBytes,
  type Model,
  policySampling,
  predict,
} from "@posttrain/model";
import { dtypeOf, type PlannedRun, ruleOf, type StageSteps } from "@posttrain/train";
import { type GrpoConfig, stepLossOf, stepsOf } from "./config.js";
import { microBatch } from "./micro-batch.js";
import { episodesPerPass, type Prompt, type PromptData } from "./prompts.js";
import type { RewardModel } from "./sources.js";
import { policyStep, type StepRow } from "./step.js";

/** A run of GRPO as planTraining() takes it: its largest steps, and the sampling between them. */
export function plannedGrpo(
  config: GrpoConfig,
  { model: shape, units, evalRows, given }: Pick<PromptData, "model" | "units" | "evalRows" | "given">,
  rewardModel?: RewardModel,
): PlannedRun<Prompt> {
  const { max_completion_length: most, temperature, beta } = config;
  const prompts = [...new Set(units.flat())];
  const longestResponse = new Int32Array(most);
  const responseOf = ({ ids, line, completionIds = longestResponse }: Prompt): StepRow => ({
    ...{ line, promptIds: ids, completionIds, oldLogProbs: new Float32Array(completionIds.length) },
    ...(beta > 0 && { referenceLogProbs: new Float32Array(completionIds.length) }),
    ...{ advantage: 1, weight: 1 },
  });
  const stage: StageSteps<Prompt> = {
    sequencesOf: ({ ids, completionIds: { length } = longestResponse }) => [
      { tokens: ids.length + length, predictions: length },
    ],
    forward: (scope, model, rows, options) => {
      const { batch, predictions } = microBatch(rows.map(responseOf));
      predict(scope, model, forward(scope, model, batch, options), predictions, temperature);
    },
    step: (model, optimizer, microBatches, options) =>
      policyStep(
        model,
        optimizer,
        microBatches.map((rows) => rows.map(responseOf)),
        { ...options, ...stepLossOf(config) },
      ),
  };
  const training = given === undefined ? requestsOf(prompts, config.num_generations, config) : [];
  const evaluation = requestsOf(evalRows, config.eval_samples, config);
  const cache = Math.max(
    ...[training, evaluation].map((all) => kvCacheBytes({ config: shape, dtype: dtypeOf(config) }, all)),
  );
  const longest = Math.max(0, ...prompts.map(({ ids }) => ids.length));
  return {
    model: shape,
    stage,
    rule: ruleOf(config),
    units,
    evalRows,
    meets: "any",
    totalSteps: stepsOf(config, episodesPerPass(config, { units, ...(given && { given }) })),
    beside: [
      ...(rewardModel === undefined
        ? []
        : [{ name: "reward model", model: rewardModel.config, dtype: "f32" as const }]),
      ...(beta > 0 ? [{ name: "reference", model: shape, dtype: dtypeOf(config) }] : []),
    ],
    between: {
      name: "sampling",
      what: `while responses are sampled, ${byteText(cache)} of it keys and values of those that run at once`,
      remedy: `Sampling takes more than training: lower --max_completion_length${config.num_generations > 2 ? " or --num_generations" : ""}, or take a smaller model.`,
      run: async (model, [first]) => {
        const scorer =
          rewardModel !== undefined && first !== undefined ? rewardModel.scorer(first) : undefined;
        await sampleDry(model, training, scorer);
        await sampleDry(model, evaluation, scorer);
      },
    },
    otherWork: (epochs) => (given === undefined ? otherWork(config, shape, prompts, rewardModel, epochs) : 0),
    shorten: (tokens) => `lower --max_completion_length to about ${Math.max(1, tokens - longest)}`,
  };
}

function requestsOf(
  prompts: readonly Prompt[],
  samples: number,
  { max_completion_length: maxNewTokens }: GrpoConfig,
): readonly GenerationRequest[] {
  const settings = { ...policySampling, maxNewTokens, stopIds: [] };
  return prompts.map(({ ids, place }) => ({ promptIds: ids, samples, row: place, visit: 0, settings }));
}

/** Responses end at once, but the cache is held for all that they may write. Scoring runs beside it, as graders do. */
async function sampleDry(
  model: Model,
  requests: readonly GenerationRequest[],
  score: ReturnType<RewardModel["scorer"]> | undefined,
): Promise<void> {
  let scoring: Promise<unknown> | undefined;
  await generate(model, requests, {
    ...{ seed: 0, stream: "training", drawable: model.config.vocabSize },
    isEnd: () => true,
    onFinished: ({ request }) => {
      if (score === undefined || scoring !== undefined) return;
      const { promptIds, samples, settings } = requests[request] as GenerationRequest;
      const whole = Int32Array.from([...promptIds, ...new Int32Array(settings.maxNewTokens)]);
      scoring = score(new Array<Int32Array>(samples).fill(whole));
    },
  });
  await scoring;
}

/** Floating-point operations of sampling, of the reference and of the reward model, in the first pass and in training. */
function otherWork(
  { num_generations: k, max_completion_length: most, beta, prepass }: GrpoConfig,
  model: PromptData["model"],
  prompts: readonly Prompt[],
  rewardModel: RewardModel | undefined,
  epochs: number,
): number {
  let total = 0;
  for (const { ids } of prompts) {
    const length = ids.length + most;
    const own = forwardWork(model, [length], most);
    const whole = own.layers + own.head;
    // The responses of a prompt share its keys and values.
    const sampled = k * whole - (k - 1) * forwardWork(model, [ids.length], 0).layers;
    const scored = rewardModel === undefined ? 0 : k * forwardWork(rewardModel.config, [length], 0).layers;
    total += (epochs + (prepass ? 1 : 0)) * (sampled + scored) + (beta > 0 ? epochs * k * whole : 0);
  }
  return total;
}
