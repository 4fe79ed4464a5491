// What `posttrain grpo` can be told: what every trainer can be, how responses are sampled and rewarded, which prompts come next, the loss.
import { checkTraining, rowOptions, trainingOptions, withRole } from "@posttrain/train";
import { gradingOptions, isModulePath } from "@posttrain/verify";
import { z } from "zod";
import { orderNames, scaleNames } from "./advantages.js";
import { aggregationNames } from "./aggregation.js";
import { klNames, type PolicyLossOptions, ratioNames, surrogateNames } from "./loss.js";
import { queueOrders } from "./queue.js";

const { model_name_or_path, output_dir, num_train_epochs, ...training } = trainingOptions;
const { eval_data, val_size, template_date, special_tokens_in_content } = rowOptions;
const {
  verifier,
  mode,
  extraction,
  strictness,
  unsealed,
  choose,
  comparison,
  absolute_tolerance,
  relative_tolerance,
} = gradingOptions;
const { route, cpu_seconds, memory_mb, timeout_seconds, concurrency } = gradingOptions;
const share = z.number().min(0).max(1);

export const rewardNames = ["verifier", "reward_model", "overlong"] as const;

export const grpoConfig = z
  .strictObject({
    model_name_or_path,
    data: withRole(
      "free",
      z
        .string()
        .default("")
        .describe(
          "prompts, JSONL, JSON, CSV or Parquet: prompt or messages, and the columns that their verifiers read",
        ),
    ),
    rollouts: withRole(
      "free",
      z
        .string()
        .optional()
        .describe(
          "train on these responses in place of sampling, JSONL: prompt_ids, completion_ids, logprobs, rewards, and prompt_id or group; rollouts/step-<n>.jsonl of a run is of this form",
        ),
    ),
    output_dir,
    ...training,
    num_train_epochs: withRole(
      "length",
      z.number().positive().default(1).describe("passes over the prompts; max_steps wins"),
    ),
    // TRL's default; a policy moves less per step than a model that is taught.
    learning_rate: z.number().nonnegative().default(1e-6).describe("largest learning rate"),
    lr_scheduler_type: training.lr_scheduler_type
      .unwrap()
      .default("constant")
      .describe("shape of the learning rate"),
    per_device_train_batch_size: z.int().positive().default(8).describe("responses in a micro-batch"),
    eval_data,
    val_size,
    template_date,
    special_tokens_in_content,
    // What is sampled.
    num_generations: z.int().min(2).default(8).describe("responses to each prompt"),
    episode_size: z
      .int()
      .positive()
      .optional()
      .describe("responses sampled before the policy moves; default: those of one optimizer step"),
    num_iterations: z
      .int()
      .positive()
      .default(1)
      .describe("times that the responses of an episode are trained on"),
    temperature: z.number().positive().default(1).describe("of the policy, for sampling and for training"),
    max_completion_length: z.int().positive().default(512).describe("most tokens of a response"),
    max_prompt_length: z
      .int()
      .positive()
      .default(1024)
      .describe("prompts of more tokens are left out, and counted: RL is for short ones"),
    mask_truncated_completions: z
      .boolean()
      .default(false)
      .describe("responses that were cut at max_completion_length train nothing"),
    // Rewards.
    reward_funcs: z
      .array(
        z.string().refine((name) => rewardNames.some((known) => known === name) || isModulePath(name), {
          error: `expected ${rewardNames.join(", ")}, or the path of a module of your own, such as ./reward.mjs#NAME`,
        }),
      )
      .min(1)
      .default(["verifier"])
      .describe(
        "verifier: what rows ask for, or --verifier; reward_model: the score of --reward_model; overlong: -1 at the limit of length; ./FILE.mjs#NAME or ./FILE.py#NAME: a function of your own",
      ),
    reward_weights: z.array(z.number()).optional().describe("of each of reward_funcs; default: 1"),
    reward_model: withRole("free", z.string().optional().describe("folder of a reward model, for its score")),
    reward_shaping: z
      .enum(["sum", "qwen2.5-math"])
      .default("sum")
      .describe(
        "qwen2.5-math: sigmoid(score / 2) + verdict - 1, of reward_model and verifier: a score never lifts a wrong answer over a right one",
      ),
    overlong_buffer: z
      .int()
      .positive()
      .default(128)
      .describe("last tokens of max_completion_length over which overlong falls from 0 to -1"),
    scale_rewards: z
      .enum(scaleNames)
      .default("group")
      .describe("what centred rewards are divided by the standard deviation of"),
    multi_objective_aggregation: z
      .enum(orderNames)
      .default("sum_then_normalize")
      .describe("whether several rewards are summed before or after they are normalised"),
    verifier,
    ...{ mode, extraction, strictness, unsealed, choose, comparison, absolute_tolerance, relative_tolerance },
    ...{ cpu_seconds, memory_mb, timeout_seconds },
    route: withRole("free", route),
    concurrency: withRole("free", concurrency),
    // The loss.
    loss_type: z.enum(aggregationNames).default("dapo").describe("how tokens share in the loss"),
    policy_loss: z.enum(surrogateNames).default("clip").describe("clip: PPO's; cispo: no token falls silent"),
    importance_sampling_level: z
      .enum(ratioNames)
      .default("token")
      .describe("whose ratio is clipped: each token's own, or its response's (sequence: GSPO)"),
    epsilon: z
      .number()
      .positive()
      .default(0.2)
      .describe("how far ratios may fall, or rise without epsilon_high"),
    epsilon_high: z
      .number()
      .positive()
      .optional()
      .describe("how far ratios may rise; with cispo the upper bound itself"),
    dual_clip: z
      .number()
      .gt(1)
      .optional()
      .describe("the loss of a bad response is at most so many times its advantage"),
    beta: z
      .number()
      .nonnegative()
      .default(0)
      .describe("weight of the KL divergence from the start of the run; 0: none"),
    kl: z
      .enum(["k1", ...klNames])
      .default("k3")
      .describe(
        "its estimator: k1 is taken off the reward, the others stand in the loss; k3_k2 has k3's value and k2's gradient",
      ),
    use_bias_correction_kl: z
      .boolean()
      .default(false)
      .describe("multiply it by the importance ratio, as TRL does unless told otherwise"),
    // The queue.
    order: z
      .enum(queueOrders)
      .default("variance")
      .describe("which prompts come next: those whose rewards vary most, in proportion to that, or any"),
    queue_gamma: z.number().positive().default(1).describe("weighted: p ~ variance ** gamma"),
    queue_decay: share.default(0.5).describe("what earlier rewards of a prompt count at each new visit"),
    prepass: z
      .boolean()
      .default(true)
      .describe(
        "sample every prompt once before training, to know the order; else unseen prompts come first",
      ),
    least_solved: share.optional().describe("leave out prompts that are solved less often"),
    most_solved: share
      .optional()
      .describe("leave out prompts that are solved more often; 2 to 5 of 8 is Qwen2.5-Math's range"),
    retire_after: z
      .int()
      .positive()
      .default(3)
      .describe("visits in a row without a difference in reward after which a prompt rests"),
    revisit_after: z
      .int()
      .positive()
      .default(4)
      .describe("passes after which a resting prompt is tried again"),
    max_refills: z
      .int()
      .nonnegative()
      .default(2)
      .describe("times that an episode draws other prompts in place of those without a difference"),
    // Held-out prompts, and alarms.
    eval_samples: z.int().positive().default(1).describe("responses to each held-out prompt"),
    eval_temperature: z.number().nonnegative().default(0).describe("of those; 0: greedy"),
    log_completions: withRole(
      "free",
      z
        .int()
        .nonnegative()
        .default(10)
        .describe("print a best, a median and a worst response every so many steps; 0: never"),
    ),
    stop_on_alarm: withRole(
      "free",
      z.boolean().default(true).describe("save and end when an alarm sounds; else it is only printed"),
    ),
    least_entropy: withRole(
      "free",
      share.default(0.1).describe("alarm below this share of the first episode's entropy"),
    ),
    most_kl: withRole(
      "free",
      z
        .number()
        .positive()
        .default(10)
        .describe("alarm above this divergence from the reference, nats a token"),
    ),
    most_ratio: withRole(
      "free",
      z.number().gt(1).default(10).describe("alarm above this mean importance ratio"),
    ),
    most_ungraded: withRole(
      "free",
      share.default(0.25).describe("alarm above this share of responses that nobody could grade"),
    ),
    most_truncated: withRole(
      "free",
      share.default(0.9).describe("alarm above this share of responses that were cut"),
    ),
  })
  .superRefine((config, context) => {
    checkTraining(config, context);
    const refuse = (key: keyof typeof config, message: string): void =>
      context.addIssue({ code: "custom", path: [key], message, input: config[key] });
    const given = config.rollouts !== undefined;
    if (given === (config.data !== "")) {
      refuse("data", given ? "expected data or rollouts, not both" : "expected prompts (or rollouts)");
    }
    if (given && config.val_size > 0)
      refuse("val_size", "rollouts are not held out: eval_data takes prompts");
    if (given && config.reward_shaping !== "sum") {
      refuse("reward_shaping", "expected sum: rewards of rollouts are taken as they are");
    }
    const { num_generations: k, reward_funcs: funcs } = config;
    const batch = batchOf(config);
    const episode = config.episode_size ?? batch;
    if (!given && episode % k !== 0) {
      const name = config.episode_size === undefined ? "per_device_train_batch_size" : "episode_size";
      refuse(name, `an episode has ${episode} responses, expected a multiple of num_generations ${k}`);
    }
    if (episode % batch !== 0)
      refuse("episode_size", `expected a multiple of the ${batch} responses of an optimizer step`);
    if (!given && config.reward_weights !== undefined && config.reward_weights.length !== funcs.length) {
      refuse("reward_weights", `expected ${funcs.length} of them, one for each of reward_funcs`);
    }
    if (new Set(funcs).size !== funcs.length) refuse("reward_funcs", "expected each reward once");
    const shaped = config.reward_shaping === "qwen2.5-math";
    if (shaped && !(funcs.includes("reward_model") && funcs.includes("verifier"))) {
      refuse("reward_shaping", "qwen2.5-math combines reward_model and verifier: name both in reward_funcs");
    }
    if (funcs.includes("reward_model") !== (config.reward_model !== undefined)) {
      refuse("reward_model", "expected with reward_model in reward_funcs, and only then");
    }
    if (funcs.includes("overlong") && config.overlong_buffer > config.max_completion_length) {
      refuse("overlong_buffer", "expected at most max_completion_length");
    }
    const { least_solved: least = 0, most_solved: most = 1 } = config;
    if (least > most) refuse("least_solved", "expected at most most_solved");
    if (config.queue_decay === 0) refuse("queue_decay", "expected more than 0");
  });

