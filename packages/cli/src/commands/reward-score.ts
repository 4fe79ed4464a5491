// posttrain reward score: rows in, a reward model's scores beside them out.
import {
  isJsonObject,
  loadChatTemplate,
  loadResponseRows,
  loadTokenizer,
  readRows,
  type TokenizedResponses,
  UserError,
} from "@posttrain/data";
import { openRedisJobs } from "@posttrain/jobs";
import { modelOptions } from "@posttrain/model";
import { pairsOf, type Score } from "@posttrain/reward-model";
import { inOrder } from "@posttrain/run";
import { rowOptions } from "@posttrain/train";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { count, duration, float32, plural } from "../format.js";
import { createOutput } from "../output.js";
import { watchReading } from "../reading.js";
import { gradedOn } from "../redis-option.js";
import { openResultFile } from "../result-file.js";
import { secondsSince, timeLeft, tokensPerSecond } from "../speed.js";
import { type OpenScorer, withScorer } from "../with-scorer.js";

const { template_date, special_tokens_in_content } = rowOptions;
/** Rows that go to the model together. */
const rowsAtOnce = 32;
/** How many times as many are with workers at once. */
const batchesOnWorkers = 32;

export const command = defineCommand({
  options: z.strictObject({
    model_name_or_path: modelOptions.model_name_or_path.describe("reward model: a folder, or an ONNX file"),
    dtype: modelOptions.dtype,
    data: z
      .string()
      .describe(
        "rows, JSONL, JSON, CSV or Parquet: pairs, prompts with responses, conversations, text, tokens",
      ),
    output: z
      .string()
      .optional()
      .describe("new file for the rows with their scores; default: standard output"),
    special_tokens_in_content,
    template_date,
    ...gradedOn,
  }),
  examples: [
    [
      "npx posttrain reward score --model_name_or_path runs/reward/checkpoint-100 \\\n--data samples.jsonl --output scored.jsonl",
      "a score beside every response",
    ],
  ],
  notes:
    'A row is a pair ({"chosen": ..., "rejected": ...}, as reward trains on them), {"prompt": ..., "responses": [...]} or "response" (or "completions", "completion"; "messages" for prompt), {"messages": [...]} that ends with the ' +
    'assistant, {"text": ...} or tokens ({"input_ids": [...]}, "response_ids" or "responses_ids" with "prompt_ids"). A prompt of text is text, one of messages a conversation. Each row comes back with "reward_score", or of a pair or list ' +
    '"reward_scores" in its order, and where the score is a sum of heads "head_scores". null: the response is longer than the model\'s context. A score is that of the whole sequence at its last token; it does not depend on what is ' +
    'scored beside it. --json prints {"rows", "responses", "unscored", "mean", "min", "max", "pairs", "accuracy", "margin"}; the rows go to --output alone.',
  run: async (options, context) => {
    const { data, output: file } = options;
    const output = createOutput(context, process.stderr);
    const results = await openResultFile(file);
    const silent = file === undefined && (process.stdout.isTTY || context.json);
    await using workers = options.redis === undefined ? undefined : await openRedisJobs(options.redis);
    try {
      await withScorer(options, { ...context, workers }, async (scorer) => {
        output.say(`${options.model_name_or_path}: ${scorer.description}`);
        const reading = watchReading(output);
        const { rows, digest } = await loadResponses(options, scorer, reading.onProgress);
        reading.end();
        const started = performance.now();
        const progress = output.progress();
        const total = rows.reduce((sum, { sequences }) => sum + tokensOf(sequences), 0);
        const sums = newSums();
        let tokens = 0;
        let done = 0;
        const scored = new Map<number, readonly (Score | null)[]>();
        const scoring = inOrder(
          batchesOf(rows).map((batch) => async () => {
            const scores = await scorer.scores(batch.flatMap(({ sequences }) => sequences));
            return { batch, scores };
          }),
          workers === undefined ? 1 : batchesOnWorkers,
        );
        const ahead = async (): Promise<void> => {
          const next = await scoring.next();
          if (next.done) return;
          const { batch, scores } = next.value;
          done += batch.length;
          let at = 0;
          for (const row of batch) {
            const own = scores.slice(at, at + row.sequences.length);
            at += own.length;
            scored.set(row.line, own);
            sums.add(row, own);
            tokens += tokensOf(row.sequences);
          }
          progress.show(
            () =>
              `${count(done)} of ${plural(rows.length, "row")}, ${tokensPerSecond(tokens, secondsSince(started))}, ${timeLeft(started, tokens, total)}`,
          );
        };
        try {
          const formats = new Map(rows.map(({ line, format }) => [line, format]));
          const onEnd = (sha256: string): void => {
            if (sha256 !== digest)
              throw new UserError("changed_file", `${data} changed while it was read: start again.`);
          };
          for await (const { line, value } of readRows(data, { onEnd })) {
            while (!scored.has(line) && done < rows.length) await ahead();
            const own = scored.get(line);
            scored.delete(line);
            if (!isJsonObject(value) || own === undefined || silent) continue;
            await results.write({ ...value, ...columnsOf(own, formats.get(line)) });
          }
          await results.commit();
        } finally {
          progress.end();
          await scoring.return();
        }
        const { responses, unscored, mean, min, max, pairs, accuracy, margin } = sums.result();
        if (unscored > 0) {
          output.say(
            `${plural(unscored, "response")} without a score (null): longer than the model's context of ${count(scorer.config.maxPositionEmbeddings)} tokens.`,
          );
        }
        const { padTokenId } = scorer.config;
        const padded = rows.flatMap(({ sequences }) => sequences).filter((ids) => ids.at(-1) === padTokenId);
        if (padded.length > 0) {
          output.say(
            `${plural(padded.length, "response")} end in the pad token (${padTokenId}): transformers would read their score one token early, and give others.`,
          );
        }
        output.print(
          `${plural(rows.length, "row")}, ${plural(responses, "response")}, ${plural(tokens, "token")} in ${duration(secondsSince(started))}`,
        );
        const text = (value: number | null): string => (value === null ? "N/A" : value.toFixed(4));
        if (!context.json) {
          console.error(`scores: mean ${text(mean)}, from ${text(min)} to ${text(max)}`);
          if (pairs > 0) {
            console.error(
              `pairs: the better response scores higher in ${(100 * (accuracy as number)).toFixed(1)} % of ${plural(pairs, "row")}, by ${text(margin)} in the mean`,
            );
          }
        }
        output.result({
          json: { rows: rows.length, responses, unscored, mean, min, max, pairs, accuracy, margin },
        });
      });
    } finally {
      await results.discard();
    }
    if (file !== undefined) output.print(`Every row with its scores: ${file}`);
  },
});

