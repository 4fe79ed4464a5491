// GRPO, read top to bottom: look at everything that can be refused; sample every prompt once, to know the order; then episode by episode: prompts
// from the queue, k responses each, their rewards; and for each optimizer step of the episode: forward, loss, backward for every micro-batch,
// clip, update, log, evaluate, save. One set of weights samples, scores and trains. A run that is stopped or killed goes on from its newest
// checkpoint with the same bits: what an episode sampled and what graders said is in its journal.
//
// Run: posttrain grpo --model_name_or_path DIR --data prompts.jsonl --output_dir RUN
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type OnProgress, stringifyJson, UserError } from "@posttrain/data";
import type { Device } from "@posttrain/kernels";
import { loadModel, type Model, readCompanions, weightsOfModel } from "@posttrain/model";
import { arithmeticOf, type Sampler, type SamplingWorkers, sampleOnWorkers } from "@posttrain/rollout";
import { openJournal, openRun, type Run, sweepLeftovers, writeDurably } from "@posttrain/run";
import {
  Diverged,
  dtypeOf,
  type End,
  openTraining,
  planSteps,
  planTraining,
  rateOf,
  refuseWhatCannotFit,
  ruleOf,
  type StepMetrics,
  type StepPlan,
  type Training,
  type TrainingPlan,
} from "@posttrain/train";
import { weightedSum } from "./advantages.js";
import { type Alarm, alarmsOf, driftAlarm } from "./alarms.js";
import {
  batchOf,
  type GrpoConfig,
  grpoConfig,
  promptsPerEpisode,
  stepLossOf,
  stepsOf,
  updatesOf,
} from "./config.js";
import {
  type Episode,
  type EpisodeSetting,
  givenEpisode,
  logProbsOf,
  noPromptLeft,
  prepass,
  queueOptions,
  sampleEpisode,
  updateRows,
} from "./episode.js";
import { prepareGiven } from "./given-episodes.js";
import { collectGroups, type Group } from "./groups.js";
import { evaluationJournal, pruneJournals } from "./journals.js";
import { averagedMetrics, episodeMetrics, stepNumbers } from "./metrics.js";
import { solvedOf } from "./outcome.js";
import { plannedGrpo } from "./plan.js";
import {
  episodesPerPass,
  type Prompt,
  type PromptData,
  preparePrompts,
  withoutBad,
  writePromptLists,
} from "./prompts.js";
import { taking } from "./queue.js";
import type { RewardSource, Scored } from "./rewards.js";
import { openRewardSources, type RewardSources } from "./sources.js";
import {
  type Age,
  ageOf,
  digestOf,
  type Origin,
  type StartWeights,
  stalenessMetrics,
  stampOf,
  startWeights,
} from "./staleness.js";
import { type GrpoState, newState, readState, stateFile, stateText } from "./state.js";
import { checkSampler, type PolicyStepOptions, policyStep } from "./step.js";

type Findings = Pick<Run, "damaged" | "missing">;

export interface GrpoStart extends Findings {
  readonly model: Model;
  readonly data: PromptData;
  readonly plan: StepPlan;
  readonly totalSteps: number;
  /** What it will take at most. */
  readonly prediction: TrainingPlan;
  readonly from: { readonly dir: string; readonly step: number } | undefined;
  /** Of the optimizer. */
  readonly notes: readonly string[];
}

export type GrpoMetrics = StepMetrics & { readonly loss: number; readonly grad_norm: number };

export interface GrpoEvalMetrics {
  readonly step: number;
  readonly eval_accuracy: number;
  readonly eval_reward: number;
  readonly eval_ungraded: number;
  readonly eval_mean_length: number;
  readonly eval_runtime: number;
}

export interface GrpoReport {
  readonly onReading?: OnProgress;
  readonly onSavable?: () => void;
  readonly onStart?: (run: GrpoStart) => void;
  /** Responses graded so far, of the pre-pass or of an episode, and how many there will be. */
  readonly onGraded?: (what: "prepass" | "episode" | "evaluation", graded: number, of: number) => void;
  readonly onEpisode?: (episode: Episode, step: number) => void;
  readonly onStep?: (metrics: GrpoMetrics, totalSteps: number) => void;
  readonly onEvaluation?: (metrics: GrpoEvalMetrics) => void;
  readonly onAlarm?: (alarm: Alarm, step: number) => void;
  readonly onCheckpoint?: (dir: string) => void;
}

export interface GrpoResult extends Findings {
  readonly checkpoint: string;
  readonly steps: number;
  readonly end: End | "nothing_to_do" | "alarm";
  readonly last: GrpoMetrics | undefined;
}