export type GrpoConfig = z.output<typeof grpoConfig>;

/** Responses of an optimizer step. */
export function batchOf({
  per_device_train_batch_size: micro,
  gradient_accumulation_steps: accumulation,
}: Pick<GrpoConfig, "per_device_train_batch_size" | "gradient_accumulation_steps">): number {
  return micro * accumulation;
}

/** Optimizer steps of an episode: how its responses are dealt, times how often. */
export function updatesOf(config: GrpoConfig): {
  readonly perPass: number;
  readonly all: number;
} {
  const perPass = (config.episode_size ?? batchOf(config)) / batchOf(config);
  return { perPass, all: perPass * config.num_iterations };
}

/** Prompts of an episode. */
export function promptsPerEpisode(config: GrpoConfig): number {
  return (config.episode_size ?? batchOf(config)) / config.num_generations;
}

/** Optimizer steps of a run with so many episodes in a pass: max_steps, else so many passes. */
export function stepsOf(config: GrpoConfig, episodes: number): number {
  return config.max_steps ?? Math.ceil(config.num_train_epochs * episodes) * updatesOf(config).all;
}

/** What every step's loss is made of. */
export function stepLossOf(config: GrpoConfig): PolicyLossOptions & { readonly temperature: number } {
  return {
    temperature: config.temperature,
    ratio: config.importance_sampling_level,
    surrogate: config.policy_loss,
    epsilonLow: config.epsilon,
    epsilonHigh: config.epsilon_high ?? config.epsilon,
    dualClip: config.dual_clip,
    // k1 has no gradient that helps: it went into the reward.
    beta: config.kl === "k1" ? 0 : config.beta,
    kl: config.kl === "k1" ? "k3" : config.kl,
    klTimesRatio: config.use_bias_correction_kl,
  };
}
