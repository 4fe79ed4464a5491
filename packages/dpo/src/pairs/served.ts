// Responses of a model behind a server, as a source of pairs.
import { rollOutServed, servedMessages, servedSampling, type Teacher } from "@posttrain/rollout";
import type { Query } from "./queries.js";
import type { Arrival, SamplingChoices, Source } from "./sources.js";

export interface ServedSourceOptions {
  readonly teacher: Teacher;
  readonly baseUrl: string;
  readonly model: string;
  /** Where the queries stand, for errors. */
  readonly path: string;
  readonly sampling: SamplingChoices;
}

/** UserError for queries that the protocol cannot carry, and for token ids, which are a tokenizer's. */
export function servedSource(queries: readonly Query[], options: ServedSourceOptions): Source {
  const { teacher, baseUrl, model, path, sampling } = options;
  const { num_samples: samples, temperature, top_p, top_k, max_new_tokens, seed } = sampling;
  const prompts = new Map(
    queries.map((query) => [query, servedMessages(query, { path, line: query.line })] as const),
  );
  // What is off is not said: servers that know no top_k refuse it.
  const settings = servedSampling({
    ...sampling,
    top_p: top_p < 1 ? top_p : undefined,
    top_k: top_k > 0 ? top_k : undefined,
  });
  const origin = { server: baseUrl, model, temperature, top_p, top_k, max_new_tokens, seed };
  async function* respond(asked: readonly Query[]): AsyncGenerator<Arrival> {
    const own = asked.map((query) => ({ messages: prompts.get(query)!, row: query.number }));
    for await (const reply of rollOutServed(teacher, own, { ...settings, samples, seed, stream: "pairs" })) {
      const query = asked[reply.prompt]!;
      if (reply.outcome === "failed") {
        yield { query, failed: reply.reason };
        continue;
      }
      const { sample, text, reasoning, finish } = reply;
      const response = {
        ...{ id: `${baseUrl} ${model}.${sample}`, text, reasoning, parents: [] },
        finish: finish === "length" ? "length" : "stop",
        origin: { ...origin, sample, finish_reason: finish },
      } as const;
      yield { query, response };
    }
  }
  return { name: `${model} at ${baseUrl}`, perQuery: () => samples, respond };
}
