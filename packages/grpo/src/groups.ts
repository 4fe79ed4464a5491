// Groups of responses: prompts in, k graded responses each out. Grading runs beside generation, and whatever came from outside the arithmetic
// (a verdict, a score) is written down before it is used: the same call after a kill neither generates nor grades anything twice.
import { createHash } from "node:crypto";
import type { RandomStream, Tokenizer } from "@posttrain/data";
import { type Model, policySampling, resolveStopIds } from "@posttrain/model";
import { rollOut, type Sampler } from "@posttrain/rollout";
import type { Journal } from "@posttrain/run";
import type { Prompt } from "./prompts.js";
import { askSource, type RewardSource, type Sample, type Scored } from "./rewards.js";

export interface GradedSample extends Sample {
  /** The log-probability that each token got when it was drawn. */
  readonly logProbs: Float32Array;
  /** One a source, in their order. */
  readonly scored: readonly Scored[];
}

export interface Group {
  readonly prompt: Prompt;
  readonly samples: readonly GradedSample[];
}

export interface GroupSetting {
  readonly model: Model;
  /** Who samples from it. */
  readonly sampler: Model | Sampler;
  readonly tokenizer: Tokenizer;
  readonly sources: readonly RewardSource[];
  readonly samples: number;
  readonly temperature: number;
  readonly maxNewTokens: number;
  readonly seed: number;
  readonly stream: RandomStream;
  /** Which visit to the prompts it is: another one draws other numbers. */
  readonly visit: number;
  /** What decides the policy's weights: responses of other ones are not these. */
  readonly weights: string;
  readonly journal: Journal;
  /** Told of every response that has been graded. */
  readonly onGraded?: (() => void) | undefined;
}

export interface Collected {
  /** In the order of the prompts. */
  readonly groups: readonly Group[];
  /** Seconds of generation, and of waiting for grades once it was over. */
  readonly generation: number;
  readonly grading: number;
}

export async function collectGroups(prompts: readonly Prompt[], setting: GroupSetting): Promise<Collected> {
  const {
    model,
    sampler,
    tokenizer,
    sources,
    samples,
    temperature,
    maxNewTokens,
    seed,
    stream,
    visit,
    weights,
    journal,
  } = setting;
  const waiting = prompts.map((): (Omit<GradedSample, "scored"> | undefined)[] =>
    new Array(samples).fill(undefined),
  );
  const grading: Promise<Group>[] = [];
  const started = performance.now();
  const stopIds = resolveStopIds(model.generationConfig, model.config);
  const rollouts = rollOut(
    sampler,
    prompts.map(({ ids, line, place }) => ({ ids, line, row: place })),
    {
      ...{ tokenizer, samples, seed, stream, visit, weights, journal },
      settings: { ...policySampling, temperature, maxNewTokens, stopIds },
    },
  );
  for await (const { prompt: at, sample, ids, logProbs, text, finish } of rollouts) {
    const prompt = prompts[at] as Prompt;
    const own = waiting[at] as (Omit<GradedSample, "scored"> | undefined)[];
    const { row, line, ids: promptIds } = prompt;
    own[sample] = { row, line, promptIds, completionIds: ids, logProbs, text, finish };
    const all = own.filter((one) => one !== undefined);
    if (all.length < samples) continue;
    const graded = gradeGroup(prompt, all, sources, journal, weights).then((group) => {
      for (const _ of all) setting.onGraded?.();
      return group;
    });
    // Whoever awaits it below sees the error; until then it is not unhandled.
    graded.catch(() => undefined);
    grading[at] = graded;
  }
  const generated = performance.now();
  const groups = await Promise.all(grading);
  return {
    groups,
    generation: (generated - started) / 1000,
    grading: (performance.now() - generated) / 1000,
  };
}

async function gradeGroup(
  prompt: Prompt,
  samples: readonly Omit<GradedSample, "scored">[],
  sources: readonly RewardSource[],
  journal: Journal,
  weights: string,
): Promise<Group> {
  const bySource = await Promise.all(
    sources.map(async (source) => {
      const decides = [weights, source.name, prompt.id, samples.map(({ text, finish }) => [text, finish])];
      const key = createHash("sha256").update(JSON.stringify(decides)).digest("hex");
      const known = journal.get(key) as readonly Scored[] | undefined;
      return known ?? journal.record(key, await askSource(source, samples));
    }),
  );
  return {
    prompt,
    samples: samples.map((sample, i) => ({ ...sample, scored: bySource.map((own) => own[i] as Scored) })),
  };
}
