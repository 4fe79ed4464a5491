// Where a run stands, under transformers' names: a page beside the weights. With config, data and seed (the manifest's identity) and the
// optimizer's arenas it decides every bit that follows.
import { join } from "node:path";
import { readRegularFile, UserError } from "@posttrain/data";
import { type Checkpoint, writeDurably } from "@posttrain/run";
import { z } from "zod";
import { loggedSums } from "./logged-means.js";

const stateFile = "trainer_state.json";

const trainerState = z.strictObject({
  schema: z.literal("trainer_state@1"),
  /** Whose run it is: no other stage can go on with it. */
  stage: z.string(),
  global_step: z.int().nonnegative(),
  max_steps: z.int().positive(),
  epoch: z.number().nonnegative(),
  /** Tokens that went through the model so far. */
  num_input_tokens_seen: z.int().nonnegative(),
  /** The lowest evaluation loss so far and its step. */
  best_metric: z.number().optional(),
  best_global_step: z.int().nonnegative().optional(),
  /** Evaluations since then, for early stopping. */
  evaluations_since_best: z.int().nonnegative(),
  /** What the next line of metrics.jsonl averages. */
  unlogged: loggedSums.optional(),
});
export type TrainerState = z.infer<typeof trainerState>;

export function newTrainerState(stage: string, totalSteps: number): TrainerState {
  return {
    schema: "trainer_state@1",
    stage,
    global_step: 0,
    max_steps: totalSteps,
    epoch: 0,
    num_input_tokens_seen: 0,
    evaluations_since_best: 0,
  };
}

/** Into the folder of a checkpoint. Parsed for its order of keys: the same bytes, resumed or not. */
export function writeTrainerState(dir: string, state: TrainerState): Promise<void> {
  return writeDurably(join(dir, stateFile), `${JSON.stringify(trainerState.parse(state), null, 2)}\n`);
}

/** Where the run of a checkpoint stands. UserError when another stage wrote it. */
export async function readTrainerState({ dir, manifest }: Checkpoint, stage: string): Promise<TrainerState> {
  const path = join(dir, stateFile);
  const text = await readRegularFile(path).then(String, () => "{}");
  const parsed = trainerState.safeParse(withStage(JSON.parse(text)));
  if (parsed.success && parsed.data.global_step === manifest.step && parsed.data.stage === stage) {
    return parsed.data;
  }
  const whose =
    parsed.success && parsed.data.stage !== stage ? ` It is of a run of ${parsed.data.stage}.` : "";
  throw new UserError(
    "bad_trainer_state",
    `${path} is not of a run of ${stage} of this version.${whose} Resume with the stage and version that wrote it.`,
  );
}

/** The first version was fine-tuning's alone and did not say so. */
function withStage(json: unknown): unknown {
  const state = json as { readonly schema?: unknown };
  return state.schema === "sft_trainer_state@1"
    ? { ...state, schema: "trainer_state@1", stage: "sft" }
    : json;
}

/** The state after an evaluation: better by more than the threshold, or one more that was not. A loss that is no number is never better. */
export function judged(state: TrainerState, loss: number, threshold: number): TrainerState {
  const { best_metric: best = Number.POSITIVE_INFINITY } = state;
  if (loss < best - threshold) {
    return { ...state, best_metric: loss, best_global_step: state.global_step, evaluations_since_best: 0 };
  }
  return { ...state, evaluations_since_best: state.evaluations_since_best + 1 };
}

export function outOfPatience(
  state: TrainerState,
  { early_stopping_patience: patience }: { readonly early_stopping_patience?: number | undefined },
): boolean {
  return patience !== undefined && state.evaluations_since_best >= patience;
}
