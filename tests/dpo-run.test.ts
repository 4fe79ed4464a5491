// Whole runs of DPO on the tiny model: what changes no bit, what is gone on with, what is refused before anything is written.
import { createHash } from "node:crypto";
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "@posttrain/data";
import { type DpoReport, dpoConfig, plannedDpo, runDpo, sequencesOf } from "@posttrain/dpo";
import { openDevice } from "@posttrain/kernels";
import { initialiseModel, openModelFolder, saveModel } from "@posttrain/model";
import { plannedSft } from "@posttrain/sft";
import { planTraining } from "@posttrain/train";
import { afterAll, describe, expect, it } from "vitest";
import { goldenPath } from "./support/golden.js";
import { testFolder, writePairRows } from "./support/tiny-run.js";

const device = openDevice({ threads: 2 });
afterAll(() => device.close());
const folder = testFolder();
const at = (name: string): string => join(folder, name);
const pairs = writePairRows(at("pairs.jsonl"), 20);
const start = goldenPath("qwen2-tiny-tied");

const configOf = (run: string, options: Readonly<Record<string, unknown>> = {}) =>
  dpoConfig.parse({
    model_name_or_path: start,
    data: pairs,
    output_dir: at(run),
    learning_rate: 1e-3,
    per_device_train_batch_size: 3,
    gradient_accumulation_steps: 2,
    max_steps: 6,
    val_size: 4,
    ...options,
  });

const sha = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");
const weights = async (run: string, options = {}, report: DpoReport = {}, signal?: AbortSignal) => {
  const { checkpoint } = await runDpo(configOf(run, options), device, report, signal);
  return sha(join(checkpoint, "model.safetensors"));
};
const lines = (run: string) =>
  readFileSync(join(at(run), "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => {
      const { step_time: _, tokens_per_second: __, eval_runtime: ___, ...values } = JSON.parse(line);
      return values;
    });

describe("the same bits", () => {
  it.each([{}, { bf16: true, loss_type: ["sigmoid", "sft"], loss_weights: [1, 0.2] }])(
    "of a reference that is kept or asked in every step, and of a run that is gone on with: %j",
    async (options) => {
      const name = JSON.stringify(options).length;
      const kept = await weights(`kept-${name}`, options);
      expect(await weights(`live-${name}`, { ...options, precompute_ref_log_probs: false })).toBe(kept);
      expect(existsSync(at(`live-${name}/reference.jsonl`))).toBe(false);
      // The start by another path is the same reference.
      expect(await weights(`named-${name}`, { ...options, ref_model_name_or_path: start })).toBe(kept);

      const stopped = new AbortController();
      const onStep = ({ step }: { readonly step: number }): void => {
        if (step === 3) stopped.abort();
      };
      await runDpo(configOf(`resumed-${name}`, options), device, { onStep }, stopped.signal);
      let asked = 0;
      const again = { ...options, resume_from_checkpoint: true };
      expect(await weights(`resumed-${name}`, again, { onPreparing: () => asked++ })).toBe(kept);
      expect(asked).toBe(0);
      expect(lines(`resumed-${name}`)).toEqual(lines(`kept-${name}`));
      expect(lines(`live-${name}`)).toEqual(lines(`kept-${name}`));
    },
  );

  it("of a reference that lost some of what it had said", async () => {
    const whole = await weights("whole");
    rmSync(at("whole/checkpoint-6"), { recursive: true });
    const said = readFileSync(at("whole/reference.jsonl"), "utf8");
    writeFileSync(at("whole/reference.jsonl"), said.slice(0, Math.floor(said.length / 2)));
    const totals: number[] = [];
    const report: DpoReport = { onPreparing: (_, done, total) => totals.push(total - done) };
    expect(await weights("whole", { resume_from_checkpoint: true }, report)).toBe(whole);
    expect(totals.at(-1)).toBe(0);
    expect(readFileSync(at("whole/reference.jsonl"), "utf8").split("\n").toSorted()).toEqual(
      said.split("\n").toSorted(),
    );
  });
});

it("a step takes the memory that fine-tuning takes for the same sequences", async () => {
  const { config: model } = await openModelFolder(start);
  const ids = (count: number, from: number) => Int32Array.from({ length: count }, (_, i) => (from + i) % 320);
  const rows = Array.from({ length: 4 }, (_, line) => ({
    ...{ id: "", line, promptIds: ids(20, line) },
    ...{ chosenIds: ids(100, 7), rejectedIds: ids(60, 9) },
  }));
  const config = configOf("planned", { max_steps: 1, val_size: 0, gradient_accumulation_steps: 1 });
  const pairs = plannedDpo(config, { model, units: [rows], evalRows: [] });
  const sequences = rows.flatMap((row) => sequencesOf(row).map((one) => ({ id: "", line: 0, ...one })));
  const tuned = plannedSft(config, { model, units: [sequences], evalRows: [] });
  const [ours, theirs] = [await planTraining(config, pairs), await planTraining(config, tuned)];
  expect(ours.tokens).toEqual(theirs.tokens);
  expect(ours.memory.arena).toBeLessThanOrEqual(1.02 * theirs.memory.arena);
  // Another model beside it is counted.
  const live = { ...config, precompute_ref_log_probs: false };
  const beside = await planTraining(live, plannedDpo(live, { model, units: [rows], evalRows: [] }));
  expect(beside.memory.arena).toBeGreaterThan(ours.memory.arena + 0.5 * ours.memory.weights);
});

