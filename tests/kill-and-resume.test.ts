// Promise 2 over deaths: a command that is killed (kill -9) anywhere, whose newest checkpoint is sometimes torn, and that goes on with other
// instructions and threads each time, leaves what an undisturbed one leaves: every file of the run folder, byte for byte but for times, and no
// other. Four kills of each stage here; `npm run test:long` has a hundred.
//
// A kill falls on a call by which the process changes files, drawn from those that the undisturbed run makes while it saves or elsewhere: before
// it, half-way through it, or later, while whatever comes next is computed (support/kill-at.mjs). A run that comes to its end before all kills
// are spent is begun anew. Seen red with a run that was killed in its first write, and was refused as none.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { open, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { uniform } from "@posttrain/data";
import { openDevice } from "@posttrain/kernels";
import type { ComputeDtype } from "@posttrain/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Outcome, startPosttrain } from "./support/command-line.js";
import { pathsFor } from "./support/dtypes.js";
import { completion, json, openScriptedServer, type ScriptedServer } from "./support/openai-server.js";
import { writeTinyPolicy } from "./support/tiny-policy.js";
import { stageArgs, testFolder, writeBase, writePairRows, writeTokenRows } from "./support/tiny-run.js";

const asked = Number(process.env["POSTTRAIN_TEST_KILLS"] ?? 4);
const seed = 1;

const folder = testFolder();
const at = (name: string): string => join(folder, name);
const preload = `--import ${new URL("support/kill-at.mjs", import.meta.url).href}`;

let server: ScriptedServer;
/** Requests to it at once: what a kill may cost. */
const atOnce = 2;
/** Words and verdicts by what is asked alone. */
const says: Parameters<typeof openScriptedServer>[0] = (body, response) => {
  const digest = createHash("sha256").update(JSON.stringify(body)).digest("hex");
  const verdicts = ["truthfulness", "helpfulness", "conciseness", "relevance", "harmlessness", "debiasing"];
  const judged = [...verdicts, "overall"].map((name, i) => `${name}: ${"AB"[Number(`0x${digest[i]}`) % 2]}`);
  json(200, completion(body["model"] === "judge" ? judged.join("\n") : digest.slice(0, 24)))(body, response);
};
afterAll(() => server.close());
beforeAll(async () => {
  server = await openScriptedServer(says);
  const device = openDevice({ threads: 1 });
  await writeTinyPolicy(device, folder);
  await device.close();
});

const rows = writeTokenRows(at("rows.jsonl"), 20);
const heldOut = writeTokenRows(at("held-out.jsonl"), 5, 1000);
const pairs = writePairRows(at("pairs.jsonl"), 20);
const heldOutPairs = writePairRows(at("held-out-pairs.jsonl"), 5, 1000);
const base = writeBase(at("base"));
/** What a model without training writes has an "e" now and then. */
const graded = Array.from({ length: 6 }, (_, i) => ({
  prompt: `Word ${i}?`,
  instruction_id_list: ["keywords:letter_frequency"],
  kwargs: [{ letter: "e", let_frequency: 1, let_relation: "less than" }],
}));
writeFileSync(at("graded.jsonl"), graded.map((row) => `${JSON.stringify(row)}\n`).join(""));

const training = {
  max_steps: 8,
  save_steps: 1,
  save_total_limit: 3,
  eval_steps: 3,
  weight_decay: 0.1,
  warmup_steps: 3,
  lr_scheduler_type: "cosine",
  gradient_accumulation_steps: 2,
};
// Lines of metrics that are means over three steps: what is summed up between two lines survives too.
const merging = {
  ...{ bf16: "true", logging_steps: 3 },
  ...{ optim: "online_dare", base_model_name_or_path: base, merge_scaling: "paper" },
  ...{ merge_every: 2, merge_reserve: 0.5, merge_alpha: 1e-5 },
};
const sampled = { model_name_or_path: at("model"), data: at("graded.jsonl") };
const grpo = {
  ...{ ...sampled, num_generations: 4, per_device_train_batch_size: 8, max_completion_length: 24 },
  ...{ max_steps: 6, save_total_limit: 2, most_truncated: 1, eval_steps: 3, gradient_accumulation_steps: 1 },
  eval_data: sampled.data,
};

const { data: _, ...ofRollouts } = grpo;
/** Responses of another program, four to each of six prompts. */
const given = Array.from({ length: 24 }, (_, i) => {
  const group = Math.floor(i / 4);
  const ids = Array.from({ length: 3 + (i % 5) }, (_, t) => (i * 31 + t * 7) % 256);
  return {
    ...{ group, prompt_ids: [72, 105, 48 + group], completion_ids: ids },
    ...{ logprobs: ids.map(() => -5.7), reward: i % 3 === 0 ? 1 : 0 },
  };
});
writeFileSync(at("rollouts.jsonl"), given.map((row) => `${JSON.stringify(row)}\n`).join(""));

