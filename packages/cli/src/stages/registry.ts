// The stages of training that the command line has. A new one is its file and its line here.
import type { Stage } from "./stage.js";

interface Entry {
  readonly about: string;
  /** When it is asked for, so that help loads no kernels. */
  readonly load: () => Promise<Stage>;
}

export const stages = {
  sft: {
    about: "fine-tune a model on conversations",
    load: async () => (await import("./sft.js")).stage,
  },
  reward: {
    about: "train a reward model on preferences",
    load: async () => (await import("./reward.js")).stage,
  },
  dpo: {
    about: "train a model on pairs of a better and a worse answer",
    load: async () => (await import("./dpo.js")).stage,
  },
  grpo: {
    about: "reward what a model answers, and move it to what pays (RL)",
    load: async () => (await import("./grpo.js")).stage,
  },
} satisfies Readonly<Record<string, Entry>>;

export type StageName = keyof typeof stages;
export const stageNames = Object.keys(stages) as [StageName, ...StageName[]];
export const usualStage: StageName = "sft";

/** The one that is named, else the usual one: whether there is such a stage is the schema's to say. */
export function loadStage(name: unknown): Promise<Stage> {
  return stages[stageNames.find((known) => known === name) ?? usualStage].load();
}
