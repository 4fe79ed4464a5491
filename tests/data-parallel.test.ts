// Training by several ranks gives the bytes of one: whatever the stage, the rule and the dtype, for numbers of ranks that divide the shards and
// such that do not, and across a resume on another number. Most cases run their ranks in this process; one is Open MPI's.
import { spawnSync } from "node:child_process";
import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { dpoConfig, runDpo } from "@posttrain/dpo";
import type { Device } from "@posttrain/kernels";
import { rewardConfig, runReward } from "@posttrain/reward-model";
import { runSft, sftConfig } from "@posttrain/sft";
import { beforeAll, describe, expect, it } from "vitest";
import { startPosttrain } from "./support/command-line.js";
import { goldenPath } from "./support/golden.js";
import { onRanks } from "./support/local-ranks.js";
import { skipUnless } from "./support/skip.js";
import { sftArgs, testFolder, writeBase, writePairRows, writeTokenRows } from "./support/tiny-run.js";

const folder = testFolder();
const at = (name: string): string => join(folder, name);
const rows = writeTokenRows(at("rows.jsonl"), 22);
const pairs = writePairRows(at("pairs.jsonl"), 22);
const base = writeBase(at("base"));

const common = {
  model_name_or_path: goldenPath("qwen2-tiny-tied"),
  learning_rate: 1e-3,
  per_device_train_batch_size: 2,
  gradient_accumulation_steps: 4,
  max_grad_norm: 0.5,
  num_train_epochs: 1,
};
const merging = { base_model_name_or_path: base, merge_alpha: 0.1, merge_reserve: 0.5 };

type Options = Readonly<Record<string, unknown>>;
type Run = (device: Device, own: Options) => Promise<{ readonly checkpoint: string }>;
const stages: Readonly<Record<"sft" | "dpo" | "reward", Run>> = {
  sft: (device, own) => runSft(sftConfig.parse({ ...common, data: rows, ...own }), device),
  dpo: (device, own) => runDpo(dpoConfig.parse({ ...common, data: pairs, ...own }), device),
  reward: (device, own) => runReward(rewardConfig.parse({ ...common, data: pairs, ...own }), device),
};

/** What a checkpoint has that follows from arithmetic. */
const files = ["model.safetensors", "trainer/optimizer.safetensors", "trainer_state.json"];
const bytesOf = (checkpoint: string): readonly string[] =>
  files.map((file) => readFileSync(join(checkpoint, file)).toString("base64"));
const metricsOf = (run: string): readonly object[] =>
  readFileSync(join(run, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const { step_time, tokens_per_second, eval_runtime, ...rest } = JSON.parse(line);
      return rest;
    });

/** Runs a stage on so many ranks, and returns the last checkpoint. */
async function trained(
  stage: keyof typeof stages,
  ranks: number,
  output_dir: string,
  own: Options,
): Promise<string> {
  const results = await onRanks(ranks, (device) => stages[stage](device, { output_dir, ...own }));
  expect(new Set(results.map(({ checkpoint }) => checkpoint)).size).toBe(1);
  return (results[0] as (typeof results)[number]).checkpoint;
}

describe.each([
  ["sft", 4, [2, 3, 4], { val_size: 4, eval_steps: 2 }],
  ["sft", 3, [2], { bf16: true }],
  ["sft", 2, [2], { optim: "online_ties", ...merging }],
  ["dpo", 4, [3], { optim: "online_dare", ...merging }],
  ["dpo", 2, [2], { precompute_ref_log_probs: false }],
  ["reward", 3, [3], {}],
] as const)("%s with %i shards on %j ranks, %j", (stage, gradient_shards, numbers, own) => {
  it("gives the bytes of one process", async () => {
    const name = JSON.stringify([stage, own]).replace(/\W+/g, "-");
    const options = { gradient_shards, ...own };
    const alone = at(`${name}-1`);
    const expected = bytesOf(await trained(stage, 1, alone, options));
    for (const ranks of numbers) {
      const run = at(`${name}-${ranks}`);
      expect(bytesOf(await trained(stage, ranks, run, options)), `${ranks} ranks`).toEqual(expected);
      expect(metricsOf(run)).toEqual(metricsOf(alone));
    }
  });
});

it("sums in another order with another number of shards, and in today's with one", async () => {
  const weights = async (gradient_shards: number) =>
    readFileSync(
      join(await trained("sft", 1, at(`order-${gradient_shards}`), { gradient_shards }), files[0] as string),
    );
  const [one, two] = [await weights(1), await weights(2)];
  expect(one.equals(two)).toBe(false);
});

