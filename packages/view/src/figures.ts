// Which figures a run has: metrics that belong together in one, the rest each in its own. Nothing that a run logs is left out but what is no curve.
import type { Figure, FigureSeries, FiguresAnswer, Series } from "./api.js";

interface Plan {
  readonly title: string;
  readonly unit?: string;
  /** Metrics with their labels. */
  readonly of: Readonly<Record<string, string>>;
  readonly note?: string;
}

interface Section {
  readonly title: string;
  readonly figures: readonly Plan[];
  /** Whether a metric that no plan names belongs here. */
  readonly takes?: (name: string) => boolean;
}

/** No curves: they rise as the steps do. */
const counters = new Set(["epoch", "num_tokens", "eval_epoch"]);

const sections: readonly Section[] = [
  {
    title: "Rewards",
    figures: [
      { title: "Reward", of: { reward: "training" } },
      { title: "Solve rate", of: { solve_rate: "training" } },
      { title: "Deviation of the reward", of: { reward_std: "all responses" } },
      {
        title: "Groups without a difference",
        of: { frac_reward_zero_std: "share of groups" },
        note: "They teach nothing; below 0.8 is usual.",
      },
      { title: "Responses that nobody could grade", of: { "rewards/ungraded": "share" } },
      { title: "Rewards of a pair", of: { "rewards/chosen": "chosen", "rewards/rejected": "rejected" } },
      { title: "Margin", of: { "rewards/margins": "chosen above rejected", margin: "better above worse" } },
      {
        title: "Accuracy",
        of: { "rewards/accuracies": "chosen above rejected", accuracy: "better above worse" },
      },
      {
        title: "Reward",
        of: { max_reward: "largest", mean_reward: "mean", min_reward: "smallest" },
      },
    ],
    takes: (name) => /^(rewards|eval_accuracy)\//.test(name),
  },
  {
    title: "Training",
    figures: [
      { title: "Loss", of: { loss: "training" } },
      { title: "Token accuracy", of: { mean_token_accuracy: "training" } },
      { title: "Gradient norm", of: { grad_norm: "before clipping" } },
      { title: "Learning rate", of: { learning_rate: "of the step" } },
      {
        title: "Drift of online merging",
        of: { "merge/drift_intended": "intended", "merge/drift_applied": "applied" },
      },
    ],
    takes: (name) => name.startsWith("merge/"),
  },
  {
    title: "Lengths",
    figures: [
      {
        title: "Length of responses",
        unit: "tokens",
        of: {
          "completions/max_length": "longest",
          "completions/mean_length": "mean",
          "completions/min_length": "shortest",
        },
      },
      {
        title: "Length of responses that ended",
        unit: "tokens",
        of: {
          "completions/max_terminated_length": "longest",
          "completions/mean_terminated_length": "mean",
          "completions/min_terminated_length": "shortest",
        },
      },
      {
        title: "Responses that were cut",
        of: { "completions/clipped_ratio": "share" },
        note: "Below 0.3 is usual.",
      },
    ],
    takes: (name) => name.startsWith("completions/"),
  },
  {
    title: "Policy",
    figures: [
      { title: "Entropy", unit: "nats per token", of: { entropy: "training" } },
      { title: "KL divergence from the start", unit: "nats per token", of: { kl: "training" } },
      {
        title: "Movement since sampling",
        unit: "nats per token",
        of: { "policy/approx_kl": "approximate KL divergence" },
      },
      {
        title: "Clipped tokens",
        of: {
          "clip_ratio/region_mean": "all",
          "clip_ratio/low_mean": "fell too far",
          "clip_ratio/high_mean": "rose too far",
        },
      },
      {
        title: "Clipped tokens of a response",
        of: { "clip_ratio/high_max": "most, rose too far", "clip_ratio/low_min": "least, fell too far" },
      },
      { title: "Importance ratio", of: { "sampling/importance_sampling_ratio/mean": "mean" } },
      {
        title: "Log-probability of answers",
        unit: "nats",
        of: { "logps/chosen": "chosen", "logps/rejected": "rejected" },
      },
      { title: "Mean logit", of: { "logits/chosen": "chosen", "logits/rejected": "rejected" } },
    ],
    takes: (name) => /^(clip_ratio|policy|sampling|logps|logits)\//.test(name),
  },
  {
    title: "Work",
    figures: [
      {
        title: "Time of a step",
        unit: "seconds",
        of: {
          step_time: "all",
          "time/generation": "generation",
          "time/grading": "waiting for grades",
          "time/training": "training",
        },
      },
      { title: "Speed", unit: "tokens per second", of: { tokens_per_second: "training" } },
      { title: "Time of an evaluation", unit: "seconds", of: { eval_runtime: "held-out rows" } },
      { title: "Prompts in the queue", of: { "queue/retired": "at rest", "queue/refilled": "drawn again" } },
    ],
    takes: (name) => /^(time|queue)\//.test(name),
  },
  { title: "Others", figures: [], takes: () => true },
];

