// posttrain run on tiny models: killed anywhere it goes on and leaves the same bytes; what has not changed is skipped, and a change runs again what depends on it.
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { openDevice } from "@posttrain/kernels";
import { beforeAll, expect, test } from "vitest";
import { posttrainHere } from "../packages/cli/test/support/in-process.js";
import { type Outcome, startPosttrain } from "./support/command-line.js";
import { goldenPath } from "./support/golden.js";
import { writeTinyPolicy } from "./support/tiny-policy.js";
import { testFolder, writePairRows, writeTokenRows } from "./support/tiny-run.js";

const folder = testFolder();
const at = (name: string): string => join(folder, name);

const training = "per_device_train_batch_size: 3\n    learning_rate: 1e-3\n    save_steps: 2\n    threads: 1";
const tiny = `output_dir: run
steps:
  dpo:
    run: dpo
    model_name_or_path: \${sft.checkpoint}
    data: pairs.jsonl
    max_steps: 6
    ${training}
  sft:
    run: sft
    model_name_or_path: ${goldenPath("qwen2-tiny-tied")}
    data: rows.jsonl
    max_steps: 8
    ${training}
`;

function begin(name: string, pipeline = tiny): string {
  mkdirSync(at(name));
  writeFileSync(at(join(name, "p.yaml")), pipeline);
  writeTokenRows(at(join(name, "rows.jsonl")), 20);
  writePairRows(at(join(name, "pairs.jsonl")), 20);
  return at(name);
}

const run = (cwd: string, ...flags: readonly string[]): Promise<Outcome> =>
  startPosttrain(["run", "p.yaml", ...flags], { cwd }).done;
/** The same where no step is begun: each is a process of its own. */
const runNothing = (cwd: string, ...flags: readonly string[]): Promise<Outcome> =>
  posttrainHere(["run", "p.yaml", ...flags], { cwd });

/** SHA-256 of every file of weights below, but those set aside. */
function weightsIn(cwd: string): Readonly<Record<string, string>> {
  const names = readdirSync(join(cwd, "run"), { recursive: true }).map(String).sort();
  return Object.fromEntries(
    names
      .filter((name) => name.endsWith(".safetensors") && !name.includes("superseded"))
      .map((name) => [
        name,
        createHash("sha256")
          .update(readFileSync(join(cwd, "run", name)))
          .digest("hex"),
      ]),
  );
}

/** Steps that a run of a stage has logged. */
function stepsOf(cwd: string, step: string): number {
  const file = join(cwd, "run", step, "steps.jsonl");
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0;
}

let whole = "";
beforeAll(async () => {
  whole = begin("whole");
  const { code, err, out } = await run(whole);
  expect(code, err).toBe(0);
  // In the order of what they read, not of the file.
  expect(out.indexOf("[1/2] sft")).toBeLessThan(out.indexOf("[2/2] dpo"));
});

test("killed in its stages and between them, it goes on, and leaves the same bytes", async () => {
  const cwd = begin("killed");
  const kills = [
    ["sft", 3],
    ["dpo", 2],
  ] as const;
  for (const [step, logged] of kills) {
    const { child, said, done } = startPosttrain(["run", "p.yaml"], { cwd });
    while (stepsOf(cwd, step) < logged && child.exitCode === null)
      await new Promise((go) => setTimeout(go, 5));
    child.kill("SIGKILL");
    await done;
    expect(child.signalCode, said()).toBe("SIGKILL");
  }
  // Before and half-way through what the pipeline itself writes.
  const preload = `--import ${new URL("support/kill-at.mjs", import.meta.url).href}`;
  for (const [place, how] of [
    [3, "half"],
    [5, "before"],
  ] as const) {
    const kill = JSON.stringify({ where: "elsewhere", at: place, how, after: 0, note: `${cwd}.jsonl` });
    const { child } = startPosttrain(["run", "p.yaml"], {
      cwd,
      env: { NODE_OPTIONS: preload, POSTTRAIN_TEST_KILL: kill },
    });
    await once(child, "exit");
  }
  const { code, out, err } = await run(cwd);
  expect([0, 4], err).toContain(code);
  expect(out).toMatch(/\[1\/2\] sft {2}unchanged/);
  expect(weightsIn(cwd)).toEqual(weightsIn(whole));
});

test("what has not changed is skipped; a change runs again what depends on it", async () => {
  // Where it saves, and how often it logs, changes no bit.
  const file = join(whole, "p.yaml");
  writeFileSync(file, tiny.replaceAll("threads: 1", "threads: 2\n    logging_steps: 2"));
  const again = await runNothing(whole);
  expect([again.code, again.out]).toEqual([
    4,
    expect.stringContaining("Nothing is left to do: 2 steps unchanged."),
  ]);

  appendFileSync(join(whole, "pairs.jsonl"), readFileSync(at("more.jsonl")));
  const rehearsed = await runNothing(whole, "--dry_run", "--json");
  expect(JSON.parse(rehearsed.out).steps).toEqual([
    { step: "sft", would: "skip", why: "unchanged" },
    { step: "dpo", would: "run", why: "data has changed; set aside: run/dpo" },
  ]);
  const one = await run(whole, "--json");
  expect(JSON.parse(one.out).steps).toMatchObject([
    { step: "sft", did: "skipped" },
    { step: "dpo", did: "run", made: { checkpoint: { path: "run/dpo/checkpoint-6" } } },
  ]);
  expect(existsSync(join(whole, "run/dpo.superseded-1/checkpoint-6"))).toBe(true);

  writeFileSync(file, tiny.replace("max_steps: 8", "max_steps: 7"));
  writePairRows(join(whole, "pairs.jsonl"), 20);
  const both = await run(whole);
  expect([both.code, both.out]).toEqual([
    0,
    expect.stringMatching(
      /sft: max_steps 7, was 8\n[\s\S]*dpo: model_name_or_path has changed, data has changed\n/,
    ),
  ]);
});

