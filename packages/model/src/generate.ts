// Generation with continuous batching over the paged cache: sequences enter when there is room and leave when they stop; each step is
// one packed forward pass over the last token of every running sequence and the whole prompts of new ones. The samples of a prompt
// share its prefill and its full pages.
//
// What a sequence gets depends on (weights, prompt, settings, seed, row, visit, sample) alone: the ops keep rows apart, and the
// random number of a draw is a function of (seed, stream; row, visit, sample, position). Log-probabilities are those of the tempered
// distribution before penalty and filters (greedy: of temperature 1), equal bit for bit to a training forward of the same tokens.
import { byteText, type RandomStream, UserError, uniform } from "@posttrain/data";
import {
  gatherIds,
  gatherRows,
  keysPerPage,
  type Scope,
  sample,
  type Tensor,
  type TensorData,
} from "@posttrain/kernels";
import { type CacheStep, forward, type PackedBatch } from "./forward.js";
import {
  cacheBytes,
  copyPages,
  createKvCache,
  type KvCache,
  pagesFor,
  releasePages,
  sharePage,
  slotOf,
  takePage,
} from "./kv-cache.js";
import { head, type Model } from "./model.js";

export interface SamplingSettings {
  /** 0: greedy. */
  readonly temperature: number;
  /** 0: off. */
  readonly topK: number;
  /** 1: off. */
  readonly topP: number;
  /** 0: off. */
  readonly minP: number;
  /** 1: off. */
  readonly repetitionPenalty: number;
  readonly maxNewTokens: number;
  /** A sequence ends with any of these; it is kept as the last token. */
  readonly stopIds: readonly number[];
}

/** Plain sampling from the policy: what rollouts and scoring assume. */
export const policySampling: Omit<SamplingSettings, "maxNewTokens" | "stopIds"> = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
};

export interface GenerationRequest {
  readonly promptIds: Int32Array;
  /** How many responses. */
  readonly samples: number;
  /** Their numbers, where some of a prompt's responses are there already. Default: 0, 1, ... */
  readonly sampleNumbers?: readonly number[];
  /** Number of the row and of its visit (epoch): part of every draw's counter. */
  readonly row: number;
  readonly visit: number;
  readonly settings: SamplingSettings;
}

export interface GeneratedSequence {
  readonly request: number;
  readonly sample: number;
  /** New tokens, the stop token included. */
  readonly ids: Int32Array;
  readonly logProbs: Float32Array;
  readonly finish: "stop" | "length";
}

export interface GenerationOptions {
  readonly seed: number;
  readonly stream: RandomStream;
  /** Token ids below this can be drawn: the tokenizer's size, which may be less than the embedding's rows. */
  readonly drawable: number;
  /** Sequences that run at once. */
  readonly maxSequences?: number;
  /** Most bytes of the cache; requests wait for room in it. */
  readonly cacheBytes?: number;
  /** Prompt tokens that one step takes in. */
  readonly prefillTokens?: number;
  /** Called for every new token. */
  readonly onToken?: (request: number, sample: number, id: number) => void;
  /** Called for every sequence as it ends, while others run on. */
  readonly onFinished?: (sequence: GeneratedSequence) => void;
  /** Called after onToken: whether the sequence ends with this token, as with a stop id. For what only its text shows. */
  readonly isEnd?: ((request: number, sample: number, id: number) => boolean) | undefined;
}

interface Running {
  readonly request: number;
  readonly sample: number;
  readonly settings: SamplingSettings;
  readonly row: number;
  readonly visit: number;
  readonly promptIds: Int32Array;
  /** Tokens that have arrived. */
  readonly ids: number[];
  readonly logProbs: number[];
  readonly pages: number[];
  readonly seen: Set<number>;
  /** Tokens drawn: one more than have arrived while a step is on its way. */
  drawn: number;
  /** Which draw of the last step was this sequence's. */
  draw: number;
  finish: "stop" | "length" | undefined;
}

/** A step that was enqueued: its tokens are on the device already for whoever comes next, and arrive here later. */
interface Step {
  readonly scope: Scope;
  readonly tokens: Tensor;
  readonly draws: readonly Running[];
  readonly results: Promise<readonly [TensorData, TensorData]>;
  arrived: boolean;
}

const defaults = { maxSequences: 128, cacheBytes: 2 ** 31, prefillTokens: 4096 };

/**
 * Generates for all requests; results in the order (request, sample). UserError `cannot_serve` for a request that needs more cache than
 * there is, or a temperature without an inverse; RangeError for one that means nothing.
 *
 * The next step is enqueued before the last one's tokens have arrived: it takes them from the device, so nothing waits for this side.
 * What stopped is known a step late; its one superfluous token is dropped. A repetition penalty needs the tokens here: then it waits.
 */
