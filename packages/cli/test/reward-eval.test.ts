// posttrain reward eval as a shell runs it: scores of a folder and of its ONNX file agree, rows' own scores need no model.
import { cpSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";
import { makeModel, posttrain, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../reward-model/test/fixtures/eval/${name}`, import.meta.url));
const reward = join(folder, "reward");
beforeAll(async () => {
  const model = await makeModel(folder);
  cpSync(goldenPath("reward-tiny"), reward, { recursive: true });
  for (const name of readdirSync(model)) {
    if (/token|template/.test(name)) cpSync(join(model, name), join(reward, name));
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

it("a folder and its ONNX file give the same report", async () => {
  const onnx = join(folder, "onnx");
  expect((await posttrainHere(["export", "--model_name_or_path", reward, "--output_dir", onnx])).code).toBe(
    0,
  );
  const data = ["--data", fixture("rewardbench.jsonl"), "--data", fixture("verified.jsonl")];
  const scores = (name: string) =>
    readFileSync(join(folder, name), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { readonly line: number; readonly scores: readonly number[] });
  for (const [path, name] of [
    [reward, "kernels.jsonl"],
    [join(onnx, "model.onnx"), "onnx.jsonl"],
  ] as const) {
    const { code, out, err } = await posttrainHere([
      ...["reward", "eval", "--model_name_or_path", path, ...data, "--output", join(folder, name)],
    ]);
    expect(err).toBe("");
    expect(code).toBe(0);
    expect(out).toMatch(/RewardBench: +\d/);
    expect(out).toContain("length      correlation with the score");
    expect(out).toContain("best of n");
  }
  const [ours, theirs] = [scores("kernels.jsonl"), scores("onnx.jsonl")];
  expect(ours).toHaveLength(12);
  for (const [i, row] of ours.entries()) {
    expect(theirs[i]!.line).toBe(row.line);
    for (const [j, score] of row.scores.entries())
      expect(Math.abs(score - theirs[i]!.scores[j]!)).toBeLessThan(1e-4);
  }
});

it("rows' own scores need no model; a row without them, and one of no kind, are named", async () => {
  const { code, out } = await posttrain(["reward", "eval", "--json", "--data", fixture("rmb-bon.json")]);
  expect(code).toBe(0);
  expect(JSON.parse(out).reports[0]).toMatchObject({ format: "rmb", score: 0.75, rows: 3, unscored: 0 });
  const bare = writeRows(folder, "bare.jsonl", [{ prompt: "Hi", chosen: "Hello", rejected: "No" }]);
  const none = await posttrainHere(["reward", "eval", "--data", bare]);
  expect(none.code).toBe(1);
  expect(none.err).toMatch(/bare\.jsonl, line 1: no scores beside the responses/);
  const foreign = await posttrainHere(["reward", "eval", "--data", writeRows(folder, "f.jsonl", [{ a: 1 }])]);
  expect(foreign.code).toBe(1);
  expect(foreign.err).toMatch(/f\.jsonl, line 1: this is no row of a benchmark that is known/);
  const short = writeRows(folder, "short.jsonl", [
    { prompt: "Hi", chosen: "A", rejected: "B", reward_scores: [1, "x"] },
  ]);
  const bad = await posttrainHere(["reward", "eval", "--data", short]);
  expect(bad.err).toMatch(/line 1: reward_scores: expected 2 scores, one finite number/);
});

it("a language model, and an ONNX file without its folder, are refused", async () => {
  const data = ["--data", fixture("pairs.jsonl")];
  const language = await posttrainHere([
    "reward",
    "eval",
    "--model_name_or_path",
    join(folder, "model"),
    ...data,
  ]);
  expect(language.code).toBe(1);
  expect(language.err).toContain("this is a language model");
  const alone = join(folder, "alone", "model.onnx");
  cpSync(join(folder, "onnx", "model.onnx"), alone);
  const lonely = await posttrainHere(["reward", "eval", "--model_name_or_path", alone, ...data]);
  expect(lonely.code).toBe(1);
  expect(lonely.err).toContain("needs config.json and the tokenizer's files beside it");
});

it("every command of docs/reward-evaluation.md runs", async () => {
  const guide = readFileSync(new URL("../../../docs/reward-evaluation.md", import.meta.url), "utf8");
  const commands = [...guide.matchAll(/^npx posttrain (.*)$/gm)].map(([, line]) => line!.split(" "));
  expect(commands).toHaveLength(4);
  cpSync(fixture("pairs.jsonl"), join(folder, "pairs.jsonl"));
  cpSync(fixture("pairs.jsonl"), join(folder, "scored.jsonl"));
  cpSync(fixture("verified.jsonl"), join(folder, "verified.jsonl"));
  for (const command of commands) {
    const { code, err } = await posttrainHere(command, { cwd: folder });
    expect(code, `${command.join(" ")}: ${err}`).toBe(0);
  }
});
