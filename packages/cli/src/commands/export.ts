// posttrain export: a model in a format that other programs run. What was written is run once and held against our kernels.

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { byteText, UserError } from "@posttrain/data";
import { gatherRows, linear } from "@posttrain/kernels";
import {
  exportOnnx,
  forward,
  head,
  type LanguageOutput,
  languageOutputs,
  loadModel,
  type Model,
  modelOptions,
  openOnnxModel,
  packSequences,
  parameter,
  predict,
  readCompanions,
  readPredictions,
  scoreWeight,
} from "@posttrain/model";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { createOutput } from "../output.js";
import { describeModel, withDevice } from "../with-model.js";

/** Of the largest number that comes out: what two orders of summation in fp32 may differ by. */
const allowedShare = 1e-4;

export const command = defineCommand({
  options: z.strictObject({
    model_name_or_path: modelOptions.model_name_or_path,
    output_dir: z.string().describe("new folder for the file and what belongs to the model"),
    format: z.enum(["onnx"]).default("onnx").describe("what to write"),
    onnx_output: z
      .enum(languageOutputs)
      .default("logits")
      .describe(
        "what a language model puts out: logits of every position, or log-probabilities of the given tokens",
      ),
    external_data: z
      .boolean()
      .default(false)
      .describe("weights in model.onnx_data beside the file; beyond 2 GB they always are"),
  }),
  examples: [
    [
      "npx posttrain export --format onnx --model_name_or_path runs/quickstart-1/sft/checkpoint-800 \\\n--output_dir quickstart-onnx",
      "a fine-tuned model for onnxruntime",
    ],
  ],
  notes:
    "The file has IR version 8 and operator set 17 (onnxruntime 1.12 and later), weights in float32. It takes input_ids and attention_mask, int64 (batch, sequence), padded on " +
    "either side; positions are counted from the mask. A language model gives logits (batch, sequence, vocabulary) or, with --onnx_output log_probs, log_probs (batch, sequence - 1): entry t is the " +
    "natural log-probability of token t + 1, 0 at padding. A reward model gives logits (batch, labels), its scores at each row's last attended token. There is no KV cache: generate with posttrain. " +
    'Before the command ends, onnxruntime runs the file on a padded batch beside our kernels. --json prints {"output_dir", "files", "bytes", "largest_difference"}.',
  run: async (options, context) => {
    const { output_dir: dir, model_name_or_path: from } = options;
    const output = createOutput(context, process.stdout);
    await withDevice(context, async (device) => {
      const model = await loadModel(device, from, { kind: "either" });
      const isReward = model.config.score !== null;
      if (isReward && options.onnx_output !== "logits") {
        throw new UserError(
          "bad_option",
          `onnx_output is ${options.onnx_output}, but ${from} is a reward model: it gives scores, not words. Leave the option out.`,
        );
      }
      output.say(describeModel(model));
      const files = await exportOnnx(model, dir, {
        output: options.onnx_output,
        externalData: options.external_data,
        extraFiles: await readCompanions(from),
      });
      const file = join(dir, "model.onnx");
      const { difference, largest } = await compare(model, file, options.onnx_output, context.threads);
      if (!(difference <= allowedShare * Math.max(1, largest))) {
        throw new UserError(
          "export_differs",
          `${file}: onnxruntime computes other numbers from it than our kernels from ${from}: the largest difference is ${difference} in numbers up to ${largest}. ` +
            "The weights may be far too large for fp32 sums to agree. Do not use the file before you know why.",
        );
      }
      const bytes = (await Promise.all(files.map((name) => stat(join(dir, name))))).reduce(
        (sum, { size }) => sum + size,
        0,
      );
      output.table([
        ["written", `${dir}: ${files.join(", ")}, ${byteText(bytes)}`],
        [
          "checked",
          `onnxruntime gives the same ${isReward ? "scores" : options.onnx_output} as our kernels, within ${difference.toExponential(1)}`,
        ],
      ]);
      output.result({
        quiet: file,
        json: { output_dir: dir, files, bytes, largest_difference: difference },
      });
    });
  },
});

/** The largest difference between what the file gives and what the model gives, over a padded batch of two rows, and the model's largest number. */
async function compare(
  model: Model,
  file: string,
  kind: LanguageOutput,
  threads: number | undefined,
): Promise<{ readonly difference: number; readonly largest: number }> {
  const { vocabSize } = model.config;
  const rows = [13, 8].map((length, row) =>
    Int32Array.from({ length }, (_, t) => (7919 * (t + 1) * (row + 1)) % vocabSize),
  );
  const onnx = await openOnnxModel(file, threads);
  try {
    const { dims, data } = await onnx.run(rows);
    const width = dims.slice(1).reduce((product, n) => product * n, 1);
    let [difference, largest] = [0, 0];
    for (const [row, ids] of rows.entries()) {
      for (const [i, value] of (await outputOf(model, ids, kind)).entries()) {
        difference = Math.max(difference, Math.abs(value - data[row * width + i]!));
        largest = Math.max(largest, Math.abs(value));
      }
    }
    return { difference, largest };
  } finally {
    await onnx.close();
  }
}

function outputOf(model: Model, ids: Int32Array, kind: LanguageOutput): Promise<Float32Array> {
  return model.device.run(async (scope) => {
    const hidden = forward(scope, model, packSequences([ids]));
    if (model.config.score !== null) {
      const last = gatherRows(scope, hidden, scope.from(Int32Array.of(ids.length - 1)));
      return (await linear(scope, last, parameter(model, scoreWeight)).read()) as Float32Array;
    }
    if (kind === "logits") return (await linear(scope, hidden, head(model)).read()) as Float32Array;
    const rows = Int32Array.from({ length: ids.length - 1 }, (_, t) => t);
    const targets = rows.map((t) => ids[t + 1]!);
    return (await readPredictions(predict(scope, model, hidden, { rows, targets }))).logProbs;
  });
}
