// --stage, and `stage` in a config: which stage validate, plan and init serve, and that another stage's config is refused.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const configOf = (stage: string): string => {
  const file = join(temporaryFolder(), "run.yaml");
  writeFileSync(file, `learning_rate: 1e-5\nstage: ${stage}\n`);
  return file;
};
const missing = ["--model_name_or_path", "nowhere", "--data", "nothing.jsonl"];

it.each(["validate", "plan"])("%s takes the stage of the config", async (command) => {
  const { code, err } = await posttrainHere([command, "--config", configOf("sft"), ...missing]);
  expect([code, err]).toEqual([1, expect.stringMatching(/^The model folder nowhere does not exist/)]);
});

it.each(["validate", "plan", "init"])(
  "%s names the stages where it knows none of that name",
  async (command) => {
    const { code, err } = await posttrainHere([command, "--stage", "stf", ...missing]);
    expect([code, err]).toEqual([
      1,
      expect.stringContaining('--stage is "stf", expected one of sft, reward, dpo'),
    ]);
  },
);

it("sft names the command of a config of another stage", async () => {
  const { err } = await posttrainHere([
    "sft",
    "--config",
    configOf("dpo"),
    "--output_dir",
    "run",
    ...missing,
  ]);
  expect(err).toContain('stage is "dpo": expected sft; posttrain dpo takes a config of that stage.');
});

it("sft refuses a config of something else", async () => {
  const file = configOf("dream");
  const { code, err } = await posttrainHere(["sft", "--config", file, "--output_dir", "run", ...missing]);
  expect([code, err]).toEqual([
    1,
    expect.stringContaining(`${file}, line 2: stage is "dream": expected sft.`),
  ]);
});
