// posttrain data build as a shell runs it: a file of conversations that sft trains on, kills in between, what it says.
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { main, makeModel, posttrain, temporaryFolder, writeRows } from "./support/command-line.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
beforeAll(() => makeModel(folder));
afterAll(() => rmSync(folder, { recursive: true }));

it("makes puzzles that sft trains on, and goes on where it was killed", async () => {
  const args = ["data", "build", "logic", "--rows", "1000", "--seed", "9"];
  const killed = spawn(process.execPath, [main, ...args, "--output", at("logic.jsonl")], { stdio: "ignore" });
  const ended = new Promise((resolve) => killed.once("exit", resolve));
  while (!existsSync(at("logic.jsonl.progress/output.partial")) && killed.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 50));
  killed.kill("SIGKILL");
  await ended;
  expect(existsSync(at("logic.jsonl"))).toBe(false);
  const { code, out, err } = await posttrain([...args, "--output", at("logic.jsonl"), "--json"]);
  expect(code).toBe(0);
  expect(err).toMatch(/1,000 conversations in/);
  expect(JSON.parse(out)).toMatchObject({ end: "complete", rows: 1000, output: at("logic.jsonl") });
  await posttrain([...args, "--output", at("again.jsonl"), "--quiet"]);
  expect(readFileSync(at("again.jsonl"), "utf8")).toBe(readFileSync(at("logic.jsonl"), "utf8"));
  expect((await posttrain([...args, "--output", at("logic.jsonl")])).code).toBe(4);

  const trained = await posttrain([
    ...["sft", "--model_name_or_path", at("model"), "--data", at("logic.jsonl"), "--output_dir", at("run")],
    ...["--max_steps", "3", "--max_length", "256", "--on_overlong", "drop", "--json"],
  ]);
  expect([trained.code, JSON.parse(trained.out).step]).toEqual([0, 3]);
});

it("asks a model of one's own, and shows what was dropped and why", async () => {
  const seeds = writeRows(folder, "sums.jsonl", [{ question: "2+3?", answer: "5" }]);
  const { code, err } = await posttrain([
    ...["data", "build", "mathematics", "--seeds", seeds, "--model_name_or_path", at("model")],
    ...["--num_samples", "3", "--max_new_tokens", "8", "--output", at("solved.jsonl")],
  ]);
  expect(code).toBe(0);
  // A model that has learnt nothing does not come to an end.
  expect(err).toMatch(/0 conversations in/);
  expect(err).toMatch(/solve +3 +0 +cut_off 3/);
  expect(err).toContain("There are no more than these: 1,000 were asked for.");
  const dropped = readFileSync(at("solved.jsonl.progress/dropped.jsonl"), "utf8");
  expect(dropped).toContain('"prompt":"mathematics-solve"');
});

it("asks two models of one's own, of which one is needed while the other answers", async () => {
  cpSync(at("model"), at("critic"), { recursive: true });
  const seeds = writeRows(folder, "chats.jsonl", [
    {
      messages: [
        { role: "user", content: "2+3?" },
        { role: "assistant", content: "5" },
      ],
    },
  ]);
  // The tiny model's context has no room for ours.
  mkdirSync(at("prompts"));
  for (const name of ["critic", "correctness", "instructions", "reader"])
    writeFileSync(
      at(`prompts/filtering-${name}.md`),
      "version: 1\n\n# user\n{{conversation}} {{response}}\n",
    );
  const { code, err } = await posttrain([
    ...["data", "build", "filtering", "--seeds", seeds, "--model_name_or_path", at("model")],
    ...["--critic_model_name_or_path", at("critic"), "--prompts", at("prompts")],
    ...["--max_new_tokens", "4", "--output", at("flawless.jsonl")],
  ]);
  expect([code, err]).toEqual([0, expect.stringMatching(/judge +1 +0 +no_verdict 1/)]);
  expect(err).toContain(`To be looked at by somebody: ${at("flawless.jsonl.progress/review.jsonl")}`);
  expect(readFileSync(at("flawless.jsonl.progress/review.jsonl"), "utf8")).toMatch(
    /^\{.*"scorer":"critic","verdict":"none".*"reason":"no_verdict"\}\n$/,
  );
});

it("asks a model in an ONNX file, which says what its folder says", async () => {
  const exported = await posttrain([
    ...["export", "--format", "onnx", "--model_name_or_path", at("model"), "--output_dir", at("onnx")],
  ]);
  expect(exported.code).toBe(0);
  const seeds = writeRows(folder, "more-sums.jsonl", [
    { question: "2+3?", answer: "5" },
    { question: "7-4?", answer: "3" },
  ]);
  const said = async (model: string, output: string, temperature: string): Promise<unknown> => {
    const { code, err } = await posttrain([
      ...["data", "build", "mathematics", "--seeds", seeds, "--model_name_or_path", at(model)],
      ...[
        "--num_samples",
        "2",
        "--max_new_tokens",
        "6",
        "--temperature",
        temperature,
        "--output",
        at(output),
      ],
    ]);
    expect([code, err]).toEqual([0, expect.stringMatching(/solve +4 +0 +cut_off 4/)]);
    return readFileSync(at(`${output}.progress/dropped.jsonl`), "utf8");
  };
  expect(await said("onnx", "onnx.jsonl", "0")).toBe(await said("model", "folder.jsonl", "0"));
  const drawn = await said("onnx", "drawn.jsonl", "2");
  expect(new Set(String(drawn).match(/"said":"[^"]*"/g)).size).toBeGreaterThan(1);
  expect(await said("onnx", "drawn-again.jsonl", "2")).toBe(drawn);
});
