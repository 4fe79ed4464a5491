// The commands as a shell runs them, on a tiny model: what one prints agrees with what another computes.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import {
  conversation,
  main,
  makeModel,
  posttrain,
  temporaryFolder,
  writeRows,
} from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

interface Sample {
  readonly id: string;
  readonly line: number;
  readonly sample: number;
  readonly text: string;
  readonly ids: readonly number[];
  readonly logprobs: readonly number[];
  readonly finish_reason: string;
}

interface Score {
  readonly line: number;
  readonly ids: readonly number[];
  readonly logprobs: readonly (number | null)[];
  readonly entropy: readonly (number | null)[];
  readonly argmax: readonly (number | null)[];
  readonly loss: number;
}

const folder = temporaryFolder();
let model: readonly string[];
let data: string;

beforeAll(async () => {
  model = ["--model_name_or_path", await makeModel(folder)];
  data = writeRows(folder, "rows.jsonl", [
    conversation("What is 1 + 1?", "2"),
    conversation("What is 12 + 30?", "Answer: 42"),
    conversation("Hello", "Good morning, and how are you?"),
  ]);
});
afterAll(() => rmSync(folder, { recursive: true }));

const parse = <T>(lines: string): T[] =>
  lines
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

it("generate gives log-probabilities that score computes, bit for bit", async () => {
  const prompts = writeRows(folder, "prompts.jsonl", [{ prompt: "Hello" }, { input_ids: [72, 105] }]);
  const args = [
    ...model,
    "--data",
    prompts,
    "--num_generations",
    "3",
    "--temperature",
    "1",
    "--max_new_tokens",
    "12",
  ];
  const generated = await posttrain(["generate", ...args]);
  expect(generated.code).toBe(0);
  const samples = parse<Sample>(generated.out);
  expect(samples.map(({ line, sample }) => [line, sample])).toEqual(
    [1, 2].flatMap((line) => [0, 1, 2].map((sample) => [line, sample])),
  );
  expect(new Set(samples.map(({ text }) => text)).size).toBe(6);

  // The prompt of {prompt: "Hello"} as the template writes it, in bytes and ChatML tokens.
  const asRow = await posttrainHere([
    "score",
    ...model,
    "--data",
    writeRows(folder, "p.jsonl", [
      { messages: [{ role: "user", content: "Hello" }] },
      { text: "<|im_start|>assistant\n" },
    ]),
  ]);
  const [turn, opening] = parse<Score>(asRow.out);
  const promptIds = { 1: [...turn!.ids, ...opening!.ids], 2: [72, 105] };
  const whole = samples.map(({ line, ids }) => ({ input_ids: [...promptIds[line as 1 | 2], ...ids] }));
  const scored = await posttrainHere(["score", ...model, "--data", writeRows(folder, "whole.jsonl", whole)]);
  for (const [i, { logprobs }] of parse<Score>(scored.out).entries()) {
    const { ids, logprobs: drawn } = samples[i]!;
    expect(logprobs.slice(-ids.length)).toEqual(drawn);
  }

  const again = await posttrainHere([
    "generate",
    ...args,
    "--seed",
    "42",
    "--threads",
    "1",
    "--cpu_path",
    "plain",
  ]);
  expect(again.out).toBe(generated.out);
  const other = await posttrainHere(["generate", ...args, "--seed", "43"]);
  expect(other.out).not.toBe(generated.out);
});

