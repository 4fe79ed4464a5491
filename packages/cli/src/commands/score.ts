// posttrain score: the forward pass as a tool. What a model thinks of every token of given rows.
import { IGNORED_LABEL, specialTokenChoices } from "@posttrain/data";
import {
  forward,
  type Model,
  modelOptions,
  openModelFolder,
  packSequences,
  predict,
  readPredictions,
} from "@posttrain/model";
import { textSide } from "@posttrain/rollout";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { count, duration, float32, plural } from "../format.js";
import { createOutput } from "../output.js";
import { watchReading } from "../reading.js";
import { openResultFile } from "../result-file.js";
import { readScored, type ScoredRow } from "../scored-rows.js";
import { secondsSince, timeLeft, tokensPerSecond } from "../speed.js";
import { withModel } from "../with-model.js";

/** Rows are packed until they have this many tokens; one longer row goes alone. */
const tokensPerBatch = 4096;

export const command = defineCommand({
  options: z.strictObject({
    ...modelOptions,
    data: z.string().describe("rows, JSONL, JSON, CSV or Parquet: text, messages or input_ids"),
    output: z
      .string()
      .optional()
      .describe("new file for the rows; default: standard output, nowhere on a terminal"),
    loss_on: z
      .enum(["assistant", "completion", "everything"])
      .default("everything")
      .describe("which tokens the loss is over"),
    special_tokens_in_content: z
      .enum(specialTokenChoices)
      .default("error")
      .describe("what <|im_end|> and its like are in the text of messages, as sft has it"),
    allow_beyond_context: z
      .boolean()
      .default(false)
      .describe("take rows longer than the model's context (max_position_embeddings)"),
    template_date: z
      .string()
      .optional()
      .describe("the date that a chat template writes as today's, such as 2025-07-10"),
  }),
  examples: [
    [
      "npx posttrain score --model_name_or_path runs/quickstart-1/sft/checkpoint-800 \\\n--data runs/quickstart-1/training.jsonl --loss_on assistant",
      "the loss of the answers, as sft has it",
    ],
    [
      "npx posttrain score --model_name_or_path ~/models/Qwen2.5-0.5B \\\n--data text.jsonl --output scores.jsonl",
      "perplexity of text, and every token's numbers",
    ],
  ],
  notes:
    'A row is {"text": "..."}, tokenised as it is, {"messages": [...]} or {"input_ids": [...]}, whose labels, if any, say what counts ' +
    '(-100: not). A result is {"line", "id", "ids", "logprobs", "entropy", "argmax", "loss"}: entry i is about token i as predicted ' +
    "from those before it (the first has null), natural logarithms at temperature 1; loss is the row's mean over the tokens that count (null: none does). What is no number any more is " +
    'the word "NaN", "Infinity" or "-Infinity". ' +
    '--json prints the table in their place, {"rows", "loss_on", "every_token", "counted"}, the last two with "tokens", "loss", ' +
    '"perplexity", "entropy" and "accuracy" (of the top token); the rows go to --output alone.',
  run: async (options, context) => {
    const { model_name_or_path: dir, data, output: file, loss_on: lossOn } = options;
    const { config } = await openModelFolder(dir);
    const output = createOutput(context, process.stderr);
    const reading = watchReading(output);
    const rows = await readScored(data, lossOn, textSide(dir, config, options, reading.onProgress));
    reading.end();
    const results = await openResultFile(file);
    const silent = file === undefined && (process.stdout.isTTY || context.json);
    const all = newSum();
    const counted = newSum();
    const started = performance.now();
    const progress = output.progress();
    const total = rows.reduce((sum, { ids }) => sum + ids.length, 0);
    let done = 0;
    try {
      await withModel(options, context, async (model) => {
        for (const batch of batches(rows)) {
          for (const scored of await scoreBatch(model, batch)) {
            add(all, scored, () => true);
            add(counted, scored, (i) => scored.row.labels[i] !== IGNORED_LABEL);
            if (!silent) await results.write(resultOf(scored));
            done += scored.row.ids.length;
          }
          progress.show(
            () =>
              `${count(done)} of ${plural(total, "token")}, ${tokensPerSecond(done, secondsSince(started))}, ${timeLeft(started, done, total)}`,
          );
        }
      });
      await results.commit();
    } finally {
      progress.end();
      await results.discard();
    }
    if (!Number.isFinite(all.logProb) || !Number.isFinite(all.entropy)) {
      output.say(
        'What the model computes leaves the range of float32: its weights are broken or far too large. In JSON such numbers are the words "NaN", "Infinity" and "-Infinity".',
      );
    }
    const seconds = secondsSince(started);
    output.print(`${plural(rows.length, "row")}, ${plural(total, "token")} in ${duration(seconds)}\n`);
    // The table is a result, but standard output may have the rows.
    if (!context.json) console.error(table(lossOn, all, counted));
    output.result({
      json: { rows: rows.length, loss_on: lossOn, every_token: means(all), counted: means(counted) },
    });
    if (file !== undefined) output.print(`\nEvery token's numbers: ${file}`);
  },
});