it("goes on with another number of ranks", async () => {
  const options = { gradient_shards: 4, save_steps: 1, val_size: 2 };
  const whole = await trained("sft", 1, at("whole"), options);
  await trained("sft", 2, at("cut"), options);
  rmSync(at("cut/checkpoint-3"), { recursive: true });
  rmSync(at("cut/checkpoint-2"), { recursive: true });
  const resumed = await trained("sft", 3, at("cut"), { ...options, resume_from_checkpoint: true });
  expect(bytesOf(resumed)).toEqual(bytesOf(whole));
});

describe("what cannot be shared is refused", () => {
  const refused = async (ranks: number, own: (rank: number) => Options): Promise<string> => {
    const outcomes = await onRanks(ranks, (device) =>
      stages.sft(device, { output_dir: at("refused"), ...own(device.messages?.rank ?? 0) }).then(
        () => "trained",
        (error: Error) => error.message,
      ),
    );
    expect(new Set(outcomes).size).toBe(1);
    return outcomes[0] as string;
  };
  it("more ranks than shards, with the number that would do", async () => {
    expect(await refused(3, () => ({ gradient_shards: 2 }))).toMatch(
      /3 ranks .*gradient_shards 2.*--gradient_shards 3/,
    );
  });
  it("ranks with other settings, or other rows", async () => {
    const other = (rank: number): Options => ({
      gradient_shards: 2,
      learning_rate: rank === 0 ? 1e-3 : 1e-4,
    });
    expect(await refused(2, other)).toMatch(
      /Rank 1 has another learning_rate than rank 0: 0.0001 instead of 0.001/,
    );
    const file = writeTokenRows(at("other.jsonl"), 22, 1);
    expect(await refused(2, (rank) => ({ gradient_shards: 2, ...(rank === 1 && { data: file }) }))).toMatch(
      /Rank 1 has another data than rank 0/,
    );
  });
  it("more shards than a step has micro-batches", () => {
    expect(() => sftConfig.parse({ ...common, data: rows, output_dir: "x", gradient_shards: 5 })).toThrow(
      /at most gradient_accumulation_steps/,
    );
  });
});

describe("mpirun", () => {
  const mpirun = ["mpirun", "--allow-run-as-root", "--oversubscribe"];
  const hasMpi = spawnSync("mpirun", ["--version"]).status === 0;
  const only = skipUnless(hasMpi, "no mpirun", "sudo apt-get install -y openmpi-bin && npm test");
  const args = (run: string, own: Readonly<Record<string, string | number>> = {}): string[] =>
    sftArgs(at(run), rows, { ...common, gradient_shards: 3, threads: 1, save_steps: 1, ...own });
  const onMpi = (ranks: number, command: readonly string[], env = {}) =>
    startPosttrain(command, { under: [...mpirun, "-n", String(ranks)], env }).done;

  beforeAll(async () => {
    expect((await startPosttrain(args("mpi-1")).done).err).toBe("");
  });

  it("two and three ranks train what one does; rank 0 alone talks", only, async () => {
    const two = await onMpi(2, args("mpi-2"));
    expect(two.code, two.err).toBe(0);
    expect(two.out.match(/^checkpoint /gm)).toHaveLength(1);
    expect(bytesOf(at("mpi-2/checkpoint-3"))).toEqual(bytesOf(at("mpi-1/checkpoint-3")));
    cpSync(at("mpi-2"), at("mpi-3"), { recursive: true });
    rmSync(at("mpi-3/checkpoint-3"), { recursive: true });
    const three = await onMpi(3, [...args("mpi-3"), "--resume_from_checkpoint"]);
    expect(three.code, three.err).toBe(0);
    expect(bytesOf(at("mpi-3/checkpoint-3"))).toEqual(bytesOf(at("mpi-1/checkpoint-3")));
  });

  it(
    "a command that does not share its work is refused, a mistake ends all ranks with its words",
    only,
    async () => {
      const generated = await onMpi(2, ["generate", "--model_name_or_path", at("nowhere"), "--prompt", "a"]);
      expect(generated.code).toBe(1);
      expect(generated.err).toMatch(
        /rank \d: mpirun started posttrain generate on 2 ranks.*start generate without mpirun/s,
      );
      const used = await onMpi(2, args("mpi-2"));
      expect(used.code).toBe(1);
      expect(used.err).toMatch(/rank 0: output_dir .*mpi-2 holds a run already/);
    },
  );

  it("a machine without Open MPI says how to get it", async () => {
    const env = { OMPI_COMM_WORLD_SIZE: "2", OMPI_COMM_WORLD_RANK: "0", POSTTRAIN_MPI: at("libmpi.so") };
    const { code, err } = await startPosttrain(args("no-mpi"), { env }).done;
    expect(code).toBe(2);
    expect(err).toMatch(/rank 0: .*libmpi\.so.*apt-get install -y openmpi-bin/s);
  });
});
