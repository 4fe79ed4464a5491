// The stage grpo: what a model answers is rewarded, and the model moves to what pays (@posttrain/grpo).
import { IGNORED_LABEL, UserError } from "@posttrain/data";
import {
  type Episode,
  type GrpoConfig,
  type GrpoData,
  type GrpoEvalMetrics,
  type GrpoMetrics,
  type GrpoStart,
  grpoConfig,
  openRewardSources,
  type Prompt,
  plannedGrpo,
  prepareGrpo,
  promptsPerEpisode,
  type RewardModel,
  runGrpo,
} from "@posttrain/grpo";
import type { Jobs } from "@posttrain/jobs";
import type { Device } from "@posttrain/kernels";
import { onnxFileAt, openModelFolder, readCompanions } from "@posttrain/model";
import { modelScorer, type Scorer } from "@posttrain/reward-model";
import { refuseOtherVocabulary } from "@posttrain/train";
import { contentTokenLines } from "../content-tokens.js";
import { exitCodes } from "../failure.js";
import { count, plural } from "../format.js";
import { type Rates, suggestRate } from "../init/learning-rate.js";
import type { Line } from "../output.js";
import { visible, visibleLine } from "../visible.js";
import { withScorer } from "../with-scorer.js";
import { defineStage, type Recipe, type RecipeFacts, type Stage } from "./stage.js";
import { checkpointFlags, gradNormText, startLines } from "./telling.js";

/** With the shape of the reward model, which is beside the policy. */
type Data = GrpoData & { readonly rewardModel?: RewardModel | undefined };

export const stage: Stage = defineStage<
  typeof grpoConfig,
  Prompt,
  Data,
  GrpoStart,
  GrpoMetrics,
  GrpoEvalMetrics
>({
  name: "grpo",
  usesWorkers: true,
  config: grpoConfig,
  examples: [
    [
      "npx posttrain grpo --model_name_or_path runs/first/checkpoint-500 \\\n--data problems.jsonl --output_dir runs/rl --max_steps 60 \\\n--per_device_train_batch_size 16 --gradient_accumulation_steps 8",
      "16 prompts with 8 responses each a step, rewarded by what their rows can be graded with",
    ],
    [
      "npx posttrain grpo --config runs/rl/config.yaml --resume_from_checkpoint",
      "after a kill, a Ctrl-C or an alarm: the same bits",
    ],
  ],
  notes:
    "A row has a prompt (prompt, text or messages; or input_ids) and what its responses are graded with, as posttrain verify reads it. The first pass samples every prompt once and orders them by the " +
    "variance of their rewards. The run folder gets metrics.jsonl, rollouts/step-<n>.jsonl with every response, its verdict and its advantage, and checkpoint-<step> folders, each a Hugging " +
    "Face folder. A pass is worth 1, whatever the response did wrong itself 0; what nobody could grade is masked and counted. An alarm (entropy, KL, ratio, ungraded or cut responses beyond " +
    `their bounds, reward rising while held-out accuracy falls) saves and ends with exit code ${exitCodes.alarm}. Ctrl-C finishes the step, writes a checkpoint and exits with 130. --json prints how it ended, the ` +
    "checkpoint and the metrics of the last step; --quiet the checkpoint's path.",
  prepare: async (config, onBadRow, onProgress) => ({
    ...(await prepareGrpo(config, onBadRow, onProgress)),
    rewardModel: await shapeOf(config),
  }),
  plan: (config, data: Pick<Data, "model" | "units" | "evalRows" | "rewardModel" | "given">) =>
    plannedGrpo(config, data, data.rewardModel),
  run: async (config, device, report, signal, workers) => {
    // What is with workers takes no memory here.
    const rewardModel = workers === undefined ? await shapeOf(config) : undefined;
    return withScores(config, device, workers?.jobs, async (score) => {
      await using rewards = await openRewardSources(config, score, { rewardModel, workers: workers?.jobs });
      return await runGrpo(
        config,
        device,
        rewards,
        {
          ...report,
          onGraded: (what, graded, of) => report.onPreparing(sampled[what], graded, of),
          onEpisode: (episode, step) => {
            if (episode.even > 0) {
              report.onSamples([
                `step ${step}: ${plural(episode.even, "group")} without a difference in reward: nothing better was found after ${plural(config.max_refills, "refill")}`,
              ]);
            }
            report.onSamples(problemLines(episode, step));
            if (config.log_completions > 0 && (step - 1) % config.log_completions === 0) {
              report.onSamples(sampleLines(episode, step));
            }
          },
          onAlarm: ({ text }, step) =>
            report.onNotice(`ALARM at step ${step}: ${text} Its responses: ${rolloutsOf(config, step)}`),
        },
        signal,
        workers?.sampling,
      );
    });
  },
  limits: { longest: "max_prompt_length" },
  describe: {
    title: "Reinforcement learning with GRPO",
    judged: "accuracy",
    drawn: "response",
    last: ({ reward, grad_norm }) =>
      reward === undefined ? gradNormText(grad_norm) : `reward ${reward.toFixed(3)} at the end`,
    sequences: ({ ids, completionIds = new Int32Array(0) }) => [
      {
        inputIds: Int32Array.from([...ids, ...completionIds]),
        labels: Int32Array.from([...ids.map(() => IGNORED_LABEL), ...completionIds]),
      },
    ],
    start: (config, run) =>
      startLines(
        stage,
        config,
        run,
        contentTokenLines(
          run.data.contentTokens.filter(({ special }) => special),
          config.special_tokens_in_content,
        ).map((text, i): Line => [i === 0 ? "content" : "", text]),
        `${count(run.totalSteps)}; ${episodeText(config, run.data)}`,
      ),
    step: stepParts,
    evaluation: ({ step, eval_accuracy, eval_reward, eval_mean_length }) =>
      `step ${step}  held-out accuracy ${(100 * eval_accuracy).toFixed(1)} %  reward ${eval_reward.toFixed(3)}  ${eval_mean_length.toFixed(0)} tokens`,
    plan: planLines,
    next: (config, checkpoint) => [`npx posttrain chat ${checkpointFlags(checkpoint, config)}`],
  },
  suggest: {
    whole: { max_prompt_length: Number.MAX_SAFE_INTEGER, max_completion_length: 1 },
    sized: ({ context, longest }) => {
      const room = Math.max(context - longest, Math.floor(context / 4));
      const value = Math.min(usualLength, room);
      const why = value < usualLength ? `what prompts leave of the context of ${count(context)}` : "TRL's";
      return [
        {
          key: "max_completion_length",
          value,
          reason: `${why}; what the model writes beyond it is cut and counted (completions/clipped_ratio): to be tried`,
        },
      ];
    },
    draws: 8,
    row: (inputIds) => ({ id: "", line: 0, ids: inputIds, row: {}, place: 0 }),
    alike: ({ ids }) => ids,
    recipe,
  },
});

