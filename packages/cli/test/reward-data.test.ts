// posttrain reward data as a shell runs it: two checkpoints at two temperatures, a judge of one's own, kills in between.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openDevice } from "@posttrain/kernels";
import { afterAll, beforeAll, expect, it } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";
import { completion, json, openScriptedServer } from "../../../tests/support/openai-server.js";
import { writeTinyModel } from "../src/quickstart/tiny-model.js";
import { copyModel, main, makeModel, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
let args: readonly string[];
/** Graded whether a response has it: of what a model that has learnt nothing says, some do. */
const withLetter = (letter: string) => ({
  instructions: [
    { id: "keywords:letter_frequency", kwargs: { letter, let_frequency: 1, let_relation: "at least" } },
  ],
});
beforeAll(async () => {
  const judge = copyModel(await makeModel(folder), "judge");
  // What a judge is asked is longer, in tokens of bytes, than the tiny model's context.
  const config = JSON.parse(readFileSync(join(judge, "config.json"), "utf8"));
  writeFileSync(join(judge, "config.json"), JSON.stringify({ ...config, max_position_embeddings: 8192 }));
  const device = openDevice({ threads: 1 });
  await writeTinyModel(device, at("other"), 2);
  await device.close();
  const data = writeRows(folder, "queries.jsonl", [
    { prompt: "Write an e.", ...withLetter("e") },
    { prompt: "Say hello." },
    { prompt: "Write a 1.", ...withLetter("1") },
    { prompt: "Say hello." },
  ]);
  args = [
    ...["reward", "data", "--model_name_or_path", `${at("model")},${at("other")}`, "--data", data],
    ...["--temperatures", "0.7,1", "--num_samples", "2", "--max_new_tokens", "24", "--pairs_per_query", "3"],
    ...["--judge_model_name_or_path", at("judge"), "--judge_max_tokens", "24"],
  ];
});
afterAll(() => rmSync(folder, { recursive: true }));

it("samples, grades and judges; a judge that babbles is counted", async () => {
  const { code, out, err } = await posttrainHere([...args, "--output", at("a.jsonl"), "--json"]);
  // A model that has learnt nothing names no winner.
  expect(code).toBe(5);
  expect(err).toContain("without a judgement");
  const report = JSON.parse(out);
  expect(report).toMatchObject({
    queries: 3,
    repeated_queries: 1,
    responses: 24,
    judge_failures: 9,
    comparisons: 9,
  });
  expect(report.verdicts).toMatchObject({ none: 8, pass: expect.any(Number), fail: expect.any(Number) });
  expect(report.preferences.verifier).toBeGreaterThan(2);
  const first = JSON.parse(readFileSync(at("a.jsonl"), "utf8").split("\n")[0]!);
  expect(first).toMatchObject({
    schema: "preference@1",
    source: "verifier",
    criteria: { helpfulness: "chosen" },
    parents: [expect.any(String)],
  });
  expect(first.evidence.chosen.origin).toMatchObject({ weights: expect.any(String), seed: 42 });
  const open = readFileSync(`${at("a.jsonl")}.progress/unlabelled.jsonl`, "utf8")
    .trim()
    .split("\n");
  expect(open.length).toBe(9 - report.rows);
  expect(report.reasons[0]).toMatch(/no verdict/);
  if (open[0] !== "") expect(JSON.parse(open[0]!).judge_failure).toMatch(/no verdict/);
});

it("killed at any moment, the same command goes on and writes the same bytes", async () => {
  const journalled = (output: string): number => {
    const journal = at(`${output}.progress/journal.jsonl`);
    return existsSync(journal) ? readFileSync(journal, "utf8").split("\n").length - 1 : 0;
  };
  const own = [...args, "--output", at("b.jsonl"), "--to_label", at("l.jsonl")];
  for (const share of [0.1, 0.5, 0.9]) {
    const child = spawn(process.execPath, [main, ...own], { stdio: "ignore" });
    const ended = once(child, "close");
    while (journalled("b.jsonl") < share * journalled("a.jsonl") && child.exitCode === null) await sleep(20);
    child.kill("SIGKILL");
    await ended;
  }
  if (!existsSync(at("b.jsonl"))) {
    expect((await posttrainHere(own)).code).toBe(5);
  }
  expect(readFileSync(at("b.jsonl"), "utf8")).toBe(readFileSync(at("a.jsonl"), "utf8"));
});

it("what cannot be meant is said at once", async () => {
  const none = await posttrainHere(["reward", "data", "--output", at("c.jsonl")]);
  expect(none.code).toBe(1);
  expect(none.err).toContain(
    "expected checkpoints to sample from, or a server (base_url), or --responses, or --pairs",
  );
  const twice = await posttrainHere([
    ...["reward", "data", "--model_name_or_path", `${at("model")},${at("model")}`],
    ...["--data", at("queries.jsonl"), "--output", at("c.jsonl")],
  ]);
  expect(twice.code).toBe(1);
  expect(twice.err).toContain("which hold the same weights");
  const asked = writeRows(folder, "nothing.jsonl", [{ text: "x" }]);
  const nothing = await posttrainHere([
    ...["reward", "data", "--model_name_or_path", at("model"), "--data", asked, "--output", at("d.jsonl")],
  ]);
  expect(nothing.code).toBe(1);
  expect(nothing.err).toMatch(/nothing\.jsonl, line 1: it asks nothing/);
  // A reward model where a language model is wanted, before the others have sampled a token.
  const scorer = goldenPath("reward-tiny");
  for (const models of [
    ["--model_name_or_path", `${at("model")},${scorer}`],
    ["--model_name_or_path", at("model"), "--judge_model_name_or_path", scorer],
  ]) {
    const own = ["--data", at("queries.jsonl"), "--output", at("e.jsonl")];
    const { code, err } = await posttrainHere(["reward", "data", ...models, ...own]);
    expect(code).toBe(1);
    expect(err).toMatch(/reward-tiny\/config\.json: this is a reward model/);
    expect(readFileSync(at("e.jsonl.progress/journal.jsonl"), "utf8")).toBe("");
  }
});

it("every command of docs/reward-data.md runs", async () => {
  const guide = readFileSync(new URL("../../../docs/reward-data.md", import.meta.url), "utf8");
  const server = await openScriptedServer();
  const lines = [
    "truthfulness",
    "helpfulness",
    "conciseness",
    "relevance",
    "harmlessness",
    "debiasing",
    "overall",
  ];
  const verdict = json(200, completion(lines.map((name) => `${name}: tie`).join("\n")));
  server.answers = [verdict, verdict];
  writeRows(folder, "samples.jsonl", [
    { prompt: "What is 1 + 1?", answer: "2", responses: ["\\boxed{2}", "\\boxed{3}"] },
  ]);
  writeRows(folder, "pairs.jsonl", [{ prompt: "a", chosen: "b", rejected: "c", margin: 2 }]);
  const commands = [...guide.matchAll(/^npx posttrain (.*)$/gm)].map(([, line]) => line!.split(" "));
  expect(commands).toHaveLength(4);
  for (const command of commands) {
    if (command.includes("labelled.jsonl")) {
      const asked = JSON.parse(readFileSync(at("to-label.jsonl"), "utf8"));
      writeRows(folder, "labelled.jsonl", [{ ...asked, preference: "tie", by: "ada" }]);
    }
    const own = command.map((word) => (word.startsWith("http") ? server.baseUrl : word));
    const { code, err } = await posttrainHere(own, { cwd: folder });
    expect(code, `${own.join(" ")}: ${err}`).toBe(0);
  }
  server.close();
  const rows = readFileSync(at("all.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(rows.map(({ source, margin }) => [source, margin])).toEqual([
    ["verifier", undefined],
    ["pairs", 2],
  ]);
  // What was written is what `posttrain reward` trains on, by criterion too.
  const read = await posttrainHere(
    [
      ...["validate", "--stage", "reward", "--model_name_or_path", "model", "--data", "preferences.jsonl"],
      ...["--criteria", "truthfulness", "--val_size", "0"],
    ],
    { cwd: folder },
  );
  expect(read.code, read.err).toBe(0);
  expect(read.out).toContain("nothing of 1 row is lost");
});