it("score's sums are those of its rows, and its loss the one that sft starts from", async () => {
  const output = join(folder, "scores.jsonl");
  const { code, err, out } = await posttrainHere([
    "score",
    ...model,
    "--data",
    data,
    "--loss_on",
    "assistant",
    "--output",
    output,
  ]);
  expect(code).toBe(0);
  expect(out).toBe("");
  const rows = parse<Score>(readFileSync(output, "utf8"));
  expect(rows.map(({ line }) => line)).toEqual([1, 2, 3]);
  const all = rows.flatMap(({ logprobs }) => logprobs.slice(1) as number[]);
  const mean = -all.reduce((sum, x) => sum + x, 0) / all.length;
  const [every, assistant] = ["every token", "assistant"].map((name) => tableLine(err, name));
  expect(every).toEqual([String(all.length), mean.toFixed(4), Math.exp(mean).toPrecision(5)]);
  for (const { ids, logprobs, entropy, argmax } of rows) {
    for (const column of [logprobs, entropy, argmax]) {
      expect(column).toHaveLength(ids.length);
      expect(column[0]).toBeNull();
    }
  }

  const run = join(folder, "run");
  const sft = await posttrainHere([
    "sft",
    ...model,
    "--data",
    data,
    "--output-dir",
    run,
    "--max_steps",
    "2",
    "--no-gradient-checkpointing",
  ]);
  expect(sft.err).toBe("");
  expect(sft.code).toBe(0);
  const [first] = parse<{ loss: number }>(readFileSync(join(run, "metrics.jsonl"), "utf8"));
  expect(first!.loss.toFixed(4)).toBe(assistant![1]);
  expect(readdirSync(run).filter((name) => !name.startsWith("events.out.tfevents"))).toEqual([
    "checkpoint-2",
    "config.yaml",
    "metrics.jsonl",
    "rows.jsonl",
    "steps.jsonl",
    "trainer_log.jsonl",
  ]);
  const resolved = parseYaml(readFileSync(join(run, "config.yaml"), "utf8"));
  expect(resolved).toMatchObject({ gradient_checkpointing: false, max_steps: 2, learning_rate: 2e-5 });
  expect(sft.out.replaceAll(/\s+/g, " ")).toMatch(/3 rows read, 3 kept; \d+ tokens, \d+ of them trained/);

  // The commands it proposes work.
  const next = [...sft.out.matchAll(/npx posttrain (.*)/g)].map(([, command]) => command!.split(" "));
  expect(next.map(([command]) => command)).toEqual(["chat", "score"]);
  for (const command of next) expect((await posttrainHere(command)).code).toBe(0);
});

it("--dtype bfloat16 computes what sft --bf16 computes: the loss it ends with, and the tokens of generate", async () => {
  const run = join(folder, "bf16");
  const trained = await posttrainHere(
    ["sft", ...model, "--data", data, "--output_dir", run, "--bf16", "--json"].concat([
      "--max_steps",
      "2",
      "--learning_rate",
      "1e-3",
      "--eval_data",
      data,
      "--eval_steps",
      "2",
    ]),
  );
  expect(trained.code, trained.err).toBe(0);
  const checkpoint = ["--model_name_or_path", JSON.parse(trained.out).checkpoint as string];
  expect(trained.err.replaceAll(/\s+/g, " ")).toContain(`${checkpoint.join(" ")} --dtype bfloat16`);
  const metrics = readFileSync(join(run, "metrics.jsonl"), "utf8").trim().split("\n");
  const { eval_loss } = JSON.parse(metrics.at(-1) as string) as { eval_loss: number };
  const score = async (...dtype: readonly string[]): Promise<number> => {
    const args = ["score", ...checkpoint, "--data", data, "--loss_on", "assistant", "--json", ...dtype];
    return JSON.parse((await posttrainHere(args)).out).counted.loss;
  };
  expect(await score("--dtype", "bfloat16")).toBe(eval_loss);
  expect(await score()).not.toBe(eval_loss);
  expect(Math.abs((await score()) - eval_loss)).toBeLessThan(0.05);

  const prompt = ["--data", writeRows(folder, "bf16-prompt.jsonl", [{ input_ids: [72, 105] }])];
  const sampling = ["--temperature", "1", "--max_new_tokens", "12"];
  const drawn = await posttrainHere([
    "generate",
    ...checkpoint,
    ...prompt,
    ...sampling,
    "--dtype",
    "bfloat16",
  ]);
  const [sample] = parse<Sample>(drawn.out);
  const whole = ["--data", writeRows(folder, "bf16-whole.jsonl", [{ input_ids: [72, 105, ...sample!.ids] }])];
  const scored = await posttrainHere(["score", ...checkpoint, ...whole, "--dtype", "bfloat16"]);
  expect(parse<Score>(scored.out)[0]!.logprobs.slice(2)).toEqual(sample!.logprobs);
});

it("sft says what it cut", async () => {
  const run = join(folder, "cut");
  const args = ["--data", data, "--output_dir", run, "--max_steps", "1"];
  const cut = ["--max_length", "44", "--on_overlong", "truncate"];
  const { out } = await posttrainHere(["sft", ...model, ...args, ...cut]);
  expect(out.replaceAll(/\s+/g, " ")).toMatch(
    /lost 1 row longer than max_length 44: 1 cut to it; \d+ trained tokens lost/,
  );
});

