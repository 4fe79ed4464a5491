// The stages of training that the command line has. A new one is its file and its line here.
import { z } from "zod";
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
} satisfies Readonly<Record<string, Entry>>;

export type StageName = keyof typeof stages;
export const stageNames = Object.keys(stages) as [StageName, ...StageName[]];
const usual: StageName = "sft";

/** The one that is named, else the usual one: whether there is such a stage is the schema's to say. */
export function loadStage(name: unknown): Promise<Stage> {
  return stages[stageNames.find((known) => known === name) ?? usual].load();
}

/** Of the commands that serve all stages. */
export const stageOption = {
  stage: z.enum(stageNames).default(usual).describe("the stage of training that the config is for"),
};
