// Where responses come from: a checkpoint or files, and a server (served.ts). Each gives those to some queries as they come, so that grading goes on beside.
import { saidAfter } from "@posttrain/data";
import {
  type ComputeDtype,
  type Model,
  openModelFolder,
  policySampling,
  type SamplingSettings,
} from "@posttrain/model";
import {
  allOf,
  checkRoom,
  promptStarts,
  rollOut,
  type Sampler,
  stopIdsOf,
  textSide,
} from "@posttrain/rollout";
import type { Journal } from "@posttrain/run";
import type { Query } from "./queries.js";
import type { Response } from "./responses.js";

/** A response, or why there is none. */
export type Arrival = { readonly query: Query } & (
  | { readonly response: Response }
  | { readonly failed: string }
);

export interface Source {
  readonly name: string;
  /** Responses that each query will get. */
  readonly perQuery: (query: Query) => number;
  respond(queries: readonly Query[]): AsyncIterable<Arrival>;
}

/** How policies are sampled: nothing is taken from a model's generation_config but its stop ids. */
export interface SamplingChoices {
  readonly num_samples: number;
  readonly temperature: number;
  readonly top_p: number;
  readonly top_k: number;
  readonly max_new_tokens: number;
  readonly stop: readonly string[];
  readonly stop_ids: readonly number[];
  readonly seed: number;
}

export interface CheckpointOptions {
  readonly dir: string;
  /** Digest of the model there. */
  readonly digest: string;
  readonly dtype: ComputeDtype;
  readonly templateDate?: string | undefined;
  /** Where the queries stand, for errors. */
  readonly path: string;
  readonly sampling: SamplingChoices;
  readonly journal: Journal;
  /** Opens the model for as long as `body` needs it, or what samples from it elsewhere. */
  readonly withModel: <T>(dir: string, body: (from: Model | Sampler) => Promise<T>) => Promise<T>;
  readonly onToken?: (() => void) | undefined;
}

/** Renders all prompts, before a model is loaded. UserError naming file and line for a prompt that leaves no room. */
export async function checkpointSource(
  queries: readonly Query[],
  options: CheckpointOptions,
): Promise<Source> {
  const { dir, dtype, path, sampling, journal, onToken } = options;
  const { config, generationConfig } = await openModelFolder(dir);
  const text = textSide(dir, config, { template_date: options.templateDate });
  const tokenizer = await text.tokenizer();
  const prompts = new Map<Query, { readonly ids: Int32Array; readonly line: number; readonly row: number }>();
  const starts = await promptStarts(
    queries.map((query) => ({ ...query, place: { path, line: query.line } })),
    text,
  );
  for (const [i, query] of queries.entries()) {
    const { line, number: row } = query;
    const ids = allOf(starts[i]!, { path, line }, text);
    prompts.set(query, { ids: Int32Array.from(ids), line, row });
  }
  checkRoom([...prompts.values()], config.maxPositionEmbeddings);
  const weights = dtype === "f32" ? options.digest : `${options.digest}-${dtype}`;
  const { num_samples: samples, temperature, top_p, top_k, max_new_tokens, stop, seed } = sampling;
  const settings: SamplingSettings = {
    ...policySampling,
    ...{ temperature, topP: top_p, topK: top_k, maxNewTokens: max_new_tokens },
    stopIds: stopIdsOf({ stop_ids: [...sampling.stop_ids] }, generationConfig, config),
  };
  const origin = { model: dir, weights, temperature, top_p, top_k, max_new_tokens, seed };
  async function* respond(asked: readonly Query[], from: Model | Sampler): AsyncGenerator<Arrival> {
    const own = asked.map((query) => prompts.get(query)!);
    const begun = own.map(({ ids }) => tokenizer.decode([...ids.slice(-TAIL)], { skipSpecialTokens: false }));
    for await (const rollout of rollOut(from, own, {
      ...{ tokenizer, settings, stop, samples, seed, weights },
      stream: "pairs",
      journal: withoutTokens(journal),
      ...(onToken && { onToken }),
    })) {
      const { sample, finish } = rollout;
      const query = asked[rollout.prompt]!;
      const said = saidAfter(begun[rollout.prompt]!, rollout.text);
      const response = {
        id: `${weights}.${sample}`,
        text: said,
        finish,
        origin: { ...origin, sample, finish_reason: finish },
        parents: [],
      };
      yield { query, response };
    }
  }
  return {
    name: dir,
    perQuery: () => samples,
    respond: (asked) =>
      given((give) =>
        options.withModel(dir, async (from) => {
          for await (const arrival of respond(asked, from)) give(arrival);
        }),
      ),
  };
}

/** Tokens that hold the last tag of a prompt. */
const TAIL = 8;

/** Pairs need text alone: what else a journal would keep of millions of responses is left out of it. */
function withoutTokens(journal: Journal): Journal {
  return {
    get size() {
      return journal.size;
    },
    get: (key) => {
      const kept = journal.get(`rollout:${key}`);
      return kept === undefined ? undefined : { ...(kept as object), ids: [], logprobs: [] };
    },
    record: async (key, value) => {
      const { text, finish } = value as { readonly text: string; readonly finish: string };
      await journal.record(`rollout:${key}`, { text, finish });
      return value;
    },
    close: async () => undefined,
  };
}

/** What `work` gives, as it comes. Who stops taking ends it: its next `give` throws. */
async function* given<T>(
  work: (give: (item: T) => void) => Promise<void>,
): AsyncGenerator<T, void, undefined> {
  const ready: T[] = [];
  let wake = (): void => undefined;
  let state: "running" | "done" | "left" = "running";
  let failure: { readonly error: unknown } | undefined;
  const working = work((item) => {
    if (state === "left") throw new Left();
    ready.push(item);
    wake();
  })
    .catch((error: unknown) => {
      if (!(error instanceof Left)) failure = { error };
    })
    .finally(() => {
      if (state === "running") state = "done";
      wake();
    });
  try {
    for (;;) {
      for (let item = ready.shift(); item !== undefined; item = ready.shift()) yield item;
      if (state !== "running") break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (failure !== undefined) throw failure.error;
  } finally {
    state = "left";
    await working;
  }
}

class Left extends Error {}

/** Responses that are there already. */
export function givenSource(responses: ReadonlyMap<number, readonly Response[]>): Source {
  const own = (query: Query): readonly Response[] => responses.get(query.number) ?? [];
  async function* respond(asked: readonly Query[]): AsyncGenerator<Arrival> {
    for (const query of asked) for (const response of own(query)) yield { query, response };
  }
  return { name: "files", perQuery: (query) => own(query).length, respond };
}