test("what a step made may not be changed by hand; --from makes it again", async () => {
  const before = weightsIn(whole);
  const config = join(whole, "run/sft/checkpoint-7/config.json");
  writeFileSync(config, readFileSync(config, "utf8").replace("{", "{ "));
  const changed = await runNothing(whole);
  expect([changed.code, changed.err]).toEqual([
    1,
    expect.stringMatching(
      /^p\.yaml, line 12: step sft is done, but what it made was changed since: checkpoint, .* run it again with --from sft/,
    ),
  ]);
  rmSync(join(whole, "run/sft"), { recursive: true });
  expect((await runNothing(whole)).err).toMatch(
    /step sft is done, but what it made is gone: checkpoint, run\/sft\/checkpoint-7\. Put back what it was, or run it again with --from sft/,
  );
  const from = await run(whole, "--from", "sft", "--to", "sft");
  expect(from.code, from.err).toBe(0);
  // The same bits again: what depends on them is not run.
  expect((await runNothing(whole)).code).toBe(4);
  expect(weightsIn(whole)).toEqual(before);
});

test("a result that was whole when the pipeline died is taken as it is", async () => {
  const cwd = begin(
    "settled",
    `output_dir: run\nsteps:\n  scores:\n    run: score\n    model_name_or_path: ${goldenPath("qwen2-tiny-tied")}\n    data: rows.jsonl\n`,
  );
  expect((await run(cwd)).code).toBe(0);
  const manifest = join(cwd, "run/pipeline.json");
  const books = readFileSync(manifest, "utf8");
  const interrupted = books.replace('"done"', '"begun"').replace(/"made": \{[\s\S]*?\n {6}\}/, '"made": {}');
  expect(interrupted).not.toBe(books);
  writeFileSync(manifest, interrupted);
  const { code, out } = await run(cwd);
  expect([code, out]).toEqual([0, expect.not.stringContaining("npx posttrain score")]);
  expect(JSON.parse(readFileSync(manifest, "utf8")).steps.scores.made).toEqual(
    JSON.parse(books).steps.scores.made,
  );
  // A file that nobody has made in this pipeline is nobody's to replace.
  rmSync(manifest);
  expect((await runNothing(cwd)).err).toMatch(
    /line 3: step scores would write run\/scores\.jsonl, which is there already/,
  );
});

test("an alarm of grpo pauses the pipeline with its code", async () => {
  const device = openDevice({ threads: 1 });
  await writeTinyPolicy(device, folder);
  await device.close();
  const prompts = Array.from({ length: 4 }, (_, i) => ({
    prompt: `Word ${i}?`,
    instruction_id_list: ["keywords:letter_frequency"],
    kwargs: [{ letter: "e", let_frequency: 1, let_relation: "less than" }],
  }));
  const pipeline = (more: string) => `output_dir: run
steps:
  grpo:
    run: grpo
    model_name_or_path: ${at("model")}
    data: prompts.jsonl
    num_generations: 4
    per_device_train_batch_size: 8
    max_completion_length: 8
    max_steps: 2
    most_truncated: 0${more}
`;
  const cwd = begin("alarm", pipeline(""));
  writeFileSync(join(cwd, "prompts.jsonl"), prompts.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const alarmed = await run(cwd);
  expect([alarmed.code, alarmed.out]).toEqual([
    6,
    expect.stringMatching(
      /ALARM at step 1[\s\S]*\[1\/1\] grpo {2}stopped with exit code 6\. Go on: npx posttrain run p\.yaml\n/,
    ),
  ]);
  writeFileSync(join(cwd, "p.yaml"), pipeline("\n    stop_on_alarm: false"));
  const on = await run(cwd);
  expect([on.code, on.out], on.err).toEqual([
    0,
    expect.stringMatching(/grpo: ended with exit code 6\n[\s\S]*resumed +from run\/grpo\/checkpoint-1/),
  ]);
});

test("Ctrl-C saves in the stage and ends with its code", async () => {
  const cwd = begin("asked", tiny.replace("max_steps: 8", "max_steps: 400"));
  const { child, said, done } = startPosttrain(["run", "p.yaml"], { cwd });
  while (stepsOf(cwd, "sft") < 2 && child.exitCode === null) await new Promise((go) => setTimeout(go, 5));
  child.kill("SIGINT");
  const { code, out } = await done;
  expect(code, said()).toBe(130);
  expect(out).toMatch(/\[1\/2\] sft {2}stopped with exit code 130\. Go on: npx posttrain run p\.yaml\n/);
  expect(readdirSync(join(cwd, "run/sft")).some((name) => name.startsWith("checkpoint-"))).toBe(true);
});

writePairRows(at("more.jsonl"), 3, 500);
