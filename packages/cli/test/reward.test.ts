// posttrain reward, reward score and chat --reward_model as a shell runs them: a model learns what is better, its scores come back beside rows of
// every form, and what cannot be scored or is no reward model is said.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";
import { makeModel, type Outcome, posttrain, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const at = (...parts: readonly string[]): string => join(folder, ...parts);
const lines = (text: string) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
const ask = (i: number): object[] => [{ role: "user", content: `What is ${i} + ${i % 7}?` }];
const right = (i: number): string => String(i + (i % 7));
const wrong = (i: number): string => `I do not know ${i}`;
const say = (content: string): object[] => [{ role: "assistant", content }];

let model: string;
let trained: Outcome;
let reward: string;
beforeAll(async () => {
  model = await makeModel(folder);
  const rows = Array.from({ length: 48 }, (_, i) => ({
    prompt: ask(i),
    chosen: say(right(i)),
    rejected: say(wrong(i)),
    criteria: { helpfulness: "chosen", conciseness: i % 2 === 0 ? "rejected" : "tie" },
  }));
  const data = writeRows(folder, "pairs.jsonl", rows);
  const options = [
    "--max_steps",
    "6",
    "--learning_rate",
    "1e-3",
    "--val_size",
    "8",
    "--criteria",
    "helpfulness",
    "--criteria",
    "conciseness",
  ];
  trained = await posttrain([
    "reward",
    "--model_name_or_path",
    model,
    "--data",
    data,
    "--output_dir",
    at("run"),
    ...options,
  ]);
  reward = at("run", "checkpoint-6");
});
const score = (rows: readonly unknown[], ...more: readonly string[]): Promise<Outcome> =>
  posttrainHere([
    "reward",
    "score",
    "--model_name_or_path",
    reward,
    "--data",
    writeRows(folder, "rows.jsonl", rows),
    ...more,
  ]);

it("trains: what it starts from, what it pads with, held-out accuracy by head, and what comes next", () => {
  const said = trained.out.replace(/\s+/g, " ");
  expect(trained.code, trained.err).toBe(0);
  expect(said).toContain("criteria helpfulness, weight 0.5: 40 rows with a label");
  // The tiny model pads with <|endoftext|>, where it stops as well.
  expect(said).toMatch(/padding \S+ \(\d+\) in place of <\|endoftext\|>, which may end a response/);
  expect(said).toMatch(/step 6 held-out loss \d\.\d{4} accuracy 100\.0 % .*helpfulness 100\.0 %/);
  expect(said).toContain("npx posttrain reward score --model_name_or_path");
  const config = JSON.parse(readFileSync(join(reward, "config.json"), "utf8"));
  const tokenizer = JSON.parse(readFileSync(join(reward, "tokenizer_config.json"), "utf8"));
  expect(config).toMatchObject({
    architectures: ["Qwen2ForSequenceClassification"],
    id2label: { 0: "LABEL_0" },
  });
  const { added_tokens } = JSON.parse(readFileSync(join(reward, "tokenizer.json"), "utf8"));
  const pad = added_tokens.find(({ id }: { id: number }) => id === config.pad_token_id);
  expect(pad.content).toBe(tokenizer.pad_token);
  const last = lines(readFileSync(at("run", "metrics.jsonl"), "utf8")).at(-1);
  expect(last).toMatchObject({ step: 6, eval_accuracy: 1, "eval_accuracy/helpfulness": 1 });
});

describe("reward score", () => {
  it("puts scores beside rows of every form, the same for the same sequence", async () => {
    const rows = [
      { prompt: ask(50), chosen: say(right(50)), rejected: say(wrong(50)) },
      {
        prompt: ask(50),
        responses: [wrong(50), right(50), say(right(50))],
        labels: [0, 1, null],
        note: "kept",
      },
      { prompt: ask(50), response: right(50) },
      { messages: [...ask(50), ...say(right(50))] },
    ];
    const { code, out, err } = await score(rows);
    expect(code, err).toBe(0);
    const [pair, list, single, conversation] = lines(out);
    const [better, worse] = pair.reward_scores;
    expect(better).toBeGreaterThan(worse);
    expect(list.reward_scores).toEqual([worse, better, better]);
    expect(single.reward_score).toBe(better);
    expect(conversation.reward_score).toBe(better);
    expect(list).toMatchObject({ ...rows[1] });
    // The score is the weighted sum of the heads.
    const { helpfulness, conciseness } = single.head_scores;
    expect(Math.abs((helpfulness + conciseness) / 2 - better)).toBeLessThan(1e-5);
    expect(pair.head_scores[0]).toEqual(single.head_scores);
    expect(err).toContain("the better response scores higher in 100.0 % of 2 rows");
    // A file that appears whole, and the summary as JSON.
    const again = await score(rows, "--output", at("scored.jsonl"), "--json");
    expect(readFileSync(at("scored.jsonl"), "utf8")).toBe(out);
    expect(JSON.parse(again.out)).toMatchObject({
      rows: 4,
      responses: 7,
      unscored: 0,
      pairs: 2,
      accuracy: 1,
    });
  });

  it("a response beyond the context has no score, and is counted", async () => {
    const long = "no ".repeat(600);
    const { code, out, err } = await score([{ prompt: ask(1), responses: [right(1), long] }, { text: long }]);
    expect(code).toBe(0);
    const [list, text] = lines(out);
    expect(list.reward_scores).toEqual([expect.any(Number), null]);
    expect(text.reward_score).toBe(null);
    expect(err).toContain(
      "2 responses without a score (null): longer than the model's context of 512 tokens",
    );
  });

  it.each<[string, readonly unknown[], RegExp]>([
    [
      "a row that is none",
      [{ text: "a" }, { answer: 1 }],
      /rows\.jsonl, line 2: this kind of row is not known/,
    ],
    ["no JSON", [{ text: "a" }, "{"], /rows\.jsonl, line 2/],
    [
      "ids of another tokenizer",
      [{ input_ids: [1, 4000] }],
      /line 1: input_ids\[1\] is 4000, but the model knows the ids 0 to 319/,
    ],
    [
      "special tokens in what is said",
      [{ prompt: ask(1), response: "<|im_end|>" }],
      /line 1: .*<\|im_end\|>/,
    ],
  ])("refuses %s", async (_, rows, message) => {
    const { code, out, err } = await score(rows);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(message);
  });

  it("refuses a language model, and other commands a reward model, each with the command that takes it", async () => {
    const data = writeRows(folder, "one.jsonl", [{ text: "a" }]);
    const language = await posttrainHere(["reward", "score", "--model_name_or_path", model, "--data", data]);
    expect([language.code, language.err]).toEqual([
      1,
      expect.stringContaining("posttrain reward makes one of it"),
    ]);
    for (const command of [["chat"], ["generate", "--prompt", "a"], ["score", "--data", data]]) {
      const { code, err } = await posttrainHere([...command, "--model_name_or_path", reward]);
      expect([code, err]).toEqual([1, expect.stringContaining("posttrain reward score takes it")]);
    }
  });
});

it("chat shows under each answer what reward score says of the conversation", async () => {
  const talk = ["chat", "--model_name_or_path", model, "--reward_model", reward, "--max_new_tokens", "6"];
  const { code, out, err } = await posttrainHere([...talk, "--json"], { input: "What is 4 + 4?\n" });
  expect(code, err).toBe(0);
  const { prompt, text, reward_score } = JSON.parse(out);
  const [row] = lines((await score([{ prompt: [{ role: "user", content: prompt }], response: text }])).out);
  expect(Math.fround(reward_score)).toBe(Math.fround(row.reward_score));
  const shown = await posttrainHere(talk, { input: "What is 4 + 4?\n" });
  expect(shown.err).toContain(`(score ${reward_score.toFixed(3)})`);
  const refused = await posttrainHere(["chat", "--model_name_or_path", model, "--reward_model", model], {
    input: "a\n",
  });
  expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("a reward model is wanted here")]);
});

