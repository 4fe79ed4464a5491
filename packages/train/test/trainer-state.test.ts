// Where a run stands: read back as it was written, from checkpoints of the version before too, and never by another stage.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Checkpoint } from "@posttrain/run";
import { afterAll, describe, expect, it } from "vitest";
import {
  judged,
  newTrainerState,
  outOfPatience,
  readTrainerState,
  writeTrainerState,
} from "../src/trainer-state.js";

const dir = mkdtempSync(join(tmpdir(), "posttrain-state-"));
afterAll(() => rmSync(dir, { recursive: true }));
const checkpointAt = (step: number): Checkpoint => ({ dir, manifest: { step } as Checkpoint["manifest"] });

const state = {
  ...newTrainerState("sft", 9),
  global_step: 4,
  epoch: 0.5,
  num_input_tokens_seen: 123,
  best_metric: 1.25,
  best_global_step: 2,
  evaluations_since_best: 1,
  unlogged: { steps: 2, trained_tokens: 30, loss: 3 },
};

describe("trainer_state.json", () => {
  it("comes back as it was written", async () => {
    await writeTrainerState(dir, state);
    expect(await readTrainerState(checkpointAt(4), "sft")).toEqual(state);
  });

  it("is no other stage's, and no other step's", async () => {
    await writeTrainerState(dir, state);
    await expect(readTrainerState(checkpointAt(4), "dpo")).rejects.toThrow(/It is of a run of sft/);
    await expect(readTrainerState(checkpointAt(5), "sft")).rejects.toMatchObject({
      code: "bad_trainer_state",
    });
  });

  it("of the version that knew fine-tuning alone goes on", async () => {
    const { schema: _, stage: __, unlogged: ___, ...old } = state;
    writeFileSync(
      join(dir, "trainer_state.json"),
      JSON.stringify({ schema: "sft_trainer_state@1", ...old, unlogged: { steps: 2, loss: 3, entropy: 1 } }),
    );
    const { unlogged, ...found } = await readTrainerState(checkpointAt(4), "sft");
    expect(found).toEqual({ ...old, schema: "trainer_state@1", stage: "sft" });
    expect(unlogged).toMatchObject({ steps: 2, loss: 3 });
  });
});

describe("patience", () => {
  it("ends after so many evaluations without a loss that is lower by more than the threshold", () => {
    const after = (...losses: readonly number[]) =>
      losses.reduce((s, loss) => judged(s, loss, 0.1), newTrainerState("sft", 9));
    const ends = (s: ReturnType<typeof after>) => outOfPatience(s, { early_stopping_patience: 2 });
    expect(ends(after(2, 1.95))).toBe(false);
    expect(ends(after(2, 1.95, 1.91))).toBe(true);
    expect(ends(after(2, 1.95, 1.85))).toBe(false);
    expect(outOfPatience(after(2, 3, 4, 5), {})).toBe(false);
  });
});