/**
 * Runs the stage, or goes on with it, with the rewards that openRewardSources() has opened. UserError for what is wrong with model,
 * prompts, rewards, output folder or checkpoint; nothing is written before all of it is read. `workers` sample in place of this process.
 */
export async function runGrpo(
  config: GrpoConfig,
  device: Device,
  {
    sources,
    check,
    rewardModel,
    digests,
  }: Pick<RewardSources, "sources" | "check" | "rewardModel" | "digests">,
  report: GrpoReport = {},
  signal?: AbortSignal,
  workers?: SamplingWorkers,
): Promise<GrpoResult> {
  const run = await openRun(config.output_dir, config.resume_from_checkpoint);
  try {
    const companions = await readCompanions(config.model_name_or_path);
    const data = await readData(config, "error", report.onReading);
    checkEnough(config, data);
    await check(filesOf(config, data));
    const totalSteps = stepsOf(config, episodesPerPass(config, data));
    const { per_device_train_batch_size: rows, gradient_accumulation_steps: batches } = config;
    const plan = planSteps(data.units.length, rows, batches);
    const planned = plannedGrpo(config, data, rewardModel);
    const machine = { ...device.options, inUse: device.status().bytesInUse };
    const prediction = await planTraining(config, planned, machine);
    await refuseWhatCannotFit(prediction, config, planned, machine);
    const from = run.checkpoint;
    let state = from
      ? await readState(from)
      : newState(data.given === undefined ? data.trainRows.map(({ id }) => id) : []);
    const training = await openTraining(run, device, {
      stage: "grpo",
      shape: grpoConfig.shape,
      config,
      totalSteps,
      rule: ruleOf(config),
      digests: { ...data.digests, ...digests },
      parents: [{ kind: "data", path: data.file ?? config.data, sha256: data.digests.data }],
      averaged: averagedMetrics,
      companions,
      onBegin: report.onSavable,
      stopIds: [],
      own: () => ({ [stateFile]: stateText(state) }),
    });
    const { damaged, missing } = run;
    const findings: Findings = { damaged, missing };
    if (!("model" in training)) return { ...training, end: "nothing_to_do", last: undefined, ...findings };
    const reference =
      config.beta > 0
        ? await loadModel(device, config.model_name_or_path, { dtype: dtypeOf(config) })
        : undefined;
    try {
      await mkdir(join(run.dir, "episodes"), { recursive: true });
      await mkdir(join(run.dir, "rollouts"), { recursive: true });
      await sweepLeftovers(join(run.dir, "rollouts"));
      await writePromptLists(run.dir, data);
      const start = from && { dir: from.dir, step: from.manifest.step };
      const { model, notes } = training;
      report.onStart?.({ ...{ model, data, plan, totalSteps, prediction, notes }, from: start, ...findings });
      const began = await startWeights(config.model_name_or_path, String(training.identity["model"]));
      const loop = {
        config,
        training,
        data,
        sources,
        reference,
        totalSteps,
        dir: run.dir,
        report,
        start: began,
        samplerOf: samplersOf(training, workers),
      };
      const result = await train(
        loop,
        () => state,
        (next) => {
          state = next;
        },
        signal,
      );
      return { ...result, ...findings };
    } finally {
      reference?.scope.end();
      await training.close();
    }
  } finally {
    await run.close();
  }
}

/** Prompts, or rollouts that are given. */
function readData(
  config: GrpoConfig,
  onBadRow: "error" | "reject",
  onProgress: OnProgress | undefined,
): Promise<PromptData> {
  const read = config.rollouts === undefined ? preparePrompts : prepareGiven;
  return read(config, onBadRow, onProgress);
}

/** What of each file is asked of the graders. */
function filesOf(
  config: GrpoConfig,
  { trainRows, evalRows, given }: PromptData,
): readonly { readonly path: string; readonly prompts: readonly Prompt[] }[] {
  return [
    { path: config.data, prompts: given === undefined ? trainRows : [] },
    { path: config.eval_data ?? config.data, prompts: evalRows },
  ];
}

/** Prompts, and the graders that were proven for them (canaries). */
export type GrpoData = PromptData & { readonly graders: readonly string[] };

/** What a run would read and refuse before a model is loaded: for who only looks. As preparePrompts(). */
export async function prepareGrpo(
  config: GrpoConfig,
  onBadRow: "error" | "reject" = "error",
  onProgress?: OnProgress,
): Promise<GrpoData> {
  const data = await readData(config, onBadRow, onProgress);
  if (onBadRow === "error") checkEnough(config, data);
  await using rewards = await openRewardSources(config, undefined);
  if (onBadRow === "error") return { ...data, graders: await rewards.check(filesOf(config, data)) };
  const bad = new Map<Prompt, string>();
  const graders = await rewards.check(filesOf(config, data), (prompt, problem) => bad.set(prompt, problem));
  return { ...withoutBad(data, bad, config), graders };
}

