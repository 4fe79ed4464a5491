// Values that are no numbers any more: weights that are finite and overflow, a temperature that float32 cannot invert. Nothing writes null for them.
import { cpSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { readSafetensorsHeader } from "@posttrain/model";
import { afterAll, beforeAll, expect, it } from "vitest";
import { conversation, makeModel, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
const at = (...parts: readonly string[]): string => join(folder, ...parts);
let model: string;
let data: string;

beforeAll(async () => {
  model = await makeModel(folder);
  data = writeRows(
    folder,
    "rows.jsonl",
    Array.from({ length: 4 }, (_, i) => conversation(`What is ${i}?`, "7")),
  );
  cpSync(model, at("huge"), { recursive: true });
  const weights = at("huge", "model.safetensors");
  for (const [name, { begin, end }] of await readSafetensorsHeader(weights)) {
    if (!name.includes("norm")) continue;
    writeSync(
      openSync(weights, "r+"),
      new Float32Array((end - begin) / 4).fill(3.4e38),
      0,
      end - begin,
      begin,
    );
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

const lines = (text: string): readonly Record<string, unknown>[] =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

it.each([
  ["generate", ["--prompt", "Hello", "--max_new_tokens", "2"]],
  ["chat", ["--max_new_tokens", "2"]],
  ["evaluate", ["--max_new_tokens", "2", "--data", "questions.jsonl"]],
])("%s: weights that overflow are an error, not an answer", async (command, args) => {
  writeRows(folder, "questions.jsonl", [{ question: "?", answer: "1" }]);
  const all = [command, "--model_name_or_path", at("huge"), ...args];
  const { code, out, err } = await posttrainHere(all, { input: "Hello\n", cwd: folder });
  expect([code, out]).toEqual([1, ""]);
  expect(err).toMatch(/The log-probability of generated token 1 is NaN at temperature 0: .*far too large/s);
});

it.each(["1e-40", "5e-324"])("a temperature of %s is an error", async (temperature) => {
  const args = ["generate", "--model_name_or_path", model, "--prompt", "Hello", "--temperature", temperature];
  const { code, out, err } = await posttrainHere([
    ...args,
    "--max_new_tokens",
    "2",
    "--output",
    at(`t${temperature}`),
  ]);
  expect([code, out]).toEqual([1, ""]);
  expect(err).toMatch(/temperature is (1e-40|5e-324), expected 0 \(greedy\)/);
});

it("score has the words, in rows and in the table, and says so", async () => {
  const args = [
    "score",
    "--model_name_or_path",
    at("huge"),
    "--data",
    data,
    "--output",
    at("scores.jsonl"),
    "--json",
  ];
  const { code, out, err } = await posttrainHere(args);
  expect(code, err).toBe(0);
  expect(err).toMatch(/leaves the range of float32/);
  expect(JSON.parse(out).every_token).toMatchObject({ loss: "NaN", perplexity: "NaN" });
  const [row = {}] = lines(readFileSync(at("scores.jsonl"), "utf8"));
  expect(row["logprobs"]).toEqual([null, ...Array((row["ids"] as number[]).length - 1).fill("NaN")]);
  expect(row["loss"]).toBe("NaN");
});

it("a held-out loss that is none is the word in metrics.jsonl, never the best, and the run can be resumed", async () => {
  const options = {
    model_name_or_path: model,
    data,
    eval_data: data,
    output_dir: at("run"),
    max_steps: 2,
    save_steps: 1,
    // Adam moves every weight by about the learning rate: what comes after the first step overflows.
    learning_rate: 1e30,
    max_grad_norm: 0,
    eval_steps: 1,
  };
  const args = ["sft", ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])];
  const { code, err } = await posttrainHere(args);
  expect(code).toBe(1);
  expect(err).toMatch(/at step 2; the weights were left as they were/);
  const metrics = lines(readFileSync(at("run", "metrics.jsonl"), "utf8"));
  expect(metrics.filter((line) => "eval_loss" in line).map((line) => line["eval_loss"])).toEqual([
    expect.any(Number),
    expect.stringMatching(/^(NaN|Infinity)$/),
  ]);
  expect(readFileSync(at("run", "metrics.jsonl"), "utf8")).not.toContain("null");
  const again = await posttrainHere([...args, "--resume_from_checkpoint", "--json"]);
  expect(again.err).toMatch(/at step 2; the weights were left as they were/);
});

it("inspect: a difference that is none is the word", async () => {
  cpSync(model, at("broken"), { recursive: true });
  const weights = at("broken", "model.safetensors");
  const { begin } = (await readSafetensorsHeader(weights)).get("model.norm.weight")!;
  writeSync(openSync(weights, "r+"), Float32Array.of(Number.NaN), 0, 4, begin);
  const { out, err } = await posttrainHere([
    "inspect",
    "--model_name_or_path",
    model,
    "--compare_to",
    at("broken"),
    "--json",
  ]);
  expect(out, err).toContain('"Infinity"');
});