function* batches(rows: readonly ScoredRow[]): Generator<readonly ScoredRow[]> {
  let batch: ScoredRow[] = [];
  let tokens = 0;
  for (const row of rows) {
    if (batch.length > 0 && tokens + row.ids.length > tokensPerBatch) {
      yield batch;
      batch = [];
      tokens = 0;
    }
    batch.push(row);
    tokens += row.ids.length;
  }
  yield batch;
}

/** Entry i of each array: token i + 1, predicted from tokens 0 to i. */
interface Scored {
  readonly row: ScoredRow;
  readonly logProbs: Float32Array;
  readonly entropy: Float32Array;
  readonly argmax: Int32Array;
}

async function scoreBatch(model: Model, rows: readonly ScoredRow[]): Promise<readonly Scored[]> {
  const batch = packSequences(rows.map(({ ids }) => ids));
  const places = rows.map(({ ids }, s) =>
    Array.from({ length: ids.length - 1 }, (_, i) => batch.starts[s]! + i),
  );
  const predicting = Int32Array.from(places.flat());
  const targets = predicting.map((place) => batch.ids[place + 1]!);
  return model.device.run(async (scope) => {
    const hidden = forward(scope, model, batch);
    const predicted = predict(scope, model, hidden, { rows: predicting, targets });
    const { logProbs, entropies, argmax } = await readPredictions(predicted);
    let start = 0;
    return rows.map((row) => {
      const end = start + row.ids.length - 1;
      const scored = {
        row,
        logProbs: logProbs.subarray(start, end),
        entropy: entropies.subarray(start, end),
        argmax: argmax.subarray(start, end),
      };
      start = end;
      return scored;
    });
  });
}

interface Sum {
  tokens: number;
  logProb: number;
  entropy: number;
  hits: number;
}

function newSum(): Sum {
  return { tokens: 0, logProb: 0, entropy: 0, hits: 0 };
}

/** Adds the tokens of a row, by their place in it, that `counts` takes. */
function add(sum: Sum, { row, logProbs, entropy, argmax }: Scored, counts: (place: number) => boolean): void {
  for (let i = 1; i < row.ids.length; i++) {
    if (!counts(i)) continue;
    sum.tokens++;
    sum.logProb += logProbs[i - 1]!;
    sum.entropy += entropy[i - 1]!;
    if (argmax[i - 1] === row.ids[i]) sum.hits++;
  }
}

function resultOf(scored: Scored): object {
  const { row, logProbs, entropy, argmax } = scored;
  const sum = newSum();
  add(sum, scored, (i) => row.labels[i] !== IGNORED_LABEL);
  return {
    line: row.line,
    id: row.id,
    ids: [...row.ids],
    logprobs: [null, ...Array.from(logProbs, float32)],
    entropy: [null, ...Array.from(entropy, float32)],
    argmax: [null, ...argmax],
    loss: sum.tokens === 0 ? null : -sum.logProb / sum.tokens,
  };
}

function means({ tokens, logProb, entropy, hits }: Sum) {
  const loss = -logProb / tokens;
  return { tokens, loss, perplexity: Math.exp(loss), entropy: entropy / tokens, accuracy: hits / tokens };
}

/** One line for every predicted token, and one for those that count where these are fewer. */
function table(lossOn: string, all: Sum, counted: Sum): string {
  const line = (name: string, ...cells: readonly string[]): string =>
    name.padEnd(12) + cells.map((cell) => cell.padStart(13)).join("");
  const row = (name: string, sum: Sum): string => {
    const { tokens, loss, perplexity, entropy, accuracy } = means(sum);
    const numbers = [loss.toFixed(4), perplexity.toPrecision(5), entropy.toFixed(4)];
    return line(name, count(tokens), ...numbers, `${(100 * accuracy).toFixed(1)} %`);
  };
  const rows = [line("", "tokens", "loss", "perplexity", "entropy", "top token"), row("every token", all)];
  if (counted.tokens < all.tokens) rows.push(row(lossOn === "everything" ? "labelled" : lossOn, counted));
  return rows.join("\n");
}