export async function generate(
  model: Model,
  requests: readonly GenerationRequest[],
  options: GenerationOptions,
): Promise<readonly GeneratedSequence[]> {
  for (const [i, request] of requests.entries()) checkRequest(model, request, i);
  const needs = requests.map(pagesOf);
  return model.device.run(async (scope) => {
    const cache = createKvCache(scope, model, pagesToHold(model, requests, needs, options));
    const finished: GeneratedSequence[] = [];
    let running: Running[] = [];
    let before: Step | undefined;
    try {
      for (let next = 0; next < requests.length || running.length > 0; ) {
        if (before !== undefined && running.some(({ settings }) => settings.repetitionPenalty !== 1)) {
          finished.push(...(await arrive(before, cache, options)));
          running = running.filter(({ finish }) => finish === undefined);
        }
        const entering = admit(cache, requests, needs, next, running.length, options);
        next += entering.length;
        const now =
          running.length + entering.length > 0
            ? enqueueStep(scope, model, cache, running, entering, before?.tokens, options)
            : undefined;
        if (before !== undefined) {
          finished.push(...(await arrive(before, cache, options)));
          before.scope.end();
        }
        before = now;
        running = (now?.draws ?? []).filter(
          ({ finish, drawn, settings }) => finish === undefined && drawn < settings.maxNewTokens,
        );
      }
      if (before !== undefined) finished.push(...(await arrive(before, cache, options)));
    } finally {
      before?.scope.end();
    }
    return finished.sort((a, b) => a.request - b.request || a.sample - b.sample);
  });
}

/** The requests from `next` on that enter now, in their order: as many as sequences, prompt tokens and pages allow, one at least if nothing runs. */
function admit(
  cache: KvCache,
  requests: readonly GenerationRequest[],
  needs: readonly number[],
  next: number,
  running: number,
  options: GenerationOptions,
): Running[][] {
  const maxSequences = options.maxSequences ?? defaults.maxSequences;
  const prefillTokens = options.prefillTokens ?? defaults.prefillTokens;
  const entering: Running[][] = [];
  let sequences = running;
  let prompt = 0;
  for (let i = next; i < requests.length; i++) {
    const request = requests[i] as GenerationRequest;
    prompt += request.promptIds.length;
    const full = sequences > 0 && sequences + request.samples > maxSequences;
    const long = entering.length > 0 && prompt > prefillTokens;
    if (full || long || (needs[i] as number) > cache.free.length) break;
    sequences += request.samples;
    entering.push(enter(cache, request, i));
  }
  return entering;
}

/** Takes in what a step drew, once; returns the sequences that ended with it and gives their pages back. */
async function arrive(
  step: Step,
  cache: KvCache,
  { onToken, isEnd, onFinished }: GenerationOptions,
): Promise<readonly GeneratedSequence[]> {
  if (step.arrived) return [];
  const [tokens, logProbs] = await step.results;
  step.arrived = true;
  const finished: GeneratedSequence[] = [];
  for (const [i, sequence] of step.draws.entries()) {
    const { ids, settings, request, sample: sampleIndex } = sequence;
    if (sequence.finish !== undefined) continue;
    const id = tokens[i] as number;
    ids.push(id);
    sequence.logProbs.push(finite(logProbs[i] as number, sequence));
    if (settings.repetitionPenalty !== 1) sequence.seen.add(id);
    onToken?.(request, sampleIndex, id);
    if (settings.stopIds.includes(id) || isEnd?.(request, sampleIndex, id)) sequence.finish = "stop";
    else if (ids.length >= settings.maxNewTokens) sequence.finish = "length";
    if (sequence.finish === undefined) continue;
    releasePages(cache, sequence.pages);
    const ended = {
      request,
      sample: sampleIndex,
      ids: Int32Array.from(ids),
      logProbs: Float32Array.from(sequence.logProbs),
      finish: sequence.finish,
    };
    finished.push(ended);
    onFinished?.(ended);
  }
  return finished;
}

/** A token is drawn of a distribution: where a log-probability is no number there was none. */
function finite(logProb: number, { ids, settings }: Pick<Running, "ids" | "settings">): number {
  if (Number.isFinite(logProb)) return logProb;
  throw new UserError(
    "no_number",
    `The log-probability of generated token ${ids.length} is ${logProb} at temperature ${settings.temperature}: what the model computes leaves the range of ` +
      "float32. Its weights are broken or far too large (posttrain score shows every token's numbers), or the temperature is far too small (0 is greedy).",
  );
}