interface Loop {
  readonly config: GrpoConfig;
  readonly training: Training;
  readonly data: PromptData;
  readonly sources: readonly RewardSource[];
  readonly reference: Model | undefined;
  readonly totalSteps: number;
  readonly dir: string;
  readonly report: GrpoReport;
  readonly start: StartWeights;
  readonly samplerOf: () => Model | Sampler;
}

/** The policy as it is: in this process, or published to workers, once a step. */
function samplersOf({ model, state }: Training, workers: SamplingWorkers | undefined): () => Model | Sampler {
  if (workers === undefined) return () => model;
  let last: { readonly step: number; readonly sampler: Sampler } | undefined;
  return () => {
    const step = state().global_step;
    const asked = { source: weightsOfModel(model), use: "policy", arithmetic: arithmeticOf(model) };
    if (last?.step !== step) last = { step, sampler: sampleOnWorkers(workers, asked) };
    return last.sampler;
  };
}

async function train(
  loop: Loop,
  current: () => GrpoState,
  advance: (state: GrpoState) => void,
  signal: AbortSignal | undefined,
): Promise<Omit<GrpoResult, keyof Findings>> {
  const { config, training, data, totalSteps, report } = loop;
  const { model, optimizer } = training;
  const prompts = new Map(data.trainRows.map((prompt) => [prompt.id, prompt]));
  const { all: updates, perPass } = updatesOf(config);
  const save = async (): Promise<string> => {
    const checkpoint = await training.save();
    await pruneJournals(loop.dir);
    report.onCheckpoint?.(checkpoint);
    return checkpoint;
  };
  const stepsDone = (): number => training.state().global_step;
  let firstPass = 0;

  if (stepsDone() === 0) {
    if (data.evalRows.length > 0) await evaluate(loop, current, advance);
    if (config.prepass && data.given === undefined) {
      const setting = settingOf(loop, "prepass", data.trainRows.length);
      const { state, sampled } = await prepass(current(), data.trainRows, config, setting);
      advance(state);
      firstPass = sampled;
      refuseNoPrompts(current(), config);
    }
  }
  for (;;) {
    const step = stepsDone() + 1;
    const started = performance.now();
    let numbers: Readonly<Record<string, number>> = {};
    if (current().updates === 0) {
      const episode = await nextEpisode(loop, current(), prompts).catch(async (error: unknown) => {
        if (error instanceof UserError && stepsDone() > 0) {
          error.message += ` The weights before it are in ${await save()}, and what was sampled and graded is kept: --resume_from_checkpoint goes on.`;
        }
        throw error;
      });
      await writeRollouts(loop, episode, step);
      advance(episode.state);
      report.onEpisode?.(episode, step);
      numbers = {
        ...episodeMetrics(episode.groups, episode.valued, { ...config, reward_funcs: [...rewardsOf(loop)] }),
        ...(data.given && stalenessMetrics(agesOf(loop, episode, step))),
        "queue/refilled": episode.refilled,
        // Before step 1 the first pass is always taken, from its journal where a run goes on.
        "queue/sampled_tokens": episode.sampled + (step === 1 ? firstPass : 0),
        "queue/retired": episode.state.queue.retired.size,
        "time/generation": episode.seconds.generation,
        "time/grading": episode.seconds.grading,
      };
      if (perPass > 1 && data.given === undefined)
        checkSampler(episode.rows, await logProbsOf(model, episode.rows, config));
    }
    const { rows, updates: done } = current();
    const batches = updateRows(rows, done, config);
    const trainingStarted = performance.now();
    const result = await policyStep(
      model,
      optimizer,
      batches,
      optionsOf(config, totalSteps, step, done === 0 && data.given === undefined),
    ).catch(async (error) => {
      if (error instanceof Diverged) error.message += ` The weights before it are in ${await save()}.`;
      throw error;
    });
    const after = done + 1;
    advance({ ...current(), updates: after === updates ? 0 : after, rows: after === updates ? [] : rows });
    const own = stepNumbers(result, config.beta > 0);
    const seconds = (performance.now() - started) / 1000;
    const last: GrpoMetrics = {
      step,
      epoch: (step * batchOf(config)) / data.units.length,
      loss: result.loss,
      grad_norm: result.gradNorm,
      learning_rate: rateOf(config, totalSteps, step),
      ...own,
      ...numbers,
      num_tokens: training.state().num_input_tokens_seen + result.tokens,
      "time/training": (performance.now() - trainingStarted) / 1000,
      step_time: seconds,
    };
    const trained = result.responses.reduce((sum, { tokens }) => sum + tokens, 0);
    await training.record(
      { ...last },
      trained,
      batches.flat().map(({ line }) => line),
    );
    report.onStep?.(last, totalSteps);
    const sounded = watch(last, current, advance, config);

    const evaluates = step === totalSteps || step % (config.eval_steps ?? Number.POSITIVE_INFINITY) === 0;
    if (evaluates && data.evalRows.length > 0) {
      await evaluate(loop, current, advance);
      const drift = driftAlarm(current().remembered);
      if (drift) sounded.push(drift);
    }
    for (const alarm of sounded) report.onAlarm?.(alarm, step);
    // At the last step too: what comes next should not take its weights unseen.
    const stops = sounded.length > 0 && config.stop_on_alarm;
    const end = stops ? "alarm" : await training.ending(signal);
    const checkpoint = end !== undefined || step % config.save_steps === 0 ? await save() : "";
    if (end !== undefined) return { checkpoint, steps: step, end, last };
  }
}

