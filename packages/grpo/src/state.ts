// Where a run stands besides its weights and step: the queue, how sources compare, the episode at hand. A file in a checkpoint's trainer/.
import { join } from "node:path";
import { readRegularFile, UserError } from "@posttrain/data";
import type { Checkpoint } from "@posttrain/run";
import type { Remembered } from "./alarms.js";
import type { SourceScale } from "./outcome.js";
import { newQueue, type QueueState, restoreQueue, storeQueue } from "./queue.js";
import type { StepRow } from "./step.js";

export const stateFile = "grpo.json";

export interface GrpoState {
  readonly queue: QueueState;
  /** Undefined until something has been sampled. */
  readonly scales: readonly SourceScale[] | undefined;
  /** Episodes begun, and optimizer steps done of the last. */
  readonly episode: number;
  readonly updates: number;
  /** What the updates to come of this episode train on; none between episodes. */
  readonly rows: readonly StepRow[];
  /** What alarms compare with. */
  readonly remembered: Remembered;
  /** Mean reward of each step since the last evaluation. */
  readonly rewards: readonly number[];
}

export function newState(ids: readonly string[]): GrpoState {
  return {
    queue: newQueue(ids),
    scales: undefined,
    episode: 0,
    updates: 0,
    rows: [],
    remembered: { entropy: undefined, evaluations: [] },
    rewards: [],
  };
}

/** A double holds a float32 exactly, and JSON a double. */
export function stateText({ queue, rows, ...rest }: GrpoState): string {
  const plain = rows.map(({ promptIds, completionIds, oldLogProbs, referenceLogProbs, ...row }) => ({
    ...row,
    promptIds: [...promptIds],
    completionIds: [...completionIds],
    oldLogProbs: [...oldLogProbs],
    ...(referenceLogProbs && { referenceLogProbs: [...referenceLogProbs] }),
  }));
  return `${JSON.stringify({ schema: "grpo_state@1", ...rest, queue: storeQueue(queue), rows: plain })}\n`;
}

/** UserError `bad_trainer_state` where the checkpoint has none. */
export async function readState({ dir }: Pick<Checkpoint, "dir">): Promise<GrpoState> {
  const path = join(dir, "trainer", stateFile);
  const text = await readRegularFile(path).then(String, () => "{}");
  const { schema, queue, rows, ...rest } = JSON.parse(text);
  if (schema !== "grpo_state@1") {
    throw new UserError(
      "bad_trainer_state",
      `${path} does not say where the prompt queue of this run stands. Resume with the stage and version that wrote the checkpoint.`,
    );
  }
  return {
    ...rest,
    queue: restoreQueue(queue),
    // biome-ignore lint/suspicious/noExplicitAny: what stateText wrote; the manifest vouches for its bytes
    rows: rows.map(({ promptIds, completionIds, oldLogProbs, referenceLogProbs, ...row }: any) => ({
      ...row,
      promptIds: Int32Array.from(promptIds),
      completionIds: Int32Array.from(completionIds),
      oldLogProbs: Float32Array.from(oldLogProbs),
      ...(referenceLogProbs && { referenceLogProbs: Float32Array.from(referenceLogProbs) }),
    })),
  };
}