/** eval_<name> goes into the figure of the metric <name>, and these into those of others. */
const heldOutTwins: Readonly<Record<string, string>> = {
  eval_accuracy: "solve_rate",
  eval_mean_length: "completions/mean_length",
  eval_ungraded: "rewards/ungraded",
};

const isHeldOut = (name: string): boolean => name.startsWith("eval_");

export function figuresOf(series: ReadonlyMap<string, Series>): FiguresAnswer {
  const left = new Map([...series].filter(([name]) => !counters.has(name)));
  const take = (name: string, label: string): readonly FigureSeries[] => {
    const own = left.get(name);
    left.delete(name);
    const figure = (found: Series | undefined, of: string, named: string): FigureSeries[] =>
      found === undefined ? [] : [{ name: of, label: named, heldOut: isHeldOut(of), ...found }];
    if (own === undefined) return [];
    const twin =
      Object.keys(heldOutTwins).find((one) => heldOutTwins[one] === name && left.has(one)) ?? `eval_${name}`;
    const ofTwin = left.get(twin);
    left.delete(twin);
    return [
      ...figure(own, name, label),
      ...figure(ofTwin, twin, label === "training" ? "held out" : `${label}, held out`),
    ];
  };
  // Plans first, so that a section's rest does not take what another one names.
  const planned = sections.map(({ figures }) =>
    figures.map((plan) => ({
      ...plan,
      series: Object.entries(plan.of).flatMap(([name, label]) => take(name, label)),
    })),
  );
  const sorted = sections.map(({ title, takes }, i) => {
    const figures = (planned[i] ?? []).map(
      ({ title: name, unit = "", series: own, note }): Figure => ({ title: name, unit, series: own, note }),
    );
    const names = [...left.keys()].filter((name) => takes?.(name) === true);
    // Of training first: what is held out goes with it, though it is logged before the first step.
    const rest = [...names.filter((name) => !isHeldOut(name)), ...names.filter(isHeldOut)];
    return { title, figures: [...figures, ...rest.map((name) => single(name, take))] };
  });
  return {
    sections: sorted
      .map(({ title, figures }) => ({ title, figures: figures.filter((one) => one.series.length > 0) }))
      .filter(({ figures }) => figures.length > 0),
  };
}

/** Of a metric that no plan names: a reward by its name (mean), anything else as metrics.jsonl calls it. */
function single(name: string, take: (name: string, label: string) => readonly FigureSeries[]): Figure {
  const [, kind = "", of] = /^(rewards|eval_accuracy)\/(.+)$/.exec(name) ?? [];
  const [, reward, what] = /^(.+)\/(mean|std)$/.exec(of ?? "") ?? [];
  const title =
    kind === "eval_accuracy"
      ? `Held-out accuracy: ${of}`
      : reward === undefined
        ? name
        : `${what === "mean" ? "Reward" : "Deviation of the reward"}: ${reward}`;
  const label = isHeldOut(name) ? "held out" : "training";
  return { title, unit: "", note: undefined, series: take(name, label) };
}