const sampled = { prepass: "first pass", episode: "sampling", evaluation: "held-out prompts" } as const;

/** Of a reward model whose layers run on our kernels; an ONNX file's memory is onnxruntime's. */
async function shapeOf({ reward_model: path }: GrpoConfig): Promise<RewardModel | undefined> {
  if (path === undefined || (await onnxFileAt(path)) !== undefined) return undefined;
  const { config } = await openModelFolder(path, "reward");
  return { config, scorer: modelScorer };
}

/** The reward model's scores for as long as the run needs them, beside the policy or by workers. */
async function withScores<T>(
  { reward_model: path, model_name_or_path: policyDir }: GrpoConfig,
  device: Device,
  workers: Jobs | undefined,
  body: (score: Scorer | undefined) => Promise<T>,
): Promise<T> {
  if (path === undefined) return body(undefined);
  const policy = await openModelFolder(policyDir);
  // Of the machine only an ONNX file needs to know: our kernels run on the device that is open.
  return withScorer(
    { model_name_or_path: path, dtype: "float32" },
    { device: device.backend, threads: device.threads, cpu_path: undefined, workers },
    async ({ scorer, dir, config: { vocabSize } }) => {
      if (policy.config.vocabSize !== vocabSize) {
        throw new UserError(
          "other_vocabulary",
          `--reward_model ${path} has a vocabulary of ${count(vocabSize)}, the policy ${policyDir} one of ${count(policy.config.vocabSize)}: it would score other words. Take a reward model trained from the same tokenizer.`,
        );
      }
      const [own, its] = [await readCompanions(policyDir), await readCompanions(dir)];
      refuseOtherVocabulary(policyDir, own, dir, its);
      return body(scorer);
    },
    device,
  );
}

function episodeText(
  config: GrpoConfig,
  { given, trainRows }: Pick<GrpoData, "given" | "trainRows">,
): string {
  if (given !== undefined) {
    const groups = given.episodes.flat().length;
    return `${plural(trainRows.length, "response")} in ${plural(groups, "group")} are given, ${plural(given.episodes.length, "episode")}; rewards: ${given.sources.join(", ")}`;
  }
  return `an episode samples ${plural(promptsPerEpisode(config), "prompt")} with ${config.num_generations} responses each`;
}

function planLines(config: GrpoConfig, data: Data): readonly Line[] {
  if (data.given !== undefined) return [["rollouts", episodeText(config, data)]];
  const { trainRows, evalRows, counts, graders } = data;
  const episode = promptsPerEpisode(config);
  const longest = trainRows.map(({ ids }) => ids.length).sort((a, b) => b - a);
  const asked = longest.slice(0, episode).reduce((sum, tokens) => sum + tokens, 0);
  const tokens = config.num_generations * (asked + episode * config.max_completion_length);
  const left =
    counts.dropped === 0
      ? "none left out for its length"
      : `${plural(counts.dropped, "prompt")} left out, longer than max_prompt_length or without room for a response`;
  return [
    [
      "prompts",
      `${count(counts.read)} read, ${count(trainRows.length)} to train on, ${count(evalRows.length)} held out; ${left}`,
    ],
    ["episode", `${episodeText(config, data)}: at most ${plural(tokens, "token")}`],
    ...(graders.length === 0
      ? []
      : ([
          ["graders", `${graders.join(", ")}: known right and wrong answers are graded as they must be`],
        ] as const)),
  ];
}