type Options = Readonly<Record<string, string | number>>;

interface Case {
  readonly stage: string;
  readonly dtype: ComputeDtype;
  /** Of the kills that are asked for. */
  readonly share: number;
  readonly args: readonly string[];
}

function trainer(stage: string, share: number, data: string | undefined, options: Options): Case {
  const args = stageArgs(stage, "run", data, { ...training, ...options });
  return { stage, dtype: "bf16" in options ? "bf16" : "f32", share, args };
}

const cases: readonly Case[] = [
  trainer("sft", 0.5, rows, { eval_data: heldOut }),
  trainer("sft", 0.5, rows, { eval_data: heldOut, ...merging }),
  trainer("reward", 0.5, pairs, { eval_data: heldOutPairs, center_rewards_coefficient: 0.01 }),
  // Heads of their own are a file more, and a weight that follows from others.
  trainer("reward", 0.5, pairs, {
    ...{ eval_data: heldOutPairs, bf16: "true", logging_steps: 3, criteria: "helpfulness,conciseness" },
  }),
  trainer("dpo", 0.5, pairs, { eval_data: heldOutPairs, loss_type: "sigmoid,sft" }),
  trainer("dpo", 0.5, pairs, { eval_data: heldOutPairs, ...merging }),
  trainer("grpo", 0.5, sampled.data, grpo),
  trainer("grpo", 0.5, sampled.data, {
    ...{ ...grpo, bf16: "true", episode_size: 16, num_iterations: 2, beta: 0.05 },
  }),
  trainer("grpo", 0.5, undefined, {
    ...{ ...ofRollouts, rollouts: at("rollouts.jsonl"), episode_size: 16, num_iterations: 2, beta: 0.05 },
    // Of no model: their log-probabilities are nobody's, and ratios are as they come.
    stop_on_alarm: "false",
  }),
  {
    stage: "dpo pairs",
    dtype: "f32",
    share: 1,
    args: [
      ...["dpo", "pairs", "--model_name_or_path", sampled.model_name_or_path, "--data", sampled.data],
      ...["--num_samples", "8", "--max_new_tokens", "24", "--output", "run/pairs.jsonl"],
      ...["--review", "run/review.jsonl"],
    ],
  },
  {
    stage: "reward data",
    dtype: "f32",
    share: 1,
    args: [
      ...["reward", "data", "--model_name_or_path", sampled.model_name_or_path, "--data", sampled.data],
      ...["--num_samples", "2", "--max_new_tokens", "24", "--output", "run/preferences.jsonl"],
      ...[
        "--base_url",
        "SERVER",
        "--model",
        "policy",
        "--judge_base_url",
        "SERVER",
        "--judge_model",
        "judge",
      ],
      ...["--num_concurrent", String(atOnce), "--to_label", "run/to-label.jsonl"],
    ],
  },
];