it("chat answers piped lines on standard output and says the rest beside it", async () => {
  const args = ["chat", ...model, "--max_new_tokens", "4", "--temperature", "1", "--seed", "3"];
  const { code, out, err } = await posttrain(args, { input: "Hello\n/reset\n/what\nHello\n\nBye" });
  expect(code).toBe(0);
  expect(err).toMatch(/parameters, 3 layers, context of 512 tokens/);
  expect(err).toMatch("A new conversation.");
  expect(err).toMatch("/what is not a command");
  expect(err).toMatch(/cut at max_new_tokens 4/);
  const first = await posttrainHere(args, { input: "Hello" });
  expect(out.startsWith(first.out)).toBe(true);
  expect((await posttrainHere(args, { input: "" })).out).toBe("");
  expect((await posttrainHere(args, { input: "/exit\nHello\n" })).out).toBe("");
});

it("chat opens with the model's card", async () => {
  const card = join(model[1]!, "posttrain-card.json");
  writeFileSync(card, JSON.stringify({ description: "It adds.", example: "What is 1 + 1?" }));
  const { err } = await posttrainHere(["chat", ...model]);
  expect(err).toMatch(/^It adds\.\nFor example: What is 1 \+ 1\?\n/);
  writeFileSync(card, "{}");
  const bad = await posttrainHere(["chat", ...model]);
  expect(bad.code).toBe(1);
  expect(bad.err).toMatch(/posttrain-card\.json is not a model card/);
  rmSync(card);
});

it("chat forgets each question when the card says that the model knows single ones", async () => {
  const long = `${"1".repeat(300)}\n`;
  const args = ["chat", ...model, "--max_new_tokens", "2"];
  const full = async (): Promise<boolean> =>
    /This conversation has/.test((await posttrainHere(args, { input: long + long })).err);
  expect(await full()).toBe(true);
  const card = join(model[1]!, "posttrain-card.json");
  writeFileSync(card, JSON.stringify({ description: "It adds.", example: "1 + 1?", single_turn: true }));
  expect(await full()).toBe(false);
  rmSync(card);
});

it("chat says when the conversation is longer than the context", async () => {
  const { code, out, err } = await posttrainHere(["chat", ...model], { input: `${"1".repeat(600)}\n` });
  expect([code, out]).toEqual([0, ""]);
  expect(err).toMatch(/This conversation has 6\d\d tokens, the model's context holds 512\. \/reset/);
});

const helps = [
  ["--help"],
  ["sft", "--help"],
  ["generate", "-h"],
  ...["chat", "score", "init", "inspect", "env", "validate", "evaluate", "quickstart"].map((name) => [
    name,
    "--help",
  ]),
];

it.each(helps)("help of %s", async (...args) => {
  const { code, out, err } = await posttrainHere(args);
  expect([code, err]).toEqual([0, ""]);
  expect(out).toMatch(/Exit codes: 0 done/);
  const pasted = (line: string): boolean => /^ +(npx|--data|--prompt|echo|--model)/.test(line);
  for (const line of out.split("\n")) if (!pasted(line)) expect(line.length).toBeLessThanOrEqual(80);
});

it("help and version load no kernels", async () => {
  const env = { POSTTRAIN_NATIVE_VARIANT: "none" };
  const each = `for (const args of ${JSON.stringify(helps)}) await runCommandLine(args);`;
  const script = `import { runCommandLine } from ${JSON.stringify(join(dirname(main), "command-line.js"))};\n${each}`;
  const all = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
    ...{ env: { ...process.env, ...env }, encoding: "utf8" },
  });
  expect([all.status, all.stderr]).toEqual([0, ""]);
  expect(all.stdout.match(/Exit codes: 0 done/g)).toHaveLength(helps.length);
  expect((await posttrain(["--version"], { env })).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  const bare = await posttrain([]);
  expect([bare.code, bare.out]).toEqual([1, ""]);
});

function tableLine(err: string, name: string): readonly string[] {
  const line = err.split("\n").find((text) => text.startsWith(name)) ?? "";
  return line.slice(name.length).trim().split(/\s+/).slice(0, 3);
}
