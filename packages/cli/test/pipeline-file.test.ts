// What is wrong with a pipeline's file is said before anything runs: all of it at once, each with file, line and field.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { afterAll, expect, test } from "vitest";
import { commandList } from "../src/commands.js";
import { openPipeline, type Pipeline } from "../src/pipeline/pipeline.js";
import { temporaryFolder } from "./support/command-line.js";

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));

async function open(text: string): Promise<Pipeline | readonly string[]> {
  const path = join(folder, "p.yaml");
  writeFileSync(path, text);
  try {
    return await openPipeline(path, commandList);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.message.replaceAll(path, "p.yaml").split("\n");
  }
}

test("steps come in the order of what they read, whatever the file's", async () => {
  const pipeline = (await open(`
output_dir: run
steps:
  last:
    run: dpo
    model_name_or_path: \${first.checkpoint-500}
    data: \${pairs.output}
  pairs:
    run: dpo   pairs
    model_name_or_path: ["\${first.checkpoint}", base]
    data: questions.jsonl
    mix:
      - \${more.output}=0.5
  first: {run: sft, model_name_or_path: base, data: rows.jsonl, output_dir: elsewhere/sft}
  more: {run: generate, model_name_or_path: base, data: questions.jsonl}
`)) as Pipeline;
  expect(pipeline.steps.map(({ name }) => name)).toEqual(["first", "more", "pairs", "last"]);
  expect(pipeline.steps.map(({ outputs }) => Object.fromEntries(outputs))).toEqual([
    { output_dir: "elsewhere/sft" },
    { output: "run/more.jsonl" },
    { output: "run/pairs.jsonl" },
    { output_dir: "run/last" },
  ]);
  expect([...(pipeline.steps[0]?.wanted ?? [])].sort()).toEqual(["checkpoint", "checkpoint-500"]);
});

test("everything that is wrong is said at once, in the order of lines", async () => {
  expect(
    await open(`output_dir: run
step: 1
steps:
  a:
    run: sftt
  b:
    run: sft
    model_name_or_path: \${a.checkpoint}
    data: \${c.output}
    learning_rate: fast
    learning_rat: 1
    resume_from_checkpoint: true
  c:
    run: generate
    model_name_or_path: \${d.checkpoint}
    data: \${bb.output}
    temperature: \${b.checkpoint}
    output: run/x.jsonl
  d:
    run: dpo
    model_name_or_path: \${b.pairs}
    data: \${b.checkpoint}
  e:
    model_name_or_path: base
  f:
    run: chat
  g:
    run: score
    model_name_or_path: \${checkpoint}
    data: run/x.jsonl
    output: run/x.jsonl
`),
  ).toEqual([
    expect.stringMatching(/^p\.yaml: \d+ things are wrong$/),
    expect.stringMatching(
      /^ {2}p\.yaml, line 2: step is no part of a pipeline's file; expected output_dir and steps/,
    ),
    expect.stringMatching(
      /^ {2}p\.yaml, line 4: step a: there is no command sftt\. Did you mean sft\? Steps: quickstart data, sft, /,
    ),
    expect.stringMatching(/line 6: steps go round in a circle: b needs c needs d needs b\.$/),
    expect.stringMatching(/^ {2}p\.yaml, line 10: learning_rate is "fast", expected a number, at least 0\.$/),
    expect.stringMatching(
      /^ {2}p\.yaml, line 11: learning_rat is not an option; did you mean learning_rate\?$/,
    ),
    expect.stringMatching(
      /^ {2}p\.yaml, line 12: step b: resume_from_checkpoint is not a step's to give: an interrupted step goes on by itself\.$/,
    ),
    expect.stringMatching(
      /^ {2}p\.yaml, line 16: step c: data is \$\{bb\.output\}, and there is no step bb; did you mean b\?$/,
    ),
    expect.stringMatching(/^ {2}p\.yaml, line 17: temperature is "\$\{b\.checkpoint\}", expected a number/),
    expect.stringMatching(
      /^ {2}p\.yaml, line 17: temperature: a reference stands for a path, and temperature names nothing that is read\.$/,
    ),
    expect.stringMatching(
      /^ {2}p\.yaml, line 21: step d: model_name_or_path is \$\{b\.pairs\}, but sft makes no pairs\. It makes \$\{b\.checkpoint\}, \$\{b\.checkpoint-500\} with a step's number\.$/,
    ),
    expect.stringMatching(
      /^ {2}p\.yaml, line 22: step d: data is \$\{b\.checkpoint\}, which is a model; expected a file of rows\.$/,
    ),
    expect.stringMatching(/^ {2}p\.yaml, line 23: step e does not say what it is: give it `run: COMMAND`/),
    expect.stringMatching(
      /^ {2}p\.yaml, line 25: step f: posttrain chat makes nothing that a step could be for\./,
    ),
    expect.stringMatching(
      /^ {2}p\.yaml, line 27: step g writes output run\/x\.jsonl, which is output run\/x\.jsonl of step c\. Give one of them another place\.$/,
    ),
    expect.stringMatching(
      /^ {2}p\.yaml, line 29: model_name_or_path is "\$\{checkpoint\}": a reference is \$\{step\.checkpoint\}/,
    ),
    expect.stringMatching(
      /^ {2}p\.yaml, line 30: step g: data is run\/x\.jsonl, which step c makes: refer to it, as \$\{c\.output\}/,
    ),
  ]);
});

test.each([
  [
    "steps that need each other",
    `steps:\n  a: {run: sft, model_name_or_path: '\${b.checkpoint}', data: r}\n  b: {run: sft, model_name_or_path: '\${a.checkpoint}', data: r}\noutput_dir: run`,
    /^p\.yaml, line \d: steps go round in a circle: a needs b needs a\.$/,
  ],
  [
    "a step of its own result",
    `steps:\n  a: {run: sft, model_name_or_path: '\${a.checkpoint}', data: r}\noutput_dir: run`,
    /circle: a needs a\.$/,
  ],
  [
    "two folders in each other",
    "steps:\n  a: {run: sft, model_name_or_path: m, data: r}\n  b: {run: sft, model_name_or_path: m, data: r, output_dir: run/a/b}\noutput_dir: run",
    /line 3: step b writes output_dir run\/a\/b, and they must not lie in each other: output_dir run\/a of step a/,
  ],
  [
    "the pipeline's folder for a step's",
    "steps:\n  a: {run: sft, model_name_or_path: m, data: r, output_dir: run}\noutput_dir: run",
    /in which the pipeline's own folder run lies/,
  ],
  [
    "a name that is there twice",
    "steps:\n  a: {run: sft, model_name_or_path: m, data: r}\n  a: {run: sft, model_name_or_path: m, data: r}\noutput_dir: run",
    /line 3: step a is there twice, first on line 2/,
  ],
  ["no steps", "output_dir: run\nsteps: {}", /line 1: there are no steps\.$/],
  [
    "no folder",
    "steps:\n  a: {run: sft, model_name_or_path: m, data: r}",
    /line 1: output_dir must name a folder/,
  ],
  [
    "options that do not go together",
    "steps:\n  a: {run: sft, model_name_or_path: m, data: r, optim: online_dare}\noutput_dir: run",
    /line 2: step a: base_model_name_or_path: optim online_dare needs it/,
  ],
  [
    "what is missing",
    "steps:\n  a: {run: sft, data: r}\noutput_dir: run",
    /line 2: step a: Missing: --model_name_or_path/,
  ],
])("%s", async (_, text, said) => {
  expect(((await open(text)) as readonly string[]).join("\n")).toMatch(said);
});