test.each(cases)(
  "$stage in $dtype, killed again and again, leaves what an undisturbed one leaves",
  { timeout: 600_000 + asked * 20_000 },
  async ({ stage, dtype, share, args }) => {
    const number = cases.findIndex((one) => one.args === args);
    const trains = !stage.includes(" ");
    const begin = (name: string): string => {
      mkdirSync(at(join(name, trains ? "" : "run")), { recursive: true });
      return at(name);
    };
    const run = (cwd: string, kill: object, env: Readonly<Record<string, string>> = {}): Promise<Outcome> => {
      const told = JSON.stringify({ ...kill, note: `${cwd}.jsonl` });
      const own = { ...env, NODE_OPTIONS: preload, POSTTRAIN_TEST_KILL: told };
      const words = args.map((word) => (word === "SERVER" ? server.baseUrl : word));
      return startPosttrain([...words, ...(trains ? ["--resume_from_checkpoint"] : [])], { cwd, env: own })
        .done;
    };

    const whole = begin(`whole-${number}`);
    const started = performance.now();
    const undisturbed = await run(whole, {});
    const milliseconds = performance.now() - started;
    expect(undisturbed.code, undisturbed.err).toBe(0);
    const expected = await contents(join(whole, "run"));
    const paid = server.bodies.length;
    server.reset();
    const [{ calls }] = notes(whole) as [{ readonly calls: { saving: number; elsewhere: number } }];

    const killed = `killed-${number}`;
    const kills = Math.ceil(asked * share);
    const seen = { kills: 0, resumed: 0, torn: 0 };
    // Plain C++ takes ten times as long.
    const paths = pathsFor(dtype).filter((path) => path !== "plain" || asked >= 100);
    let cwd = begin(killed);
    let since = 0; // kills of this run
    for (let turn = 0, ended = false; seen.kills < kills || !ended; turn++) {
      const draw = (what: number): number => uniform(seed, "shuffling", [turn, what, number, 0]);
      const oneOf = <T>(what: number, items: readonly T[]): T =>
        items[Math.floor(draw(what) * items.length)] as T;
      const where = trains ? oneOf(6, ["saving", "elsewhere"] as const) : "elsewhere";
      const kill = {
        where,
        // The first in the second half, so that there is something to go on from.
        at:
          seen.kills < kills ? Math.floor(((turn === 0 ? 1 : 0) + draw(0)) * (calls[where] / 2)) : undefined,
        how: oneOf(1, ["before", "half", "later"]),
        after: (draw(2) * milliseconds) / 20,
      };
      const machine = { POSTTRAIN_CPU: oneOf(3, paths), POSTTRAIN_THREADS: oneOf(4, ["1", "2"]) };
      const { code, out, err } = await run(cwd, kill, machine);
      if (/resumed|taken from the journal/.test(out + err)) seen.resumed++;
      ended = code !== null;
      if (!ended) {
        seen.kills++;
        since++;
        if (trains && draw(5) < 0.25 && (await tearNewest(join(cwd, "run")))) seen.torn++;
        continue;
      }
      const history = notes(cwd)
        .map((note) => JSON.stringify(note))
        .join("\n");
      expect([0, 4], `${history}\n${err}`).toContain(code);
      const found = await contents(join(cwd, "run"));
      // A kill after the last checkpoint leaves what it would have deleted; nothing is left to do, so nothing does.
      if (code === 4)
        for (const name of Object.keys(found)) if (isOld(name) && !(name in expected)) delete found[name];
      expect(found, history).toEqual(expected);
      // Of what a server has said nothing is asked for again, but what was on its way.
      expect(server.bodies.length, history).toBeLessThanOrEqual(paid + since * atOnce);
      server.reset();
      since = 0;
      await rm(cwd, { recursive: true });
      cwd = begin(killed);
    }
    if (stage !== "reward data") expect(seen.resumed).toBeGreaterThan(trains ? kills / 4 : 0);
    if (trains && kills >= 10) expect(seen.torn).toBeGreaterThan(0);
  },
);

const notes = (cwd: string): readonly unknown[] =>
  readFileSync(`${cwd}.jsonl`, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

/** Cuts the weights of the newest checkpoint short, when there is another to fall back to. */
async function tearNewest(run: string): Promise<boolean> {
  const names = await readdir(run).catch(() => []);
  const found = names.flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? []).map(Number);
  if (found.length < 2) return false;
  const file = await open(join(run, `checkpoint-${Math.max(...found)}`, "model.safetensors"), "r+");
  await file.truncate(Math.floor((await file.stat()).size / 2));
  await file.close();
  return true;
}

const isOld = (name: string): boolean => /^(checkpoint-\d+|episodes)\//.test(name);
/** Events are a file a process; torn checkpoints are kept aside; the report of pairs counts what it did not have to do again. */
const isOwn = (name: string): boolean => /^(events\.|damaged-|superseded-)|report\.json$/.test(name);
const isJournal = (name: string): boolean => /journal|replies|^reference\.jsonl$/.test(name);
/** Values that tell of time, and the digest over one. */
const timed = /time|seconds|tokens_per_second|throughput|^created$/;

/** All files of a run by their names: digests, or lines without times; a journal's lines have no order. */
async function contents(run: string): Promise<Record<string, unknown>> {
  const files: Record<string, unknown> = {};
  for (const name of (await readdir(run, { recursive: true })).sort()) {
    const path = join(run, name);
    if (isOwn(name) || (await stat(path)).isDirectory()) continue;
    const bytes = await readFile(path);
    const untimed = (text: string): string =>
      JSON.stringify(JSON.parse(text), (key, value) => (timed.test(key) ? undefined : value));
    const lines = (): string[] => (bytes.toString("utf8").match(/.+/g) ?? []).map(untimed);
    if (name.endsWith("manifest.json"))
      files[name] = { ...JSON.parse(untimed(String(bytes))), sha256: undefined };
    else if (isJournal(name)) files[name] = lines().sort();
    else if (name.endsWith(".jsonl")) files[name] = lines();
    else files[name] = createHash("sha256").update(bytes).digest("hex");
  }
  return files;
}
