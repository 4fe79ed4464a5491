// posttrain replay: steps of finished runs again, the same bits; and what differs first, where somebody has changed what the run wrote.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { conversation, makeModel, posttrain, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
const at = (...parts: readonly string[]): string => join(folder, ...parts);
const run = (...args: readonly string[]) => posttrainHere(args, { cwd: folder });
let model = "";

beforeAll(async () => {
  model = await makeModel(folder);
  writeRows(
    folder,
    "prompts.jsonl",
    Array.from({ length: 6 }, (_, i) => ({ prompt: `Word ${i}?` })),
  );
  writeFileSync(at("own.mjs"), 'export const grade = (response) => (response.includes("e") ? 1 : 0);\n');
  const rows = Array.from({ length: 8 }, (_, i) => conversation(`What is ${i}?`, `Answer: ${i}`));
  writeRows(folder, "rows.jsonl", rows);
  const both = ["--model_name_or_path", model, "--max_steps", "3", "--save_steps", "2", "--quiet"];
  const rl = ["--verifier", "./own.mjs", "--num_generations", "4", "--max_completion_length", "12"];
  await run("grpo", ...both, "--data", "prompts.jsonl", "--output_dir", "rl", ...rl, "--most_truncated", "1");
  await run("sft", ...both, "--data", "rows.jsonl", "--output_dir", "tuned");
});
afterAll(() => rmSync(folder, { recursive: true }));

it("does a step of grpo again from the checkpoint before it, and says what is the same", async () => {
  const args = ["replay", "rl", "--step", "3", "--json"];
  const { code, out, err } = await posttrain(args, { cwd: folder });
  expect(err).toMatch(/replayed +step 3 of rl, from checkpoint-2/);
  const { same, from, compared, differs } = JSON.parse(out);
  expect({ code, same, from, differs }).toEqual({ code: 0, same: true, from: 2, differs: null });
  expect(compared.metrics).toMatch(/^1 line/);
  expect(compared.rollouts).toMatch(/^8 responses/);
  expect(compared.weights).toMatch(/^checkpoint-3\/model.safetensors: SHA-256 [0-9a-f]{64}$/);
  expect(compared.checkpoint).toMatch(
    /trainer\/grpo\.json, trainer\/optimizer\.safetensors, trainer_state\.json$/,
  );
});

it("names the file of the next checkpoint that the step does not lead to", async () => {
  const path = at("rl", "checkpoint-3", "trainer", "grpo.json");
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace(/"drawn":\d+/, '"drawn":999'));
  try {
    const { code, out } = await run("replay", "rl", "--step", "3", "--json");
    const { same, differs } = JSON.parse(out);
    expect([code, same, differs]).toEqual([
      5,
      false,
      {
        what: "checkpoint",
        first: expect.stringMatching(/^checkpoint-3\/trainer\/grpo\.json has the SHA-256 /),
      },
    ]);
  } finally {
    writeFileSync(path, text);
  }
});

it("names the log-probability that is another one", async () => {
  const path = at("rl", "rollouts", "step-000003.jsonl");
  const text = readFileSync(path, "utf8");
  const lines = text.split("\n").map((line) => (line === "" ? line : JSON.parse(line)));
  lines[4].logprobs[0] -= 1;
  writeFileSync(path, lines.map((line) => (line === "" ? line : JSON.stringify(line))).join("\n"));
  try {
    const { code, out } = await run("replay", "rl", "--step", "3");
    expect(code).toBe(5);
    expect(out.replaceAll(/\s+/g, " ")).toMatch(
      /differs rollouts: rollouts\/step-000003.jsonl, line 5: logprobs\[0\] is -\S+, and was -/,
    );
  } finally {
    writeFileSync(path, text);
  }
});

it("does a step of sft again, from its beginning", async () => {
  const { code, out } = await run("replay", "tuned", "--step", "2", "--json");
  const { same, from, compared } = JSON.parse(out);
  expect([code, same, from]).toEqual([0, true, 0]);
  expect(compared.weights).toMatch(/^checkpoint-2/);
});

it("refuses a step that there is not, and a folder that is no run", async () => {
  const late = await run("replay", "tuned", "--step", "9");
  expect([late.code, late.err]).toEqual([
    1,
    expect.stringMatching(/tuned ends after step 3: there is no step 9/),
  ]);
  const none = await run("replay", "model", "--step", "1");
  expect([none.code, none.err]).toEqual([1, expect.stringMatching(/model is no folder of a run/)]);
});