/** Sequences beyond the context keep one token more than it holds, which says that they have no score. */
function loadResponses(
  {
    data,
    special_tokens_in_content: specialTokens,
    template_date: now,
  }: {
    readonly data: string;
    readonly special_tokens_in_content: "error" | "text" | "token";
    readonly template_date?: string | undefined;
  },
  { dir, config }: OpenScorer,
  onProgress: NonNullable<Parameters<typeof loadResponseRows>[1]["onProgress"]>,
) {
  return loadResponseRows(data, {
    use: "scored",
    tokenizer: () => loadTokenizer(dir),
    template: () => loadChatTemplate(dir),
    maxLength: config.maxPositionEmbeddings + 1,
    onOverlong: "truncate",
    vocabSize: config.vocabSize,
    specialTokens,
    now,
    onProgress,
  });
}

function columnsOf(
  scores: readonly (Score | null)[],
  format: TokenizedResponses["format"] | undefined,
): object {
  const numbers = scores.map((found) => (found === null ? null : float32(found.score)));
  const heads = scores.map((found) =>
    found === null
      ? null
      : Object.fromEntries(Object.entries(found.heads).map(([name, score]) => [name, float32(score)])),
  );
  const single = format === "response" || format === "sequence";
  const several = Object.keys(scores.find((found) => found !== null)?.heads ?? {}).length > 0;
  return single
    ? { reward_score: numbers[0], ...(several && { head_scores: heads[0] }) }
    : { reward_scores: numbers, ...(several && { head_scores: heads }) };
}

function batchesOf(rows: readonly TokenizedResponses[]): readonly (readonly TokenizedResponses[])[] {
  return Array.from({ length: Math.ceil(rows.length / rowsAtOnce) }, (_, i) =>
    rows.slice(i * rowsAtOnce, (i + 1) * rowsAtOnce),
  );
}

const tokensOf = (sequences: readonly Int32Array[]): number =>
  sequences.reduce((sum, { length }) => sum + length, 0);

/** Means over responses, and over rows that say which are better. */
function newSums() {
  const found: number[] = [];
  let responses = 0;
  let pairs = 0;
  let hits = 0;
  let margin = 0;
  return {
    add: ({ labels }: TokenizedResponses, scores: readonly (Score | null)[]): void => {
      responses += scores.length;
      for (const own of scores) if (own !== null) found.push(own.score);
      const own = pairsOf(labels ?? []).flatMap(([better, worse]) => {
        const [a, b] = [scores[better]?.score, scores[worse]?.score];
        return a === undefined || b === undefined ? [] : [a - b];
      });
      if (own.length === 0) return;
      pairs++;
      hits += own.filter((lead) => lead > 0).length / own.length;
      margin += own.reduce((sum, lead) => sum + lead, 0) / own.length;
    },
    result: () => ({
      responses,
      unscored: responses - found.length,
      mean: found.length === 0 ? null : found.reduce((sum, score) => sum + score, 0) / found.length,
      min: found.length === 0 ? null : found.reduce((a, b) => Math.min(a, b)),
      max: found.length === 0 ? null : found.reduce((a, b) => Math.max(a, b)),
      pairs,
      accuracy: pairs === 0 ? null : hits / pairs,
      margin: pairs === 0 ? null : margin / pairs,
    }),
  };
}