function checkRequest(
  model: Model,
  { promptIds, samples, settings }: GenerationRequest,
  index: number,
): void {
  const refuse = (what: string): never => {
    throw new RangeError(`generate: request ${index}: ${what}`);
  };
  if (promptIds.length === 0) refuse("the prompt has no tokens");
  const outside = promptIds.find((id) => id < 0 || id >= model.config.vocabSize);
  if (outside !== undefined)
    refuse(`token id ${outside} is outside the vocabulary of ${model.config.vocabSize}`);
  if (!(samples >= 1)) refuse(`samples is ${samples}, expected at least 1`);
  if (!(settings.maxNewTokens >= 1)) refuse(`maxNewTokens is ${settings.maxNewTokens}, expected at least 1`);
  const { temperature } = settings;
  if (!(temperature === 0 || (temperature > 0 && Number.isFinite(Math.fround(1 / temperature))))) {
    throw new UserError(
      "cannot_serve",
      `temperature is ${temperature}, expected 0 (greedy) or more than 3e-39, whose inverse is a float32.`,
    );
  }
  if (!(settings.repetitionPenalty > 0)) {
    refuse(`repetitionPenalty is ${settings.repetitionPenalty}, expected more than 0`);
  }
}

/** Pages that a request takes: those its prompt fills once, the others for each sample. */
function pagesOf({ promptIds, samples, settings }: GenerationRequest): number {
  const shared = Math.floor(promptIds.length / keysPerPage);
  return shared + samples * (pagesFor(promptIds.length + settings.maxNewTokens) - shared);
}

/** As many pages as all requests can use at once, within the budget. */
function pagesToHold(
  model: Pick<Model, "config" | "dtype">,
  requests: readonly GenerationRequest[],
  needs: readonly number[],
  options: Pick<GenerationOptions, "cacheBytes">,
): number {
  const bytes = options.cacheBytes ?? defaults.cacheBytes;
  const budget = Math.floor(bytes / cacheBytes(model, 1));
  const largest = needs.reduce((a, b) => Math.max(a, b), 0);
  if (largest > budget) {
    const { promptIds, samples, settings } = requests[needs.indexOf(largest)] as GenerationRequest;
    throw new UserError(
      "cannot_serve",
      `A prompt of ${promptIds.length} tokens with ${samples} samples of up to ${settings.maxNewTokens} new tokens needs ${byteText(cacheBytes(model, largest))} of cache, and there are ` +
        `${byteText(bytes)} for it: ask for fewer samples, or lower max_new_tokens.`,
    );
  }
  return Math.min(
    budget,
    needs.reduce((a, b) => a + b, 0),
  );
}

/** Bytes of the cache that generate() holds for these requests. UserError `cannot_serve` as it has it. */
export function kvCacheBytes(
  model: Pick<Model, "config" | "dtype">,
  requests: readonly GenerationRequest[],
  options: Pick<GenerationOptions, "cacheBytes"> = {},
): number {
  return cacheBytes(model, pagesToHold(model, requests, requests.map(pagesOf), options));
}

/** The sequences of a request with all the pages they will need; the prompt's full pages are shared. */
function enter(cache: KvCache, request: GenerationRequest, index: number): Running[] {
  const { promptIds, settings, row, visit, sampleNumbers } = request;
  const shared = Array.from({ length: Math.floor(promptIds.length / keysPerPage) }, () => takePage(cache));
  const own = pagesFor(promptIds.length + settings.maxNewTokens) - shared.length;
  return Array.from({ length: request.samples }, (_, place) => ({
    request: index,
    sample: sampleNumbers?.[place] ?? place,
    settings,
    row,
    visit,
    promptIds,
    ids: [],
    logProbs: [],
    pages: [
      ...shared.map((page) => (place === 0 ? page : sharePage(cache, page))),
      ...Array.from({ length: own }, () => takePage(cache)),
    ],
    seen: new Set(settings.repetitionPenalty === 1 ? [] : promptIds),
    drawn: 0,
    draw: 0,
    finish: undefined,
  }));
}

/**
 * Enqueues one packed forward pass and a draw for every sequence. Its rows: the last token of each running sequence, from `drawn`, the
 * tokens of the step before; then the prompts of entering groups.
 */
