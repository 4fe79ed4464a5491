// What a run's identity is made of is said where each key is defined; a stage's own keys count like those of all trainers.
import { identityOf, rowOptions, type TrainingConfig, trainingOptions, withRole } from "@posttrain/train";
import { describe, expect, it } from "vitest";
import { z } from "zod";

const schema = z.strictObject({
  ...trainingOptions,
  ...rowOptions,
  own: z.string().default("a"),
  later: withRole("unless_default", z.enum(["old", "new"]).default("old")),
});
type Config = z.input<typeof schema>;

const identity = (config: Partial<Config>, digests: Readonly<Record<string, string>> = {}) => {
  const given = { model_name_or_path: "m", output_dir: "o", data: "d", ...config };
  return identityOf(schema.shape, schema.parse(given) as TrainingConfig, 7, digests);
};

describe("identity", () => {
  it("has what changes bits, and nothing that does not", () => {
    const free = {
      model_name_or_path: "elsewhere",
      output_dir: "elsewhere",
      data: "elsewhere",
      gradient_checkpointing: false,
      logging_steps: 9,
      save_steps: 3,
      save_total_limit: 1,
      resume_from_checkpoint: true,
      accept_change: ["seed"],
    };
    expect(identity(free)).toEqual(identity({}));
    const changes: readonly Partial<Config>[] = [
      { learning_rate: 1 },
      { seed: 1 },
      { per_device_train_batch_size: 1 },
      { max_length: 9 },
      { val_size: 2 },
      { bf16: true },
      { own: "b" },
      { later: "new" },
    ];
    for (const change of changes) expect(identity(change), JSON.stringify(change)).not.toEqual(identity({}));
  });

  it("does not name a key of later at its default, so that older checkpoints go on", () => {
    expect(identity({})).not.toHaveProperty("later");
    expect(identity({})).not.toHaveProperty("bf16");
    expect(identity({ later: "new" })).toHaveProperty("later", "new");
  });

  it("has the number of steps where the rate decays, and neither epochs nor max_steps", () => {
    expect(identity({ max_steps: 7 })).toEqual(identity({ num_train_epochs: 9 }));
    expect(identity({})).toHaveProperty("total_steps", 7);
    expect(identity({ lr_scheduler_type: "constant" })).not.toHaveProperty("total_steps");
  });

  it("has what decides about stopping only where a run may stop early", () => {
    const evaluates = { eval_data: "e", eval_steps: 2 };
    const digests = { data: "1", eval_data: "2" };
    expect(identity(evaluates, digests)).toEqual(identity({}, { data: "1" }));
    const stopping = identity({ ...evaluates, early_stopping_patience: 3 }, digests);
    expect(stopping).toMatchObject({ early_stopping_patience: 3, eval_steps: 2, data: "1", eval_data: "2" });
  });
});