function stepParts(metrics: Readonly<Record<string, number>>): readonly string[] {
  const { reward, entropy, grad_norm, frac_reward_zero_std: even } = metrics;
  const parts: string[] = [];
  const { "staleness/mean_steps": stale, "sampling/importance_sampling_ratio/mean": ratio } = metrics;
  if (reward !== undefined) parts.push(`reward ${reward.toFixed(3)}`);
  if (even !== undefined) parts.push(`groups that differ ${(100 * (1 - even)).toFixed(0)} %`);
  parts.push(gradNormText(grad_norm as number), `entropy ${(entropy as number).toFixed(3)}`);
  const split = (["time/generation", "time/grading", "time/training"] as const).flatMap((name) => {
    const seconds = metrics[name];
    return seconds === undefined ? [] : [`${name.slice("time/".length)} ${seconds.toFixed(1)} s`];
  });
  if (metrics["staleness/other_weights"] !== undefined) {
    const old = stale === undefined ? "" : `, ${stale.toFixed(1)} steps old`;
    parts.push(`ratio ${(ratio as number).toFixed(3)}${old}`);
  }
  return [...parts, split.join(", ")];
}

/** Of responses that a function of the user's gave no reward: how many, and the first. */
function problemLines({ groups }: Episode, step: number): readonly string[] {
  const broken = groups
    .flatMap(({ samples }) => samples)
    .flatMap(({ line, scored }) =>
      scored.flatMap(({ problem }) => (problem === undefined ? [] : [{ line, problem }])),
    );
  const [first] = broken;
  if (first === undefined) return [];
  return [
    visible(
      `step ${step}: no reward for ${plural(broken.length, "response")}; the first, to the prompt on line ${first.line}: ${visibleLine(first.problem)}`,
    ),
  ];
}

/** The best, a median and the worst response of an episode: how the reward sees them, and how they begin. */
function sampleLines({ groups, valued }: Episode, step: number): readonly string[] {
  const samples = groups.flatMap(({ samples: own }) => own);
  const order = samples
    .map((_, i) => i)
    .filter((i) => valued.rewards[i] !== null)
    .sort((a, b) => (valued.rewards[b] as number) - (valued.rewards[a] as number));
  if (order.length === 0) return [];
  const shown = [
    ["best", order[0]],
    ["median", order[Math.floor(order.length / 2)]],
    ["worst", order.at(-1)],
  ] as const;
  return shown.map(([label, place]) => {
    const i = place as number;
    const sample = samples[i]!;
    const text = visibleLine(sample.text);
    const start = text.length > 100 ? `${text.slice(0, 99)}…` : text;
    return visible(
      `step ${step} ${label.padEnd(6)}  reward ${(valued.rewards[i] as number).toFixed(2)}  advantage ${(valued.advantages[i] as number).toFixed(2)}  line ${sample.line}: ${start}`,
    );
  });
}

function rolloutsOf({ output_dir }: GrpoConfig, step: number): string {
  return `${output_dir}/rollouts/step-${String(step).padStart(6, "0")}.jsonl`;
}

/** TRL's. */
const usualLength = 512;

/** TRL's, DAPO's and Tulu 3.1's order of magnitude; the report (arXiv 2412.15115, section 4.3) discloses none. */
const rates: Rates = {
  smaller: [
    [20e6, 1e-4],
    [300e6, 5e-6],
    [1e9, 2e-6],
  ],
  published: 1e-6,
  reason: "TRL's and DAPO's; the report names none",
  source: "TRL and DAPO",
};

function recipe({ parameters, stepsPerEpoch }: RecipeFacts): Recipe {
  const rate = suggestRate(parameters, rates);
  return {
    totalSteps: stepsPerEpoch,
    values: [
      { key: "num_generations", value: 8, reason: "responses to each prompt, as the Qwen2.5 report" },
      {
        key: "reward_funcs",
        value: ["verifier"],
        reason: "rows have what their responses can be graded with: a pass is worth 1, a wrong answer 0",
      },
      {
        key: "num_train_epochs",
        value: 1,
        reason: `every prompt once, those whose rewards vary most first, as the report: ${count(stepsPerEpoch)} steps`,
      },
      rate,
      {
        key: "lr_scheduler_type",
        value: "constant",
        reason: "TRL's and DAPO's; with it a run may be made longer later",
      },
      { key: "beta", value: 0, reason: "no KL term, as TRL and DAPO; 0.001 keeps the policy near its start" },
      { key: "max_grad_norm", value: 1, reason: "TRL's" },
    ],
  };
}