it("metrics have TRL's names, held-out ones with eval_, and begin at margins of 0", async () => {
  await weights("named-metrics");
  const [first, , last] = [lines("named-metrics")[0], undefined, lines("named-metrics")[1]];
  const names = [
    ...["entropy", "logits/chosen", "logits/rejected", "logps/chosen", "logps/rejected", "loss"],
    ...["mean_token_accuracy", "rewards/accuracies", "rewards/chosen", "rewards/margins", "rewards/rejected"],
  ];
  expect(
    Object.keys(first)
      .filter((name) => name.startsWith("eval_"))
      .sort(),
  ).toEqual(names.map((name) => `eval_${name}`));
  expect(Object.keys(last).sort()).toEqual(
    [...names, "epoch", "grad_norm", "learning_rate", "num_tokens", "step"].sort(),
  );
  expect([first["eval_rewards/margins"], last["rewards/margins"]]).toEqual([0, 0]);
  expect(first.eval_loss).toBeCloseTo(Math.LN2, 15);
});

it("says when the chosen answers become unlikely, once, with what to try", async () => {
  // A rate that breaks the model: every answer becomes unlikely.
  const said: string[] = [];
  await weights(
    "falling",
    {
      val_size: 0,
      max_steps: 15,
      learning_rate: 0.1,
      per_device_train_batch_size: 20,
      gradient_accumulation_steps: 1,
    },
    { onNotice: (sentence) => said.push(sentence) },
  );
  expect(said).toEqual([expect.stringContaining("have become less likely for 5 steps in a row")]);
});

describe("refused before anything is written", () => {
  const refusal = async (options: Readonly<Record<string, unknown>>): Promise<UserError> => {
    const error = await runDpo(configOf("refused", options), device).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(UserError);
    expect(existsSync(at("refused"))).toBe(false);
    return error as UserError;
  };

  it("a reference with another vocabulary, or other tokens for the same ids; a reward model", async () => {
    const other = at("other");
    cpSync(start, other, { recursive: true });
    const vocabulary = (swapped: boolean): string =>
      JSON.stringify({ model: { vocab: swapped ? { b: 0, a: 1 } : { a: 0, b: 1 } }, added_tokens: [] });
    const model = at("model");
    cpSync(start, model, { recursive: true });
    writeFileSync(join(model, "tokenizer.json"), vocabulary(false));
    writeFileSync(join(other, "tokenizer.json"), vocabulary(true));
    const tokenizer = await refusal({ model_name_or_path: model, ref_model_name_or_path: other });
    expect([tokenizer.code, tokenizer.message]).toEqual([
      "other_tokenizer",
      expect.stringContaining(`${other} has another tokenizer than ${model}: token 0`),
    ]);
    const { config } = await openModelFolder(start);
    const smaller = initialiseModel(device, { ...config, vocabSize: 300 }, 1);
    await saveModel(smaller, at("smaller"));
    smaller.scope.end();
    const size = await refusal({ ref_model_name_or_path: at("smaller") });
    expect([size.code, size.message]).toEqual([
      "reference_of_other_vocabulary",
      expect.stringContaining("has a vocabulary of 300 ids (vocab_size)"),
    ]);
    const reward = await refusal({ ref_model_name_or_path: goldenPath("reward-tiny") });
    expect(reward.code).toBe("wrong_kind_of_model");
  });

  it("a base of another shape, or a reward model for one", async () => {
    const baseless = (base: string) =>
      refusal({ optim: "online_dare", base_model_name_or_path: goldenPath(base) });
    expect((await baseless("qwen2-tiny-headdim")).code).toBe("other_base");
    expect((await baseless("reward-tiny")).code).toBe("wrong_kind_of_model");
  });

  it("a pair that teaches nothing, by file and line", async () => {
    const bad = at("bad.jsonl");
    writeFileSync(
      bad,
      `${readFileSync(pairs, "utf8")}{"prompt_ids":[1],"chosen_ids":[2],"rejected_ids":[2]}\n`,
    );
    const { code, message } = await refusal({ data: bad });
    expect([code, message]).toEqual(["no_difference", expect.stringContaining(`${bad}, line 21: `)]);
  });

  it.each<[string, object]>([
    ["label_smoothing", { loss_type: ["ipo"], label_smoothing: 0.1 }],
    ["label_smoothing", { loss_type: ["robust"], label_smoothing: 0.5 }],
    ["loss_weights", { loss_type: ["sigmoid", "sft"], loss_weights: [1] }],
    ["loss_type", { loss_type: ["sft"] }],
    ["loss_type", { loss_type: ["sigmoid", "sigmoid"] }],
    ["beta", { beta: 0 }],
  ])("%s: %j", (key, options) => {
    const parsed = dpoConfig.safeParse({ model_name_or_path: "m", data: "d", output_dir: "o", ...options });
    expect(parsed.error?.issues[0]?.path).toEqual([key]);
  });
});
