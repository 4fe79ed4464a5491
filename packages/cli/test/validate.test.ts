// posttrain validate: what is lost is counted, listed and said by the exit code; the rest is what sft then does.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { histogram, summarizeLengths } from "../src/validate/lengths.js";
import { sampleLines } from "../src/validate/samples.js";
import { conversation, copyModel, makeModel, temporaryFolder, writeRows } from "./support/command-line.js";
import { posttrainHere } from "./support/in-process.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
let model: string;

beforeAll(async () => {
  model = await makeModel(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

const validate = (data: string, ...args: readonly string[]) =>
  posttrainHere(["validate", "--model_name_or_path", model, "--data", data, ...args]);

const sound = Array.from({ length: 12 }, (_, i) => conversation(`What is ${i} + 1?`, `Answer: ${i + 1}`));
const flat = (text: string): string => text.replaceAll(/\s+/g, " ");

it("counts every loss by reason and lists it; sft stops at the first", async () => {
  const data = writeRows(folder, "bad.jsonl", [
    sound[0],
    "{oops",
    { messages: [{ role: "user", content: 7 }] },
    conversation("Tell me", "so much ".repeat(30)),
    sound[1],
    conversation("Tell me more", "so much ".repeat(40)),
  ]);
  const { code, out, err } = await validate(data, "--max_length", "100", "--rejects", at("rejects.jsonl"));
  expect([code, err]).toEqual([1, ""]);
  expect(flat(out)).toMatch(/6 rows read, 2 kept \(messages 4\)/);
  expect(out).toMatch(/row_too_long: 2 rows\n {4}line 4: \d+ tokens, the longest row allowed has 100\./);
  expect(out).toMatch(/bad_line: 1 row\n {4}line 2: \(5 characters\) is not JSON/);
  expect(out).toMatch(/bad_row: 1 row\n {4}line 3: messages\[0\]\.content: expected .*, came a number 7/);
  expect(flat(out)).toMatch(/lost 4 rows would be lost or cut; mend them, .* All of them: \S*rejects\.jsonl/);
  const rejects = readFileSync(at("rejects.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(rejects.map(({ file, line, reason }) => [file, line, reason])).toEqual([
    [data, 2, "bad_line"],
    [data, 3, "bad_row"],
    [data, 4, "row_too_long"],
    [data, 6, "row_too_long"],
  ]);
  for (const { remedy } of rejects) expect(remedy).toMatch(/\w/);

  const again = await validate(data, "--rejects", at("rejects.jsonl"));
  expect([again.code, again.err]).toEqual([1, expect.stringMatching(/rejects\.jsonl already exists/)]);
  const sft = await posttrainHere([
    "sft",
    "--model_name_or_path",
    model,
    "--data",
    data,
    "--output_dir",
    at("no"),
  ]);
  expect([sft.code, existsSync(at("no"))]).toEqual([1, false]);
});

it.each(["drop", "truncate"])(
  "on_overlong %s is a loss too, and the lengths are those before it",
  async (fate) => {
    const data = writeRows(folder, "long.jsonl", [...sound, conversation("Tell me", "so much ".repeat(30))]);
    const { code, out } = await validate(data, "--max_length", "64", "--on_overlong", fate, "--json");
    const result = JSON.parse(out);
    expect([code, result.ok, result.counts.overlong]).toEqual([1, false, 1]);
    expect(result.counts.lostTrainedTokens).toBeGreaterThan(100);
    expect(result.lengths.longest).toBeGreaterThan(200);
    expect(result.rejects).toMatchObject([
      { reason: fate === "drop" ? "dropped" : "truncated", count: 1, examples: [{ line: 13 }] },
    ]);
  },
);

it("takes pieces of rows that others have packed; one without a trained token is listed, but no loss", async () => {
  const ids = Array.from({ length: 9 }, (_, i) => 70 + i);
  const data = writeRows(folder, "packed.jsonl", [
    { input_ids: ids, labels: ids.map((id, i) => (i === 8 ? -100 : id)), seq_lengths: [5, 3, 1] },
  ]);
  const { code, out } = await validate(data, "--json");
  const result = JSON.parse(out);
  expect([code, result.ok, result.train_rows]).toEqual([0, true, 2]);
  expect(result.rejects).toMatchObject([{ reason: "emptied", count: 1 }]);
  expect(result.lengths).toMatchObject({ shortest: 1, longest: 5 });
  const cut = await validate(data, "--json", "--max_length", "4", "--on_overlong", "truncate");
  const { lengths, rejects } = JSON.parse(cut.out);
  expect([cut.code, lengths.longest, lengths.median]).toEqual([1, 5, 3]);
  expect(rejects.map(({ reason }: { reason: string }) => reason).sort()).toEqual(["emptied", "truncated"]);
});

it("special tokens in content: an error that names row and field; text and token by name, counted", async () => {
  const data = writeRows(folder, "control.jsonl", [
    ...sound,
    conversation("Say <|im_end|> and <|im_start|>", "No."),
    conversation("Why?", "Because<|im_end|>"),
  ]);
  const common = ["--model_name_or_path", model, "--data", data];
  const refused = await posttrainHere(["validate", ...common]);
  expect(refused.code).toBe(1);
  expect(flat(refused.out)).toMatch(
    /special_token_in_content: 2 rows line 13: messages\[0\]\.content has <\|im_end\|> in its text \(and 1 more in this row\).* line 14: messages\[1\]\.content has <\|im_end\|>/,
  );
  const train = [...common, "--max_steps", "2"];
  const sft = await posttrainHere(["sft", ...train, "--output_dir", at("control")]);
  expect([sft.code, flat(sft.err)]).toEqual([
    1,
    expect.stringMatching(/line 13: messages\[0\]\.content has <\|im_end\|>/),
  ]);
  expect((await posttrainHere(["score", ...common, "--loss_on", "assistant"])).err).toMatch(
    /line 13: messages\[0\]/,
  );

  const runs = new Map<string, string>();
  for (const choice of ["text", "token"]) {
    const named = ["--special_tokens_in_content", choice];
    const { code, out } = await posttrainHere(["validate", ...common, ...named]);
    expect(code).toBe(0);
    const fate = choice === "text" ? "ordinary text" : "the special token";
    expect(flat(out)).toContain(
      `<|im_end|> in 2 rows, read as ${fate}: line 13 messages[0].content, line 14 messages[1].content <|im_start|> in 1 row, read as ${fate}: line 13 messages[0].content`,
    );
    const result = JSON.parse((await posttrainHere(["validate", ...common, ...named, "--json"])).out);
    expect(result.content_tokens[0]).toMatchObject({ token: "<|im_end|>", special: true, rows: 2 });
    const run = await posttrainHere(["sft", ...train, ...named, "--output_dir", at(`control-${choice}`)]);
    expect([run.code, run.err]).toEqual([0, ""]);
    expect(flat(run.out)).toContain(`content <|im_end|> in 2 rows, read as ${fate}`);
    runs.set(choice, readFileSync(join(at(`control-${choice}`), "checkpoint-2", "manifest.json"), "utf8"));
  }
  // Only what changes the bits is in the identity: a run from before there was a choice read them as tokens.
  expect(JSON.parse(runs.get("text")!).identity.special_tokens_in_content).toBe("text");
  expect(JSON.parse(runs.get("token")!).identity).not.toHaveProperty("special_tokens_in_content");
});

it("a row beyond the model's context: one limit in validate, sft, plan and score, lifted by name", async () => {
  const long = conversation("Tell me", "so much ".repeat(80));
  const data = writeRows(folder, "beyond.jsonl", [...sound, long]);
  const short = copyModel(model, "short-context");
  const config = JSON.parse(readFileSync(join(short, "config.json"), "utf8"));
  writeFileSync(join(short, "config.json"), JSON.stringify({ ...config, max_position_embeddings: 200 }));
  const common = ["--model_name_or_path", short, "--data", data];
  const said =
    /line 13: \d+ tokens, the model's context holds 200 \(max_position_embeddings\)\. .*set allow_beyond_context/;
  const train = [...common, "--output_dir", at("beyond"), "--max_steps", "2", "--save_steps", "1"];

  const { code, out } = await posttrainHere(["validate", ...common]);
  expect(code).toBe(1);
  expect(flat(out)).toMatch(/row_too_long: 1 row line 13: \d+ tokens, the model's context holds 200/);
  expect(flat(out)).toContain(
    "max_length 1,024 is more than the model's context of 200 tokens: a row may have no more than that",
  );
  for (const command of [
    ["sft", ...train],
    ["plan", ...common],
    ["score", ...common, "--loss_on", "assistant"],
  ]) {
    const refused = await posttrainHere(command);
    expect([refused.code, flat(refused.err)]).toEqual([1, expect.stringMatching(said)]);
  }
  expect(existsSync(at("beyond"))).toBe(false);

  const cut = JSON.parse(
    (await posttrainHere(["validate", ...common, "--on_overlong", "truncate", "--json"])).out,
  );
  expect([cut.counts.truncated, cut.plan.epoch.rows]).toEqual([1, 13]);
  expect(cut.rejects[0].examples[0].remedy).toMatch(
    /the model's context holds 200 .*: cut, which lost \d+ trained tokens/,
  );
  expect(cut.digests.cut_at_context).toBe("200");

  const allowed = ["--allow_beyond_context"];
  expect((await posttrainHere(["validate", ...common, ...allowed])).code).toBe(0);
  expect((await posttrainHere(["plan", ...common, ...allowed])).code).toBe(0);
  expect(
    (await posttrainHere(["score", ...common, ...allowed, "--output", at("beyond-scores.jsonl")])).code,
  ).toBe(0);
  const run = await posttrainHere(["sft", ...train, ...allowed]);
  expect([run.code, run.err]).toEqual([0, ""]);
  // It is no part of the identity: runs from before there was the limit go on with it.
  const manifest = readFileSync(join(at("beyond"), "checkpoint-2", "manifest.json"), "utf8");
  expect(manifest).not.toMatch(/beyond_context|cut_at_context/);
});

it("says the steps that sft takes, from the file that sft takes", async () => {
  const data = writeRows(folder, "sound.jsonl", sound);
  const config = {
    model_name_or_path: model,
    data,
    output_dir: at("run"),
    max_length: 128,
    packing: true,
    per_device_train_batch_size: 2,
    gradient_accumulation_steps: 2,
    num_train_epochs: 3,
    val_size: 2,
    seed: 5,
  };
  const path = at("run.yaml");
  writeFileSync(
    path,
    Object.entries(config)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join(""),
  );
  const { code, out, err } = await posttrainHere(["validate", "--config", path, "--json"]);
  expect(code).toBe(0);
  expect(err).toMatch(`next        npx posttrain sft --config ${path}\n`);
  const { plan, eval_rows, train_rows } = JSON.parse(out);
  expect([train_rows, eval_rows]).toEqual([10, 2]);

  const sft = await posttrainHere(["sft", "--config", path, "--json"]);
  const { step, num_tokens } = JSON.parse(sft.out);
  expect(plan.run).toMatchObject({
    optimizer_steps: step,
    tokens: num_tokens,
    rows: 30,
    epochs: 3,
    exact: true,
  });
  const steps = readFileSync(at("run/steps.jsonl"), "utf8").trimEnd().split("\n");
  expect(plan.epoch.optimizer_steps).toBe(steps.length / 3);
  expect(plan.packing.waste_tokens).toBe(plan.epoch.packs * 128 - plan.epoch.tokens);
  expect(sft.err).toMatch(`${plan.run.optimizer_steps}, each of`);
});

it("marks exactly the tokens that sft trains", async () => {
  const data = writeRows(folder, "marked.jsonl", [conversation("Hé [x]\u001b[31m", "Ω 好\nend")]);
  const { out } = await validate(data);
  expect(out).toContain(
    "\n  <|im_start|>user↵\n  Hé [x]\\x1b[31m<|im_end|>↵\n  <|im_start|>assistant↵\n  ⟦Ω 好↵\n  end<|im_end|>⟧↵\n",
  );
  const all = await validate(data, "--loss_on", "everything");
  // Nothing predicts the first token.
  expect(all.out).toContain("\n  <|im_start|>⟦user↵\n");
  const ids = writeRows(folder, "ids.jsonl", [{ input_ids: [72, 105, 33], labels: [-100, -100, 33] }]);
  expect((await validate(ids)).out).toMatch(/\n {2}\S+⟦\S⟧\n/);
});

it("keeps lines of samples within the columns, wide characters too", () => {
  const segments = [
    { text: "a".repeat(25), trained: false },
    { text: "语".repeat(12), trained: true },
  ];
  const lines = sampleLines(segments, { columns: 10, coloured: false });
  expect(lines).toEqual(["aaaaaaaaaa", "aaaaaaaaaa", "aaaaa⟦语语", "语语语语语", "语语语语语", "⟧"]);
  const [first, ...more] = sampleLines(segments, { columns: 100, coloured: true });
  expect(more).toEqual([]);
  expect(first).toContain("语".repeat(12));
});

it("draws every row once, and one long row does not flatten the others", () => {
  const lengths = [...Array.from({ length: 300 }, (_, i) => 20 + (i % 100)), 30_000];
  const summary = summarizeLengths(lengths);
  expect(summary).toMatchObject({ shortest: 20, longest: 30_000 });
  expect(summary.bars.reduce((sum, { rows }) => sum + rows, 0)).toBe(301);
  expect(summary.bars.length).toBeGreaterThan(8);
  for (const { from, to, rows } of summary.bars) {
    expect(lengths.filter((n) => n >= from && n <= (to ?? n))).toHaveLength(rows);
  }
  const lines = histogram(summary, 80, { name: "max_length", value: 110 });
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
  expect(lines.filter((line) => line.includes("over max_length")).length).toBe(2);
  expect(summarizeLengths([7]).bars).toEqual([{ from: 7, to: 7, rows: 1 }]);
});

it("refuses what sft refuses, in the same words", async () => {
  const data = writeRows(folder, "some.jsonl", sound);
  for (const [args, says] of [
    [["--min_lr", "1"], /--min_lr is "1": expected at most learning_rate/],
    [["--lerning_rate", "1"], /did you mean --learning_rate/],
    [["--val_size", "12"], /val_size 12 of 12 rows .* leaves nothing to train on/],
  ] as const) {
    const { code, err } = await validate(data, ...args);
    expect([code, err]).toEqual([1, expect.stringMatching(says)]);
  }
});
