// posttrain trace on files as the stages write them: every kind leads to its rows, and what is not there is said by name.
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createRecordIds } from "@posttrain/data";
import { modelDigest } from "@posttrain/model";
import { fileDigest, writeCheckpoint } from "@posttrain/run";
import { afterAll, beforeAll, expect, test } from "vitest";
import { goldenPath } from "../../../tests/support/golden.js";
import { rowsBelow } from "../src/trace/rows-on-disk.js";
import { trace } from "../src/trace/trace.js";
import { drawn, isWhole } from "../src/trace/tree.js";
import { temporaryFolder, writeRows } from "./support/command-line.js";

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

const questions = [
  { prompt: "What is 1 + 1?", answer: "2" },
  { prompt: "What is 2 + 2?", answer: "4" },
];
const recordId = createRecordIds();
const [, second] = questions.map(recordId) as [string, string];
const pairId = "ab".repeat(32);

/** A checkpoint of a run that has read these. */
async function checkpoint(
  run: string,
  parents: readonly (readonly [kind: string, path: string])[],
): Promise<string> {
  mkdirSync(at(run));
  const digests = await Promise.all(
    parents.map(([kind, path]) => (kind === "model" ? modelDigest(path) : fileDigest(path))),
  );
  const { dir } = await writeCheckpoint(at(run), {
    ...{ step: 3, identity: {}, accepted: [], bytes: 0 },
    parents: parents.map(([kind, path], i) => ({ kind, path, sha256: digests[i] as string })),
    write: async (to) => cpSync(at("base"), to, { recursive: true }),
  });
  return dir;
}

async function lines(id: string): Promise<readonly string[]> {
  const nodes = await trace(id, await rowsBelow([folder], () => undefined), [folder]);
  return nodes.flatMap(drawn).map((line) => line.replaceAll(`${folder}/`, "").replace(/, \d{4}-.*Z/, ""));
}

beforeAll(async () => {
  cpSync(goldenPath("qwen2-tiny-tied"), at("base"), { recursive: true });
  writeRows(folder, "rows.jsonl", [{ text: "one" }, { text: "two" }]);
  writeRows(folder, "questions.jsonl", questions);
  const sft = await checkpoint("sft", [
    ["model", at("base")],
    ["data", at("rows.jsonl")],
  ]);
  const origin = { model: sft, weights: await modelDigest(sft), sample: 0 };
  const side = { origin, verdict: {} };
  writeRows(folder, "pairs.jsonl", [
    {
      schema: "preference@1",
      prompt: "What is 2 + 2?",
      chosen: "4",
      rejected: "5",
      id: pairId,
      parents: [second],
      evidence: { chosen: side, rejected: side },
    },
    { prompt: "?", chosen: "a", rejected: "b", id: "cd".repeat(32), parents: ["ef".repeat(32)] },
  ]);
  await checkpoint("dpo", [
    ["model", sft],
    ["data", at("pairs.jsonl")],
  ]);
  mkdirSync(at("dpo/rollouts"));
  writeRows(folder, "dpo/rollouts/step-000002.jsonl", [
    { schema: "rollout@1", step: 2, prompt_id: second, sample: 1, completion: "4 of\ncourse", reward: 1 },
  ]);
  mkdirSync(at("results"));
  writeRows(folder, "results/samples_q_2026-11-30T10-00-00.000.jsonl", [
    { doc_id: 1, doc: questions[1], doc_hash: "x", resps: [["4"]] },
  ]);
  writeFileSync(
    at("results/results_2026-11-30T10-00-00.000.json"),
    JSON.stringify({ model_name: sft, config: { model_sha256: origin.weights } }),
  );
});

const sft = [
  "checkpoint  sft/checkpoint-3  step 3",
  "├─ model       base  no run's checkpoint: what it was made from is not written beside it",
  "└─ data        rows.jsonl  2 rows",
];

test("a run, by its newest checkpoint", async () => {
  expect(await lines(at("dpo"))).toEqual([
    "checkpoint  dpo/checkpoint-3  step 3",
    `├─ ${sft[0]}`,
    `│  ${sft[1]}`,
    `│  ${sft[2]}`,
    "└─ data        pairs.jsonl  2 rows",
    "   ├─ rows        questions.jsonl  1 row: line 2",
    "   ├─ rows        1 parent not found: efefefefefef...",
    "   └─ model       sft/checkpoint-3  as above",
  ]);
});

test("a pair, by how its id begins", async () => {
  expect(await lines(pairId.slice(0, 8))).toEqual([
    `pair        pairs.jsonl:1  ${pairId.slice(0, 12)}... What is 2 + 2?`,
    `├─ row         questions.jsonl:2  ${second.slice(0, 12)}... What is 2 + 2?`,
    `└─ ${sft[0]}`,
    `   ${sft[1]}`,
    `   ${sft[2]}`,
  ]);
});

test("a rollout", async () => {
  const [rollout, prompt, run, ...began] = await lines(`${at("dpo/rollouts/step-000002.jsonl")}:1`);
  expect(rollout).toBe(
    "rollout     dpo/rollouts/step-000002.jsonl:1  step 2, sample 1, reward 1: 4 of course",
  );
  expect(prompt).toBe(`├─ prompt      questions.jsonl:2  ${second.slice(0, 12)}... What is 2 + 2?`);
  expect(run).toBe("└─ run         dpo  weights of dpo after 1 step; it began from");
  expect(began[0]).toBe(`   ├─ ${sft[0]}`);
});

test("an evaluation's sample", async () => {
  expect(await lines(`${at("results/samples_q_2026-11-30T10-00-00.000.jsonl")}:1`)).toEqual([
    "sample      results/samples_q_2026-11-30T10-00-00.000.jsonl:1  question 1: 4",
    `├─ question    questions.jsonl:2  ${second.slice(0, 12)}... What is 2 + 2?`,
    `└─ ${sft[0]}`,
    `   ${sft[1]}`,
    `   ${sft[2]}`,
  ]);
});

test("what is gone or has changed is said by name, and a file that was moved is found", async () => {
  const run = await checkpoint("later", [
    ["model", at("base")],
    ["data", at("rows.jsonl")],
  ]);
  cpSync(at("rows.jsonl"), at("moved.jsonl"));
  rmSync(at("rows.jsonl"));
  expect((await lines(run)).at(-1)).toMatch(/^└─ data +moved\.jsonl {2}the run read it as rows\.jsonl$/);
  rmSync(at("moved.jsonl"));
  writeRows(folder, "rows.jsonl", [{ text: "other" }]);
  const [node] = await trace(run, await rowsBelow([folder], () => undefined), [folder]);
  expect(isWhole(node as Parameters<typeof isWhole>[0])).toBe(false);
  expect((await lines(run)).at(-1)).toMatch(
    /^└─ data +rows\.jsonl, SHA-256 [0-9a-f]{12}\.\.\.: has changed since, now [0-9a-f]{12}\.\.\.$/,
  );
});

test.each([
  ["0".repeat(64), /^No row with the id 0{64} in the \d+ files of rows that --search .* leads to\./],
  ["nowhere", /^posttrain trace: ID is "nowhere": there is no such folder or file; expected/],
  [at("questions.jsonl"), /a file: name one of its rows, as .*questions\.jsonl:1\.$/],
  [`${at("questions.jsonl")}:9`, /has no row on line 9\.$/],
  [at("results"), /is neither a model's folder nor a run with a sound checkpoint\.$/],
])("%s", async (id, said) => {
  await expect(lines(id)).rejects.toThrow(said);
});