it("validate, plan and init serve the stage, from rows that are bad too", async () => {
  const bad = [
    { prompt: ask(1), chosen: say("2"), rejected: say("2") },
    { prompt: ask(1), chosen: say("2"), rejected: say("3"), margin: "much" },
    { prompt: ask(2), chosen: say("4"), rejected: say("5") },
  ];
  const data = writeRows(folder, "bad.jsonl", bad);
  const stage = ["--stage", "reward", "--model_name_or_path", model];
  const validated = await posttrainHere(["validate", ...stage, "--data", data, "--json"]);
  expect(validated.code).toBe(1);
  const { counts, rejects } = JSON.parse(validated.out);
  expect(counts).toMatchObject({ read: 3, kept: 1, rejected: 2 });
  expect(rejects.map(({ reason }: { reason: string }) => reason).sort()).toEqual([
    "bad_row",
    "no_difference",
  ]);
  const planned = await posttrainHere(["plan", ...stage, "--data", at("pairs.jsonl"), "--json"]);
  expect(JSON.parse(planned.out)).toMatchObject({ fits: true, steps: 6 });
  const made = await posttrainHere([
    "init",
    ...stage,
    "--data",
    at("pairs.jsonl"),
    "--output",
    at("reward.yaml"),
  ]);
  expect(made.code, made.err).toBe(0);
  expect(readFileSync(at("reward.yaml"), "utf8")).toMatch(/^stage: reward/m);
  const run = await posttrainHere([
    "reward",
    "--config",
    at("reward.yaml"),
    "--output_dir",
    at("by-config"),
    "--max_steps",
    "1",
  ]);
  expect(run.code, run.err).toBe(0);
});

it("a reward model is trained on, and one with other heads refused", async () => {
  const args = ["reward", "--data", at("pairs.jsonl"), "--max_steps", "1", "--model_name_or_path"];
  const heads = ["--criteria", "helpfulness", "--criteria", "conciseness"];
  const on = await posttrainHere([...args, reward, "--output_dir", at("on"), ...heads]);
  expect(on.code, on.err).toBe(0);
  const other = await posttrainHere([...args, reward, "--output_dir", at("other")]);
  expect([other.code, other.err]).toEqual([
    1,
    expect.stringContaining(
      "is a reward model with the heads helpfulness (0.5), conciseness (0.5), and criteria asks for one head",
    ),
  ]);
  writeFileSync(at("tokens.jsonl"), `${JSON.stringify({ chosen_ids: [5, 6], rejected_ids: [5, 7] })}\n`);
  const golden = [
    "reward",
    "--data",
    at("tokens.jsonl"),
    "--max_steps",
    "1",
    "--model_name_or_path",
    goldenPath("reward-tiny"),
  ];
  const plain = await posttrainHere([...golden, "--output_dir", at("plain")]);
  expect(plain.code, plain.err).toBe(0);
});
