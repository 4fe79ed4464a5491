// Responses to compare: of several checkpoints and a server at several temperatures, or from files.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { rowError } from "@posttrain/data";
import { policySampling, resolveStopIds } from "@posttrain/model";
import {
  openServer,
  promptStarts,
  rollOut,
  rollOutServed,
  servedMessages,
  servedSampling,
  textSide,
} from "@posttrain/rollout";
import type { Journal } from "@posttrain/run";
import type { Query, Response } from "./candidates.js";
import type { RewardDataConfig } from "./config.js";
import type { RewardDataRun } from "./make.js";
import { readQueries, readResponses } from "./read.js";

export interface Group {
  readonly query: Query;
  readonly responses: readonly Response[];
}

export interface Responses {
  readonly groups: readonly Group[];
  readonly repeated: number;
  /** Requests to the server without a reply, and why: each reason once. */
  readonly unanswered: number;
  readonly reasons: readonly string[];
}

/** What one source says to a query, under its place there; `failed`: why there is no response. */
type Arrival = { readonly place: number; readonly sample: number } & (
  | { readonly response: Response }
  | { readonly failed: string }
);

/** What the checkpoints and the server say, or the files. `replies` keeps those of the server. */
export async function respond(
  config: RewardDataConfig,
  models: ReadonlyMap<string, string>,
  run: RewardDataRun,
  journal: Journal,
  replies: string,
): Promise<Responses> {
  const { responses: files, data, temperatures, num_samples: samples } = config;
  const none = { repeated: 0, unanswered: 0, reasons: [] };
  if (files !== undefined) {
    const groups = await readResponses(files, run.onReading);
    run.onStart?.();
    return { ...none, groups };
  }
  if (data === undefined) return { ...none, groups: [] };
  const { queries, repeated } = await readQueries(data, run.onReading);
  const groups = queries.map((query) => ({ query, responses: [] as Response[] }));
  const sources = models.size + (config.base_url === undefined ? 0 : 1);
  const total = queries.length * sources * temperatures.length * samples;
  const reasons = new Set<string>();
  let [done, unanswered] = [0, 0];
  const take = async (arrivals: AsyncIterable<Arrival>): Promise<void> => {
    const found: Exclude<Arrival, { failed: string }>[] = [];
    for await (const arrival of arrivals) {
      run.signal?.throwIfAborted();
      run.onProgress?.({ doing: "sampling", done: ++done, total });
      if ("response" in arrival) found.push(arrival);
      else {
        unanswered++;
        reasons.add(arrival.failed);
      }
    }
    found.sort((a, b) => a.place - b.place || a.sample - b.sample);
    for (const { place, response } of found) groups[place]?.responses.push(response);
  };
  const prompts = config.base_url === undefined ? [] : servedPrompts(queries);
  run.onStart?.();
  for (const [weights, dir] of models)
    await askCheckpoint(queries, { weights, dir, config, run, journal, take });
  if (config.base_url !== undefined) await askServer(prompts, config, replies, take);
  return { groups, repeated, unanswered, reasons: [...reasons] };
}

type Take = (arrivals: AsyncIterable<Arrival>) => Promise<void>;

/** One temperature after the other: each is a visit of its own, with its own draws. */
async function askCheckpoint(
  queries: readonly Query[],
  {
    weights,
    dir,
    config,
    run,
    journal,
    take,
  }: {
    readonly weights: string;
    readonly dir: string;
    readonly config: RewardDataConfig;
    readonly run: RewardDataRun;
    readonly journal: Journal;
    readonly take: Take;
  },
): Promise<void> {
  const { num_samples: samples, max_new_tokens: maxNewTokens, seed } = config;
  const stage = await stageOf(dir);
  await run.withModel(dir, async (model) => {
    const text = textSide(dir, model.config);
    const tokenizer = await text.tokenizer();
    const starts = await promptStarts(queries, text);
    const prompts = queries.map(({ place, number: row }, i) => {
      const { ids, whole } = starts[i]!;
      if (!whole)
        throw rowError(
          "row_too_long",
          place,
          `the prompt fills the context of ${dir}, ${model.config.maxPositionEmbeddings} tokens. Shorten it, or leave it out.`,
        );
      return { ids: Int32Array.from(ids), line: place.line, row };
    });
    const stopIds = resolveStopIds(model.generationConfig, model.config);
    async function* at(visit: number, temperature: number): AsyncGenerator<Arrival> {
      for await (const { prompt: place, sample, text: said, finish } of rollOut(model, prompts, {
        ...{ tokenizer, samples, seed, visit, weights, journal, stream: "pairs" },
        settings: { ...policySampling, temperature, maxNewTokens, stopIds },
        ...(run.onToken && { onToken: run.onToken }),
      })) {
        const how = { temperature, seed, sample, finish_reason: finish };
        const origin = { checkpoint: dir, ...stage, weights, ...how };
        yield { place, sample, response: { text: said, finish, origin } };
      }
    }
    for (const [visit, temperature] of config.temperatures.entries()) await take(at(visit, temperature));
  });
}

/** What a server is sent. UserError for queries that the protocol cannot carry. */
const servedPrompts = (queries: readonly Query[]) =>
  queries.map((query) => ({ messages: servedMessages(query, query.place), row: query.number }));

async function askServer(
  prompts: ReturnType<typeof servedPrompts>,
  config: RewardDataConfig,
  replies: string,
  take: Take,
): Promise<void> {
  const { base_url: server, model, num_samples: samples, max_new_tokens, seed } = config;
  const teacher = await openServer({ ...config, reply_cache: config.reply_cache ?? replies });
  async function* at(visit: number, temperature: number): AsyncGenerator<Arrival> {
    const settings = servedSampling({ temperature, max_new_tokens });
    for await (const reply of rollOutServed(teacher, prompts, {
      ...{ ...settings, samples, seed, visit, stream: "pairs" },
    })) {
      const { prompt: place, sample } = reply;
      if (reply.outcome === "failed") {
        yield { place, sample, failed: reply.reason };
        continue;
      }
      const { text, reasoning, finish } = reply;
      const origin = { server, model, temperature, seed, sample, finish_reason: finish };
      const response = { text, reasoning, finish: finish === "length" ? "length" : "stop", origin } as const;
      yield { place, sample, response };
    }
  }
  try {
    for (const [visit, temperature] of config.temperatures.entries()) await take(at(visit, temperature));
  } finally {
    await teacher.close();
  }
}

/** Which stage wrote a checkpoint, where it says so. */
async function stageOf(dir: string): Promise<{ readonly stage?: string }> {
  const text = await readFile(join(dir, "trainer_state.json"), "utf8").catch(() => "{}");
  try {
    const { stage } = JSON.parse(text) as { readonly stage?: unknown };
    return typeof stage === "string" ? { stage } : {};
  } catch {
    return {}; // another program's file
  }
}
