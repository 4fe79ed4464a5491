// examples/pipeline.yaml is what npm start does: its steps have the quickstart's recipe, and a few steps of them end in the same weights.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { commandList } from "../src/commands.js";
import { openPipeline } from "../src/pipeline/pipeline.js";
import {
  dpoRecipe,
  grpoRecipe,
  pairsRecipe,
  rewardRecipe,
  trainingConfig,
  writeTrainingRows,
} from "../src/quickstart/recipe.js";
import { makeModel, posttrain, temporaryFolder, writeRows } from "./support/command-line.js";
import { tinyPairs, tinyRows, tinySft, tinyStage, tinyWeights } from "./support/tiny-stages.js";

const example = fileURLToPath(new URL("../../../examples/pipeline.yaml", import.meta.url));
const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));

test("its steps have the quickstart's recipe", async () => {
  const { steps, outputDir } = await openPipeline(example, commandList);
  const options = Object.fromEntries(steps.map((step) => [step.name, step.options]));
  // Where the quickstart has a path, the example has what makes it.
  const [run, seed] = [outputDir, 1];
  const [base, start, data] = [`\${start.model}`, `\${sft.checkpoint-500}`, `\${start.training}`];
  const paths = { run, base, start, seed };
  const questions = { data: `\${start.questions}` };
  const pairs = { data: `\${pairs.output}` };
  expect(options["start"]).toEqual({ output_dir: "runs/pipeline/start", seed });
  expect(options["sft"]).toEqual(trainingConfig({ model: base, data, outputDir: `${run}/sft`, seed }));
  expect(options["pairs"]).toEqual({ ...pairsRecipe(paths), ...questions });
  expect(options["dpo"]).toEqual({ ...dpoRecipe(paths), ...pairs });
  expect(options["reward"]).toEqual({ ...rewardRecipe(paths), ...pairs });
  const policy = `\${dpo.checkpoint}`;
  expect(options["grpo"]).toEqual({ ...grpoRecipe({ ...paths, policy }), ...questions });
});

test("a few steps of it end in the quickstart's weights", async () => {
  const model = await makeModel(folder);
  const training = join(folder, "training.jsonl");
  await writeTrainingRows(training, 1, tinyRows);
  const pairs = writeRows(folder, "pairs.jsonl", tinyPairs);
  const { sft, dpo, reward } = parse(readFileSync(example, "utf8")).steps;
  const start = { model_name_or_path: `\${sft.checkpoint}`, data: pairs };
  const steps = {
    sft: { ...sft, model_name_or_path: model, data: training, ...tinySft },
    dpo: { ...dpo, ...start, base_model_name_or_path: model, ...tinyStage },
    reward: { ...reward, ...start, ...tinyStage },
  };
  mkdirSync(join(folder, "examples"));
  writeFileSync(join(folder, "examples/pipeline.yaml"), stringify({ output_dir: "run", steps }));
  const { code, out, err } = await posttrain(["run", "examples/pipeline.yaml", "--json"], { cwd: folder });
  expect(code, err).toBe(0);
  const made = JSON.parse(out).steps as readonly { step: string; made: { checkpoint: { path: string } } }[];
  const weights = Object.fromEntries(
    made.map(({ step, made: { checkpoint } }) => [
      step,
      createHash("sha256")
        .update(readFileSync(join(folder, checkpoint.path, "model.safetensors")))
        .digest("hex"),
    ]),
  );
  expect(weights).toMatchObject({ dpo: tinyWeights.dpo, reward: tinyWeights.reward });
});
