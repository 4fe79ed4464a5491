// What the page asks of a run folder: groups by their numbers, tokens, rejected rows; folders that are no runs, and runs of a later time.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { openRollouts } from "../src/rollouts.js";
import { openRunAnswers, type RunAnswers } from "../src/run-answers.js";

const folder = mkdtempSync(join(tmpdir(), "posttrain-view-"));
afterAll(() => rmSync(folder, { recursive: true }));

let runs = 0;
let run: string;
beforeEach(() => {
  run = join(folder, `run-${runs++}`);
  mkdirSync(join(run, "rollouts"), { recursive: true });
  writeFileSync(join(run, "config.yaml"), "stage: grpo\nmodel_name_or_path: nowhere\n");
});

interface Response {
  readonly reward: number | null;
  readonly tokens?: number;
  readonly outcome?: string;
  readonly text?: string;
}

const fileOf = (step: number): string => join(run, "rollouts", `step-${String(step).padStart(6, "0")}.jsonl`);

function writeStep(
  step: number,
  groups: Readonly<Record<string, readonly Response[]>>,
  more: object = {},
): void {
  const lines = Object.entries(groups).flatMap(([prompt_id, responses], g) =>
    responses.map(({ reward, tokens = 3, outcome, text = "ok" }, sample) => ({
      schema: "rollout@1",
      ...{
        step,
        prompt_id,
        line: g + 1,
        sample,
        prompt: `Ask ${prompt_id}?`,
        completion: text,
        finish: "stop",
      },
      ...{ prompt_ids: [1], completion_ids: Array.from({ length: tokens }, (_, i) => 65 + i) },
      logprobs: Array.from({ length: tokens }, (_, i) => (i === 1 ? "-Infinity" : -i)),
      ...{
        rewards: { verifier: reward },
        reward,
        advantage: reward === null ? 0 : reward - 0.5,
        masked: false,
      },
      ...(outcome !== undefined && { verdict: { outcome, evidence: "so", details: {} } }),
      ...more,
    })),
  );
  writeFileSync(fileOf(step), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

const query = (values: Readonly<Record<string, string | number>> = {}): URLSearchParams =>
  new URLSearchParams(Object.entries(values).map(([name, value]): [string, string] => [name, String(value)]));
const found = async (
  answers: RunAnswers,
  values: Readonly<Record<string, string | number>>,
): Promise<readonly string[]> =>
  (await answers.groups(query(values))).groups.map(({ step, prompt }) => `${step}${prompt}`);

test("groups in numbers, newest step first, and what a filter leaves of them", async () => {
  writeStep(1, {
    a: [
      { reward: 1, outcome: "pass" },
      { reward: 0, outcome: "fail", tokens: 5 },
    ],
    b: [
      { reward: 1, outcome: "pass" },
      { reward: 1, outcome: "pass" },
    ],
  });
  writeStep(12, {
    a: [
      { reward: 0.25, outcome: "pass" },
      { reward: null, outcome: "infrastructure-error" },
    ],
    c: [
      { reward: null, tokens: 9 },
      { reward: null, tokens: 11 },
    ],
  });
  const answers = await openRunAnswers(run);
  const all = await answers.groups(query());
  expect(all).toMatchObject({ next: undefined, first: 1, last: 12, reached: 1 });
  expect(all.groups).toEqual([
    {
      step: 12,
      prompt: "a",
      line: 1,
      excerpt: "Ask a?",
      responses: 2,
      reward: 0.25,
      variance: null,
      length: 3,
      verdicts: { pass: 1, "infrastructure-error": 1 },
    },
    {
      step: 12,
      prompt: "c",
      line: 2,
      excerpt: "Ask c?",
      responses: 2,
      reward: null,
      variance: null,
      length: 10,
      verdicts: { none: 2 },
    },
    {
      step: 1,
      prompt: "a",
      line: 1,
      excerpt: "Ask a?",
      responses: 2,
      reward: 0.5,
      variance: 0.5,
      length: 4,
      verdicts: { pass: 1, fail: 1 },
    },
    {
      step: 1,
      prompt: "b",
      line: 2,
      excerpt: "Ask b?",
      responses: 2,
      reward: 1,
      variance: 0,
      length: 3,
      verdicts: { pass: 2 },
    },
  ]);
  expect(await found(answers, { least_reward: 0.5 })).toEqual(["1a", "1b"]);
  expect(await found(answers, { most_reward: 0.5 })).toEqual(["12a", "1a"]);
  expect(await found(answers, { least_variance: 0.1 })).toEqual(["1a"]);
  expect(await found(answers, { least_length: 4, most_length: 9 })).toEqual(["1a"]);
  expect(await found(answers, { verdict: "fail" })).toEqual(["1a"]);
  expect(await found(answers, { verdict: "none" })).toEqual(["12c"]);
  expect(await found(answers, { prompt: "a" })).toEqual(["12a", "1a"]);
  expect(await found(answers, { prompt: "a", least_step: 2 })).toEqual(["12a"]);
  await expect(answers.groups(query({ least_reward: "much" }))).rejects.toThrow(
    'least_reward is "much", expected a number.',
  );
});

test("pages of fifty, each group once", async () => {
  const many = Object.fromEntries(Array.from({ length: 35 }, (_, i) => [`p${i}`, [{ reward: i }]]));
  for (const step of [1, 2, 3, 4]) writeStep(step, many);
  const answers = await openRunAnswers(run);
  const pages: string[][] = [];
  for (let after: string | undefined = ""; after !== undefined; ) {
    const page: Awaited<ReturnType<RunAnswers["groups"]>> = await answers.groups(
      query(after === "" ? {} : { after }),
    );
    pages.push(page.groups.map(({ step, prompt }) => `${step}${prompt}`));
    after = page.next;
  }
  expect(pages.map(({ length }) => length)).toEqual([50, 50, 40]);
  expect(new Set(pages.flat()).size).toBe(140);
});

test("a file that a resumed run wrote again is read again; a new one is seen", async () => {
  writeStep(1, { a: [{ reward: 1 }] });
  const answers = await openRunAnswers(run);
  expect(await found(answers, {})).toEqual(["1a"]);
  writeStep(1, { b: [{ reward: 1 }] });
  writeStep(2, { c: [{ reward: 1 }] });
  expect(await found(answers, {})).toEqual(["2c", "1b"]);
  expect(await answers.run()).toMatchObject({ newestRollouts: 2, stage: "grpo" });
});

test("a search reads a bounded part of the files, and goes on where it ended", async () => {
  for (let step = 1; step <= 6; step++) {
    writeStep(step, { [step === 1 ? "wanted" : "other"]: [{ reward: 1, text: "x".repeat(4000) }] });
  }
  const any = [undefined, undefined] as const;
  const filter = {
    steps: any,
    reward: any,
    variance: any,
    length: any,
    verdict: undefined,
    prompt: "wanted",
  };
  const rollouts = openRollouts(run, 10_000);
  const first = await rollouts.search(filter, undefined);
  expect(first).toMatchObject({ groups: [], reached: 4, next: { step: 3, index: 0 } });
  const second = await rollouts.search(filter, first.next);
  expect(second.groups.map(({ step }) => step)).toEqual([1]);
  // What was read is known in numbers: the same search goes further.
  expect((await rollouts.search(filter, undefined)).reached).toBe(1);
});

test("a group with its responses, and a response token by token, by ids where no tokenizer is", async () => {
  writeStep(3, { a: [{ reward: 1, outcome: "pass", text: "<b>\u001b[31m\u202e" }, { reward: 0 }] });
  const answers = await openRunAnswers(run);
  const { promptText, samples } = await answers.group(query({ step: 3, prompt: "a" }));
  expect(promptText).toBe("Ask a?");
  expect(samples[0]).toEqual({
    ...{ sample: 0, text: "<b>\u001b[31m\u202e", finish: "stop", tokens: 3, rewards: { verifier: 1 } },
    ...{ reward: 1, advantage: 0.5, masked: false, verdict: { outcome: "pass", evidence: "so" } },
  });
  const tokens = await answers.tokens(query({ step: 3, prompt: "a", sample: 1 }));
  expect(tokens.tokens).toEqual([
    ["65 ", 65, 0],
    ["66 ", 66, null],
    ["67 ", 67, -2],
  ]);
  expect(tokens.note).toContain("Tokens stand by their ids: ");
  await expect(answers.group(query({ step: 3, prompt: "z" }))).rejects.toThrow(
    "has no responses to prompt z.",
  );
  await expect(answers.group(query({ step: 9, prompt: "a" }))).rejects.toThrow("has no rollouts of step 9.");
  await expect(answers.group(query({ step: "../1", prompt: "a" }))).rejects.toThrow(
    "expected a whole number",
  );
  await expect(answers.tokens(query({ step: 3, prompt: "a", sample: 7 }))).rejects.toThrow(
    "no such response",
  );
});

test("a long response comes in parts", async () => {
  writeStep(1, { a: [{ reward: 1, tokens: 5000 }] });
  const answers = await openRunAnswers(run);
  const first = await answers.tokens(query({ step: 1, prompt: "a" }));
  const second = await answers.tokens(query({ step: 1, prompt: "a", from: 4096 }));
  expect([first.tokens.length, first.total, second.tokens.length]).toEqual([4096, 5000, 904]);
  expect(second.tokens[0]).toEqual([`${65 + 4096} `, 65 + 4096, -4096]);
});

test("rejected rows by reason, and their pages", async () => {
  const lines = Array.from({ length: 120 }, (_, i) => ({
    line: i + 1,
    id: `r${i}`,
    reason: i < 20 ? "truncated" : "dropped",
    tokens: i,
    remedy: "Raise max_length.",
  }));
  writeFileSync(join(run, "rejects.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  writeFileSync(join(run, "eval_rejects.jsonl"), '{"line":7,"id":null,"reason":"bad_row"}\nnone\n');
  const answers = await openRunAnswers(run);
  expect((await answers.run()).rejected).toBe(122);
  const first = await answers.rejects(query());
  expect(first.reasons).toEqual([
    { file: "rejects.jsonl", reason: "dropped", count: 100 },
    { file: "rejects.jsonl", reason: "truncated", count: 20 },
    { file: "eval_rejects.jsonl", reason: "bad_row", count: 1 },
    { file: "eval_rejects.jsonl", reason: "a line of this file that is no JSON", count: 1 },
  ]);
  expect([first.rows.length, first.total, first.rows[0]]).toMatchObject([
    50,
    100,
    { line: 21, tokens: 20, remedy: "Raise max_length." },
  ]);
  const last = await answers.rejects(query({ file: "eval_rejects.jsonl", reason: "bad_row" }));
  expect(last.rows).toMatchObject([{ line: 7, id: null, tokens: null, remedy: "" }]);
});

test("checkpoints by their manifests, and the config", async () => {
  mkdirSync(join(run, "checkpoint-4"));
  writeFileSync(
    join(run, "checkpoint-4", "manifest.json"),
    JSON.stringify({
      ...{ schema: "checkpoint@1", step: 4, created: "2026-11-30T00:00:00.000Z" },
      accepted: [{ step: 2, key: "learning_rate", before: 1, now: 2 }],
      files: { a: { bytes: 3 }, b: { bytes: 4 } },
    }),
  );
  const answers = await openRunAnswers(run);
  expect(await answers.details()).toMatchObject({
    config: "stage: grpo\nmodel_name_or_path: nowhere\n",
    checkpoints: [{ name: "checkpoint-4", bytes: 7, accepted: ["learning_rate: 1 became 2 after step 2"] }],
  });
});

test("a later schema of responses or checkpoints is refused by name", async () => {
  writeStep(1, { a: [{ reward: 1 }] }, { schema: "rollout@2" });
  const answers = await openRunAnswers(run);
  await expect(answers.groups(query())).rejects.toThrow(
    /step-000001\.jsonl, line 1: its schema is "rollout@2", this posttrain reads "rollout@1"\. Look at the run with the posttrain that wrote it/,
  );
  mkdirSync(join(run, "checkpoint-1"));
  writeFileSync(join(run, "checkpoint-1", "manifest.json"), '{"schema":"checkpoint@2"}');
  await expect(openRunAnswers(run)).rejects.toThrow(/manifest\.json: its schema is "checkpoint@2"/);
});

test("a damaged line of responses is named with its field", async () => {
  writeStep(1, { a: [{ reward: 1 }] }, { completion_ids: "none" });
  const answers = await openRunAnswers(run);
  await expect(answers.groups(query())).rejects.toThrow(/line 1: completion_ids: .*expected array/);
  writeFileSync(fileOf(1), "torn\n");
  await expect(answers.groups(query())).rejects.toThrow(/line 1: is no JSON/);
});

test("a folder that is no run says why, and which runs it holds", async () => {
  const made = (name: string): string => {
    mkdirSync(join(folder, name), { recursive: true });
    return join(folder, name);
  };
  const refusal = (dir: string): Promise<string> =>
    openRunAnswers(dir).then(
      () => "",
      (error: Error) => error.message,
    );
  expect(await refusal(join(folder, "nowhere"))).toContain("nowhere is not there. Give the output_dir of");
  expect(await refusal(made("empty"))).toContain("is empty: no run has begun there yet.");
  writeFileSync(join(folder, "file"), "");
  expect(await refusal(join(folder, "file"))).toContain("is a file, expected the folder of a run.");
  cpSync(run, join(made("parent"), "rl"), { recursive: true });
  expect(await refusal(join(folder, "parent"))).toContain(
    `is no run: it has no config.yaml. It holds runs: ${join(folder, "parent", "rl")}.`,
  );
  expect(await refusal(made("rl/checkpoint-3"))).toContain(
    `is a checkpoint: its run is ${join(folder, "rl")}.`,
  );
  writeFileSync(join(made("broken"), "config.yaml"), "[1, 2");
  expect(await refusal(join(folder, "broken"))).toContain("is no YAML mapping");
});
