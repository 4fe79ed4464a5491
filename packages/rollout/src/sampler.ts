// Who draws tokens: a model in this process, or workers (rollout-jobs.ts).
import {
  type GeneratedSequence,
  type GenerationOptions,
  type GenerationRequest,
  generate,
  type Model,
} from "@posttrain/model";

export interface Sampler {
  readonly config: Pick<Model["config"], "maxPositionEmbeddings" | "vocabSize">;
  /** Hands on every sequence as it ends; resolves with the last. What `onToken` throws ends it. */
  generate(requests: readonly GenerationRequest[], options: SamplerOptions): Promise<unknown>;
}

export type SamplerOptions = GenerationOptions & {
  readonly onToken: (request: number, sample: number, id: number) => void;
  readonly onFinished: (sequence: GeneratedSequence) => void;
  /** Nobody waits for it any more. */
  readonly signal: AbortSignal;
};

export function sampleHere(model: Model): Sampler {
  return {
    config: model.config,
    generate: (requests, { signal, onToken, ...options }) =>
      generate(model, requests, {
        ...options,
        onToken: (...token) => {
          signal.throwIfAborted();
          onToken(...token);
        },
      }),
  };
}
