/**
 * Sampling by workers: a prompt's missing responses are a job, and what comes back has the bits that this process would have drawn. Seen from outside it is a sampler as any
 * other: rollOut() journals and hands on what it gives.
 */
import { type RandomStream, randomStreams, UserError } from "@posttrain/data";
import { defineKind, type Jobs, type Outcome } from "@posttrain/jobs";
import type { GenerationRequest, Model, Publisher, WeightsSource } from "@posttrain/model";
import { z } from "zod";
import type { Sampler, SamplerOptions } from "./sampler.js";

const whole = z.int().nonnegative();

/** The responses `samples` to one prompt. Which weights and which seed: the job's own. */
const payload = z.strictObject({
  /** As arithmeticOf() names it. */
  arithmetic: z.string(),
  prompt: z.array(whole).min(1),
  row: whole,
  visit: whole,
  samples: z.array(whole).min(1),
  stream: z.enum(Object.keys(randomStreams) as [RandomStream, ...RandomStream[]]),
  /** Token ids below it can be drawn. */
  drawable: z.int().positive(),
  settings: z.strictObject({
    temperature: z.number(),
    topK: z.number(),
    topP: z.number(),
    minP: z.number(),
    repetitionPenalty: z.number(),
    maxNewTokens: z.int().positive(),
    stopIds: z.array(whole),
  }),
});
export type RolloutPayload = z.output<typeof payload>;

const sequence = z.strictObject({
  sample: whole,
  ids: z.array(whole).min(1),
  /** float32, of each of ids. */
  logprobs: z.array(z.number()),
  finish: z.enum(["stop", "length"]),
});
export type RolloutSequence = z.output<typeof sequence>;

export const rolloutKind = defineKind({
  name: "rollout",
  payload,
  /** `weights` and `arithmetic`: what made them. */
  result: z.strictObject({ weights: z.string(), arithmetic: z.string(), sequences: z.array(sequence) }),
});
type RolloutResult = z.output<typeof rolloutKind.result>;

/** Whose bits a model computes: in f32 every machine's; in bf16 the cpu's, or those of one kind of GPU. */
export function arithmeticOf({
  dtype,
  device: { backend, path },
}: {
  readonly dtype: Model["dtype"];
  readonly device: Pick<Model["device"], "backend" | "path">;
}): string {
  if (dtype === "f32") return "f32";
  return backend === "cpu" ? "bf16 cpu" : `bf16 ${backend} ${path}`;
}

/** Who samples in place of this process, and where they find the weights. */
export interface SamplingWorkers {
  readonly jobs: Jobs;
  readonly publisher: Publisher;
}

/**
 * `source` is published once, and not before something is to be sampled; `use` is the publisher's. What generate() refuses is refused by the worker: UserError `rollout_failed`,
 * which names the job; what other weights or another arithmetic made: `other_rollout`.
 */
export function sampleOnWorkers(
  { jobs, publisher }: SamplingWorkers,
  {
    source,
    use,
    arithmetic,
  }: { readonly source: WeightsSource; readonly use: string; readonly arithmetic: string },
): Sampler {
  let published: Promise<string> | undefined;
  return {
    config: source.config,
    generate: async (requests, options) => {
      if (requests.length === 0) return;
      published ??= publisher.publish(source, use);
      const digest = await published;
      const { seed, signal } = options;
      const batch = jobs.submit(
        rolloutKind,
        requests.map((request, rank) => ({
          payload: payloadOf(request, options, arithmetic),
          ...{ weights: digest, seed, rank, label: `prompt ${rank + 1} of ${requests.length}` },
        })),
      );
      const abandon = (): unknown => batch.cancel().catch(() => undefined);
      signal.addEventListener("abort", abandon);
      try {
        if (signal.aborted) abandon();
        for await (const outcome of batch) {
          const request = requests[outcome.place] as GenerationRequest;
          for (const one of sequencesOf(outcome, request, { weights: digest, arithmetic }))
            take(one, outcome.place, request, options);
        }
      } finally {
        signal.removeEventListener("abort", abandon);
        await abandon();
      }
    },
  };
}

function payloadOf(
  { promptIds, row, visit, settings, ...request }: GenerationRequest,
  { stream, drawable }: SamplerOptions,
  arithmetic: string,
): RolloutPayload {
  const { temperature, topK, topP, minP, repetitionPenalty, maxNewTokens, stopIds } = settings;
  return {
    ...{ arithmetic, row, visit, stream, drawable, prompt: [...promptIds] },
    samples: samplesOf(request),
    settings: { temperature, topK, topP, minP, repetitionPenalty, maxNewTokens, stopIds: [...stopIds] },
  };
}

function samplesOf({
  samples,
  sampleNumbers,
}: Pick<GenerationRequest, "samples" | "sampleNumbers">): number[] {
  return Array.from({ length: samples }, (_, i) => sampleNumbers?.[i] ?? i);
}

/** In the order of their numbers. UserError where they are not what was asked for. */
function sequencesOf(
  outcome: Outcome<RolloutResult>,
  request: GenerationRequest,
  asked: Pick<RolloutResult, "weights" | "arithmetic">,
): readonly RolloutSequence[] {
  const job = `posttrain jobs show ${outcome.id.slice(0, 12)}`;
  if (outcome.state === "failed") {
    const tries = outcome.tries === 1 ? "once" : `${outcome.tries} times`;
    throw new UserError(
      "rollout_failed",
      `Sampling by workers failed, tried ${tries}: ${outcome.error} (${job}). Mend it and give the same command again: what was sampled is kept.`,
    );
  }
  const { weights, arithmetic, sequences } = outcome.result;
  const others = (["weights", "arithmetic"] as const).find((name) => outcome.result[name] !== asked[name]);
  const numbers = samplesOf(request);
  const isWhole =
    sequences.length === numbers.length &&
    sequences.every(
      ({ sample, ids, logprobs }, i) => sample === numbers[i] && ids.length === logprobs.length,
    );
  if (others === undefined && isWhole) return sequences;
  const made = { weights, arithmetic };
  throw new UserError(
    "other_rollout",
    others === undefined
      ? `A worker's responses are not those that were asked for (${job}). Give all workers the version of posttrain that the run has.`
      : `A worker sampled with ${others} ${made[others]}, and the run wants ${asked[others]} (${job}): its responses are not this policy's. Give all workers the version of posttrain that the run has.`,
  );
}

/** As if it were drawn here, token by token; what only text can end ends here. */
function take(
  { sample, ids, logprobs, finish }: RolloutSequence,
  request: number,
  { settings: { stopIds } }: GenerationRequest,
  { onToken, isEnd, onFinished }: SamplerOptions,
): void {
  let length = 0;
  let isCut = false;
  for (const id of ids) {
    length++;
    onToken(request, sample, id);
    // As in generate(): who is ended by an id is not asked for its text.
    if (!stopIds.includes(id) && isEnd?.(request, sample, id)) {
      isCut = true;
      break;
    }
  }
  onFinished({
    ...{ request, sample, finish: isCut ? "stop" : finish },
    ids: Int32Array.from(ids.slice(0, length)),
    logProbs: Float32Array.from(logprobs.slice(0, length)),
  });
}
