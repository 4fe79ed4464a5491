// Responses of a local model, as they finish: whoever takes them (a grader, a scorer) works beside generation. What a response is depends on
// (weights, prompt, settings, seed, stream, row, visit, sample) alone, so a journal can give it back.
import { createHash } from "node:crypto";
import { answerText, type RandomStream, stopWatch, type Tokenizer, UserError } from "@posttrain/data";
import type { GeneratedSequence, Model, SamplingSettings } from "@posttrain/model";
import type { Journal } from "@posttrain/run";
import { type Sampler, sampleHere } from "./sampler.js";

export interface RolloutPrompt {
  readonly ids: Int32Array;
  /** Where it stands in its file, for errors. */
  readonly line: number;
  /** Number of the row in every draw's counter. Default: its place among the prompts. */
  readonly row?: number;
}

export interface Rollout {
  /** Place of its prompt among the prompts, and which of its responses it is. */
  readonly prompt: number;
  readonly sample: number;
  /** New tokens, those of the stop too, and the log-probability that each got when it was drawn. */
  readonly ids: Int32Array;
  readonly logProbs: Float32Array;
  /** Without special tokens, and before the first stop text. */
  readonly text: string;
  readonly finish: "stop" | "length";
  /** Digest of the weights that made it, where the caller has said it. */
  readonly weights: string | undefined;
}

export type RolloutOptions = Sampled &
  (Stamped | { readonly weights?: undefined; readonly journal?: undefined });

interface Stamped {
  /** Digest of the model's weights: stamped on every response. */
  readonly weights: string;
  /** Keeps what has finished: the same call after a kill generates only what is missing. */
  readonly journal?: Journal;
}

interface Sampled {
  readonly tokenizer: Tokenizer;
  readonly settings: SamplingSettings;
  /** Text that ends a response. */
  readonly stop?: readonly string[];
  /** Responses to each prompt. Default: 1. */
  readonly samples?: number;
  readonly seed: number;
  readonly stream: RandomStream;
  /** Which visit to these prompts it is: another one draws other numbers. Default: 0. */
  readonly visit?: number;
  readonly maxSequences?: number;
  /** Called for every new token. */
  readonly onToken?: (prompt: number, sample: number, id: number) => void;
}

/**
 * All responses, in the order in which they finish, from a model in this process or another sampler. UserError `row_too_long` for a prompt that leaves no room in the context,
 * `cannot_serve` for one that needs more cache than there is. Whoever stops taking them ends generation with the next token.
 */
export async function* rollOut(
  from: Model | Sampler,
  prompts: readonly RolloutPrompt[],
  options: RolloutOptions,
): AsyncGenerator<Rollout, void, undefined> {
  const { tokenizer, settings, stop = [], samples = 1, seed, stream, visit = 0, weights, journal } = options;
  const sampler = "generate" in from ? from : sampleHere(from);
  const { maxPositionEmbeddings: context, vocabSize } = sampler.config;
  checkRoom(prompts, context);
  const requests = prompts.map(({ ids, row }, place) => {
    // One that nearly fills the context gets fewer tokens, never positions that the model does not know.
    const own = { ...settings, maxNewTokens: Math.min(context - ids.length, settings.maxNewTokens) };
    return { promptIds: ids, samples, row: row ?? place, visit, settings: own };
  });
  const keyOf = (place: number, sample: number): string => {
    const { promptIds, row, settings: own } = requests[place]!;
    const decides = [weights, seed, stream, [...promptIds], own, stop, row, visit, sample];
    return createHash("sha256").update(JSON.stringify(decides)).digest("hex");
  };

  const ready: Rollout[] = [];
  const open = requests.flatMap((request, place) => {
    const missing: number[] = [];
    for (let sample = 0; sample < samples; sample++) {
      const entry = journal?.get(keyOf(place, sample));
      if (entry === undefined) missing.push(sample);
      else ready.push(fromEntry(entry, place, sample, weights));
    }
    if (missing.length === 0) return [];
    return [{ place, request: { ...request, samples: missing.length, sampleNumbers: missing } }];
  });

  let wake = (): void => undefined;
  let isRunning = true;
  const abandon = new AbortController();
  let failure: unknown;
  const finished = (sequence: GeneratedSequence): void => {
    const { request, sample, ids, logProbs, finish } = sequence;
    const { place } = open[request]!;
    const text = answerText(tokenizer, ids, { stop, stopIds: settings.stopIds });
    ready.push({ prompt: place, sample, ids, logProbs, text, finish, weights });
    wake();
  };
  const work = sampler
    .generate(
      open.map(({ request }) => request),
      {
        seed,
        stream,
        drawable: Math.min(tokenizer.size, vocabSize),
        isEnd: stopWatch(tokenizer, stop),
        onFinished: finished,
        onToken: (request, sample, id) => options.onToken?.(open[request]!.place, sample, id),
        signal: abandon.signal,
        ...(options.maxSequences !== undefined && { maxSequences: options.maxSequences }),
      },
    )
    .catch((error: unknown) => {
      if (!abandon.signal.aborted) failure = error;
    })
    .finally(() => {
      isRunning = false;
      wake();
    });
  try {
    for (;;) {
      for (let rollout = ready.shift(); rollout !== undefined; rollout = ready.shift()) {
        await journal?.record(keyOf(rollout.prompt, rollout.sample), toEntry(rollout));
        yield rollout;
      }
      if (!isRunning) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (failure !== undefined) throw failure;
  } finally {
    abandon.abort();
    await work;
  }
}

/** UserError `row_too_long` for a prompt after which nothing can follow: to be asked before a model is loaded. */
export function checkRoom(
  prompts: readonly Pick<RolloutPrompt, "ids" | "line">[],
  context: number,
  remedy = "Shorten it.",
): void {
  const full = prompts.find(({ ids }) => ids.length >= context);
  if (full === undefined) return;
  throw new UserError(
    "row_too_long",
    `The prompt on line ${full.line} has ${full.ids.length} tokens and fills the model's context of ${context}: nothing can follow. ${remedy}`,
  );
}

interface Entry {
  readonly ids: readonly number[];
  readonly logprobs: readonly number[];
  readonly text: string;
  readonly finish: "stop" | "length";
}

/** A double holds a float32 exactly. */
function toEntry({ ids, logProbs, text, finish }: Rollout): Entry {
  return { ids: [...ids], logprobs: [...logProbs], text, finish };
}

function fromEntry(entry: unknown, prompt: number, sample: number, weights: string | undefined): Rollout {
  const { ids, logprobs, text, finish } = entry as Entry;
  return {
    ...{ prompt, sample, text, finish, weights },
    ids: Int32Array.from(ids),
    logProbs: Float32Array.from(logprobs),
  };
}
