// posttrain quickstart data: what `npm start` begins with, for commands of one's own and for examples/pipeline.yaml.
import { join } from "node:path";
import { z } from "zod";
import { defineCommand } from "../command.js";
import { count } from "../format.js";
import { createOutput } from "../output.js";
import { withDevice } from "../with-model.js";

export const command = defineCommand({
  options: z.strictObject({
    output_dir: z.string().describe("new folder for model/ and the problems"),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(1)
      .describe("of the model, the problems and their order"),
  }),
  examples: [
    [
      "npx posttrain quickstart data --output_dir runs/tiny",
      "a second, and there is something to train and to ask",
    ],
  ],
  notes:
    "The folder gets model/, a Qwen2.5 of 1.2 M random weights; training.jsonl, problems with worked steps to fine-tune on; questions.jsonl, others with their answers alone, for dpo pairs, reward data and grpo; held-out.jsonl, " +
    'none of whose numbers meet in these, for evaluate. --json prints {"output_dir", "model", "training", "questions", "held_out"}: paths.',
  run: async (options, context) => {
    const { output_dir: dir, seed } = options;
    const output = createOutput(context, process.stdout);
    const [recipe, { writeTinyModel }, { newFolder }] = await Promise.all([
      import("../quickstart/recipe.js"),
      import("../quickstart/tiny-model.js"),
      import("../quickstart/run-folder.js"),
    ]);
    await newFolder(dir);
    const files = {
      model: join(dir, "model"),
      training: join(dir, "training.jsonl"),
      questions: join(dir, "questions.jsonl"),
      held_out: join(dir, "held-out.jsonl"),
    };
    const model = await withDevice(context, (device) => writeTinyModel(device, files.model, seed));
    await recipe.writeTrainingRows(files.training, seed, recipe.trainingRows);
    await recipe.writeQuestions(files.questions, seed, recipe.preferenceProblems);
    await recipe.writeHeldOut(files.held_out, seed);
    output.table([
      ["model", `${files.model}: ${model}`],
      ["training", `${files.training}: ${count(recipe.trainingRows)} problems with worked steps`],
      ["questions", `${files.questions}: ${count(recipe.preferenceProblems)} others with their answers`],
      ["held out", `${files.held_out}: ${count(recipe.heldOutProblems)} that share no number with these`],
    ]);
    output.result({ quiet: dir, json: { output_dir: dir, ...files } });
  },
});