/** From the queue, or from rollouts that are given. */
function nextEpisode(loop: Loop, state: GrpoState, prompts: ReadonlyMap<string, Prompt>): Promise<Episode> {
  const { config, data, reference } = loop;
  return data.given === undefined
    ? sampleEpisode(state, prompts, config, settingOf(loop, "episode", promptsPerEpisode(config)))
    : givenEpisode(state, data.given, config, reference);
}

/** Names of the rewards that responses have. */
function rewardsOf({ data, sources }: Loop): readonly string[] {
  return data.given?.sources ?? sources.map(({ name }) => name);
}

/** Of given rollouts: how many steps lie between the weights that sampled them and the policy's, one a response. */
function agesOf({ start }: Loop, { groups }: Episode, step: number): readonly Age[] {
  const samples = groups.flatMap((group) => group.samples);
  return samples.map((sample) => ageOf("origin" in sample ? (sample.origin as Origin) : {}, start, step - 1));
}

/** Takes note of a step's numbers; the alarms that they sound. */
function watch(
  metrics: GrpoMetrics,
  current: () => GrpoState,
  advance: (state: GrpoState) => void,
  config: GrpoConfig,
): Alarm[] {
  const { remembered, rewards } = current();
  const alarms = alarmsOf(
    {
      entropy: metrics["entropy"] as number,
      kl: metrics["kl"],
      ratio: metrics["sampling/importance_sampling_ratio/mean"] as number,
      ungraded: metrics["rewards/ungraded"] ?? 0,
      truncated: metrics["completions/clipped_ratio"] ?? 0,
    },
    remembered,
    config,
  );
  const reward = metrics["reward"];
  advance({
    ...current(),
    rewards: reward === undefined ? rewards : [...rewards, reward],
    remembered: { ...remembered, entropy: remembered.entropy ?? metrics["entropy"] },
  });
  return [...alarms];
}

function optionsOf(config: GrpoConfig, totalSteps: number, step: number, first: boolean): PolicyStepOptions {
  return {
    learningRate: rateOf(config, totalSteps, step),
    maxGradNorm: config.max_grad_norm,
    activationCheckpointing: config.gradient_checkpointing,
    ...stepLossOf(config),
    onPolicy: first,
  };
}

function settingOf(loop: Loop, what: "prepass" | "episode", prompts: number): EpisodeSetting {
  const { training, data, sources, dir, reference, config, report } = loop;
  let graded = 0;
  return {
    model: training.model,
    sampler: loop.samplerOf(),
    tokenizer: data.tokenizer,
    ...{ sources, dir, reference },
    weights: weightsOf(training),
    // Groups that give way to others make more of them.
    onGraded: () => report.onGraded?.(what, ++graded, Math.max(graded, prompts * config.num_generations)),
  };
}

/** The weights are a function of the run's identity and the step. */
function weightsOf({ identity, state }: Training): string {
  return `${digestOf(identity)}@${state().global_step}`;
}

