// Rewards of the user's own: whichever signature they have, all responses to a prompt get theirs; what a function cannot do is told from what it says.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { openOwnReward } from "../src/own-reward.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-own-reward-"));
afterAll(() => rmSync(folder, { recursive: true }));

const texts = ["a", "bbb", "cc"];
async function scoreBy(
  file: string,
  source: string,
  row: object = { prompt: "Which?", answer: "bbb" },
  name = "",
) {
  const path = join(folder, file);
  writeFileSync(path, source);
  await using reward = await openOwnReward(`${path}${name}`, { timeoutSeconds: 2 });
  const group = texts.map((text) => ({
    ...{ row: row as Record<string, unknown>, text },
    ...{ ids: Int32Array.from(text, (c) => c.charCodeAt(0)), promptIds: Int32Array.of(1, 2) },
  }));
  return { name: reward.name, scores: await reward.score(group) };
}
const values = [{ value: 0 }, { value: 1 }, { value: 0 }];

it.each([
  [
    "TRL's, parameters by name",
    "trl.mjs",
    "export function right_reward(prompts, completions, answer) { return completions.map((text, i) => Number(text === answer[i] && prompts[i] === 'Which?')); }",
  ],
  [
    "TRL's, one object",
    "object.mjs",
    "export const right_reward = async ({ completions, answer, completion_ids }) => completions.map((text, i) => Number(text === answer[i] && completion_ids[i].length === 3));",
  ],
  [
    "TRL's, by place",
    "place.mjs",
    "export const right_reward = (completions, columns) => completions.map((text, i) => Number(text === columns.answer[i]));",
  ],
  [
    "TRL's, the rest",
    "rest.mjs",
    "export function right_reward(prompts, completions, ...rest) { return completions.map((text, i) => Number(text === rest[0].answer[i])); }",
  ],
  [
    "TRL's in Python",
    "trl.py",
    "def right_reward(prompts, completions, answer, **kwargs):\n    return [float(c == a) for c, a in zip(completions, answer)]\n",
  ],
  [
    "the whole group's: the longest",
    "group.mjs",
    "export const longest_reward = (prompts, completions) => completions.map((text) => Number(completions.every((other) => other.length <= text.length)));",
  ],
  ["ours", "own.mjs", "export const grade = (response, row) => response === row.answer;"],
])("%s", async (_, file, source) => {
  const { name, scores } = await scoreBy(file, source);
  expect(name).toMatch(/_reward$|^grade$/);
  expect(scores).toEqual(values);
});

it("verl's, with its columns", async () => {
  const row = {
    prompt: "Which?",
    data_source: "letters",
    reward_model: { style: "rule", ground_truth: "bbb" },
  };
  const source = `export function compute_score(data_source, solution_str, ground_truth, extra_info) {
    return { score: data_source === "letters" && solution_str === ground_truth ? 1 : 0, extra_info };
  }`;
  expect((await scoreBy("verl.mjs", source, row)).scores).toEqual(values);
});

it("TRL's with messages, where the prompt is of messages", async () => {
  const row = { prompt: [{ role: "user", content: "Which?" }] };
  const source =
    "export const said_reward = (prompts, completions) => completions.map(([turn], i) => Number(turn.role === 'assistant' && turn.content === 'bbb' && prompts[i][0].content === 'Which?'));";
  expect((await scoreBy("messages.mjs", source, row)).scores).toEqual(values);
});

it("null is no reward, and no problem", async () => {
  const { scores } = await scoreBy(
    "null.mjs",
    "export const odd_reward = (prompts, completions) => [1, null, 0];",
  );
  expect(scores).toEqual([{ value: 1 }, { value: null }, { value: 0 }]);
});

it.each([
  ["another number of values", "export const bad_reward = (prompts) => [1, 2];", /^2 values$/],
  ["text", "export const bad_reward = (prompts) => [1, 'good', 1];", /^"good"$/],
  ["NaN", "export const bad_reward = (prompts) => [1, NaN, 1];", /^NaN$/],
  ["no list", "export const bad_reward = (prompts) => 3;", /^3$/],
])("%s means nothing", async (_, source, unusable) => {
  const { scores } = await scoreBy("bad.mjs", source);
  expect(scores).toEqual({ unusable: expect.stringMatching(unusable) });
});

it.each([
  [
    "throws",
    "export const bad_reward = (prompts) => { throw new Error('the file is gone'); };",
    /the reward failed: .*the file is gone/s,
  ],
  ["hangs", "export const bad_reward = (prompts) => { for (;;); };", /did not answer within 2 s/],
  [
    "asks for a column that there is not",
    "export const bad_reward = (prompts, solution) => [];",
    /asks for solution, which is no column/,
  ],
])("%s: no reward, with the reason", async (_, source, problem) => {
  const { scores } = await scoreBy("broken.mjs", source);
  expect(scores).toHaveLength(3);
  for (const score of scores as object[])
    expect(score).toEqual({ value: null, problem: expect.stringMatching(problem) });
});