function enqueueStep(
  scope: Scope,
  model: Model,
  cache: KvCache,
  running: readonly Running[],
  entering: readonly (readonly Running[])[],
  drawn: Tensor | undefined,
  options: GenerationOptions,
): Step {
  const inputs = [
    ...running.map((sequence) => ({ sequence, from: lengthOf(sequence) - 1, members: [sequence] })),
    ...entering.map((members) => ({ sequence: members[0] as Running, from: 0, members })),
  ];
  const draws = inputs.flatMap(({ members }, input) => members.map((sequence) => ({ sequence, input })));
  const inner = model.device.scope();
  try {
    const rows = rowsOf(inputs);
    const ids = idsOf(inner, running, entering, drawn);
    const hidden = forward(inner, model, { ...rows, ids }, { cache: cacheStep(inner, cache, rows, inputs) });
    const last = Int32Array.from(draws, ({ input }) => (rows.starts[input + 1] as number) - 1);
    const { tokens, logProb } = sample(
      inner,
      gatherRows(inner, hidden, inner.from(last)),
      head(model),
      draws.map(({ sequence }) => ({
        ...sequence.settings,
        seen: [...sequence.seen],
        uniform: uniform(options.seed, options.stream, [
          sequence.row,
          sequence.visit,
          sequence.sample,
          lengthOf(sequence),
        ]),
      })),
      options.drawable,
    );
    shareLastPage(scope, cache, entering);
    const results = Promise.all([tokens.read(), logProb.read()]);
    results.catch(() => undefined); // whoever waits for them hears of it; perhaps nobody does, after an earlier error
    for (const [i, { sequence }] of draws.entries()) {
      sequence.drawn++;
      sequence.draw = i;
    }
    return { scope: inner, tokens, draws: draws.map(({ sequence }) => sequence), results, arrived: false };
  } catch (error) {
    inner.end();
    throw error;
  }
}

interface StepInput {
  readonly sequence: Running;
  /** Position of the first token of this step. */
  readonly from: number;
}

/** Where the rows of a step stand. */
function rowsOf(inputs: readonly StepInput[]): Omit<PackedBatch, "ids"> {
  const starts = new Int32Array(inputs.length + 1);
  for (const [s, { sequence, from }] of inputs.entries()) {
    starts[s + 1] = (starts[s] as number) + lengthOf(sequence) - from;
  }
  const positions = new Int32Array(starts[inputs.length] as number);
  for (const [s, { from }] of inputs.entries()) {
    const start = starts[s] as number;
    const end = starts[s + 1] as number;
    for (let row = start; row < end; row++) positions[row] = from + row - start;
  }
  return { positions, starts };
}

/** The tokens of a step's rows, on the device. */
function idsOf(
  scope: Scope,
  running: readonly Running[],
  entering: readonly (readonly Running[])[],
  drawn: Tensor | undefined,
): Tensor {
  const prompts = entering.flatMap((members) => [...(members[0] as Running).promptIds]);
  const ids = scope.empty([running.length + prompts.length], "i32");
  if (running.length > 0 && drawn !== undefined) {
    const places = scope.from(Int32Array.from(running, ({ draw }) => draw));
    gatherIds(scope.view(ids, 0, [running.length]), drawn, places);
  }
  if (prompts.length > 0) {
    scope.view(ids, running.length, [prompts.length]).write(Int32Array.from(prompts));
  }
  return ids;
}

function cacheStep(
  scope: Scope,
  cache: KvCache,
  rows: Omit<PackedBatch, "ids">,
  inputs: readonly StepInput[],
): CacheStep {
  const lengths = Int32Array.from(inputs, ({ sequence }) => lengthOf(sequence));
  const columns = pagesFor(lengths.reduce((a, b) => Math.max(a, b), 0));
  const pages = new Int32Array(inputs.length * columns).fill(-1);
  const slots = new Int32Array(rows.positions.length);
  for (const [s, { sequence }] of inputs.entries()) {
    for (let i = 0; i < pagesFor(lengths[s] as number); i++)
      pages[s * columns + i] = sequence.pages[i] as number;
    for (let row = rows.starts[s] as number; row < (rows.starts[s + 1] as number); row++) {
      slots[row] = slotOf(sequence.pages, rows.positions[row] as number);
    }
  }
  return {
    layers: cache.layers,
    slots: scope.from(slots),
    lengths: scope.from(lengths),
    pages: scope.from(pages, [inputs.length, columns]),
  };
}

/** After a prefill: the page that the prompt fills in part is copied from the first sample to the others. */
function shareLastPage(scope: Scope, cache: KvCache, entering: readonly (readonly Running[])[]): void {
  const sources: number[] = [];
  const targets: number[] = [];
  for (const [first, ...others] of entering) {
    if (first === undefined || first.promptIds.length % keysPerPage === 0) continue;
    const index = Math.floor(first.promptIds.length / keysPerPage);
    for (const other of others) {
      sources.push(first.pages[index] as number);
      targets.push(other.pages[index] as number);
    }
  }
  copyPages(scope, cache, sources, targets);
}

/** Tokens of a sequence, those on their way included. */
function lengthOf({ promptIds, drawn }: Running): number {
  return promptIds.length + drawn;
}