/** Held-out prompts: the share solved, of those that could be graded, and the mean weighted reward. */
async function evaluate(
  loop: Loop,
  current: () => GrpoState,
  advance: (state: GrpoState) => void,
): Promise<void> {
  const { config, training, data, sources, dir, report } = loop;
  const started = performance.now();
  const step = training.state().global_step;
  const journal = await openJournal(evaluationJournal(dir, step));
  let groups: readonly Group[];
  let graded = 0;
  try {
    const collected = await collectGroups(data.evalRows, {
      model: training.model,
      sampler: loop.samplerOf(),
      tokenizer: data.tokenizer,
      sources,
      samples: config.eval_samples,
      temperature: config.eval_temperature,
      maxNewTokens: config.max_completion_length,
      seed: config.seed,
      stream: "evaluation",
      visit: 0,
      weights: weightsOf(training),
      journal,
      onGraded: () => report.onGraded?.("evaluation", ++graded, data.evalRows.length * config.eval_samples),
    });
    groups = collected.groups;
  } finally {
    await journal.close();
  }
  const samples = groups.flatMap((group) => group.samples);
  const solved = samples.map(solvedOf).filter((one) => one !== null);
  const weights = sources.map(({ weight }) => weight);
  const rewards = samples
    .map(({ scored }) =>
      weightedSum(
        scored.map(({ value }) => value),
        weights,
      ),
    )
    .filter((reward) => reward !== null);
  const mean = (values: readonly number[]): number =>
    values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);
  const line: GrpoEvalMetrics = {
    step,
    eval_accuracy: mean(solved.map(Number)),
    eval_reward: mean(rewards),
    eval_ungraded: 1 - rewards.length / samples.length,
    eval_mean_length: mean(samples.map(({ completionIds }) => completionIds.length)),
    eval_runtime: (performance.now() - started) / 1000,
  };
  const { remembered, rewards: since } = current();
  const evaluation = {
    accuracy: line.eval_accuracy,
    reward: since.length > 0 ? mean(since) : line.eval_reward,
  };
  advance({
    ...current(),
    rewards: [],
    remembered: { ...remembered, evaluations: [...remembered.evaluations, evaluation] },
  });
  await training.recordEvaluation({ ...line }, solved.length > 0 ? -line.eval_accuracy : -line.eval_reward);
  report.onEvaluation?.(line);
}

/** Why rewards are missing, by name. */
function problemsOf(
  scored: readonly Scored[],
  names: readonly string[],
): { readonly problems?: Readonly<Record<string, string>> } {
  const problems = scored.flatMap(({ problem }, i) =>
    problem === undefined ? [] : [[names[i] as string, problem] as const],
  );
  return problems.length === 0 ? {} : { problems: Object.fromEntries(problems) };
}

/** rollouts/step-<n>.jsonl: every response that was sampled for the episode that begins with step n. */
async function writeRollouts(loop: Loop, { groups, valued, rows }: Episode, step: number): Promise<void> {
  const { dir, data, training } = loop;
  const names = rewardsOf(loop);
  const own = { weights: stampOf(training.identity, step - 1), step };
  const lines: string[] = [];
  let i = 0;
  for (const { prompt, samples } of groups) {
    const asked = { prompt: data.tokenizer.decode([...prompt.ids]), ids: [...prompt.ids] };
    for (const [sample, one] of samples.entries()) {
      const origin: Origin = "origin" in one ? (one.origin as Origin) : own;
      lines.push(
        `${stringifyJson({
          schema: "rollout@1",
          step: origin.step,
          weights: origin.weights,
          tokenizer: data.tokenizer.digest,
          prompt_id: prompt.id,
          line: prompt.line,
          sample,
          prompt: asked.prompt,
          completion: one.text,
          finish: one.finish,
          prompt_ids: asked.ids,
          completion_ids: [...one.completionIds],
          logprobs: [...one.logProbs],
          rewards: Object.fromEntries(names.map((name, source) => [name, one.scored[source]?.value ?? null])),
          ...problemsOf(one.scored, names),
          verdict: one.scored.find(({ verdict }) => verdict !== undefined)?.verdict,
          reward: valued.rewards[i],
          advantage: valued.advantages[i],
          masked: rows[i]?.weight === 0,
        })}\n`,
      );
      i++;
    }
  }
  await writeDurably(join(dir, "rollouts", `step-${String(step).padStart(6, "0")}.jsonl`), lines.join(""));
}

function checkEnough(config: GrpoConfig, { trainRows: prompts, given }: PromptData): void {
  const wanted = promptsPerEpisode(config);
  if (given !== undefined || prompts.length >= wanted) return;
  throw new UserError(
    "too_few_prompts",
    `${config.data} has ${prompts.length} prompts to train on, and an episode takes ${wanted} different ones. Add prompts, or lower episode_size or per_device_train_batch_size.`,
  );
}

function refuseNoPrompts({ queue }: GrpoState, config: GrpoConfig): void {
  const { length } = taking(queue, 0, queueOptions(config), queue.prompts.size);
  const wanted = promptsPerEpisode(config);
  if (length < wanted) throw noPromptLeft(length, wanted, config);
}
