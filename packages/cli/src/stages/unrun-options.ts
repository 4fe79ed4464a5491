// A stage's config where nothing is run yet: for validate and plan, which need no folder for the run.
import { z } from "zod";
import { gradedOn, sampledBy } from "../redis-option.js";
import type { Stage, StageConfig } from "./stage.js";
import { stageOption } from "./stage-option.js";

/** All keys that a config for the stage's command may have, with output_dir left open, and the command's own. */
export function unrunOptions<Own extends z.ZodRawShape>(stage: Stage, own: Own) {
  const { output_dir: outputDir, ...shape } = stage.config.shape;
  const workers = stage.usesWorkers ? { ...gradedOn, ...sampledBy } : {};
  return z
    .strictObject({ ...shape, output_dir: outputDir.optional(), ...stageOption, ...workers, ...own })
    .superRefine((given, context) => {
      const issues = stage.config.safeParse(configOf(stage, given)).error?.issues ?? [];
      for (const { path, message } of issues) context.addIssue({ code: "custom", path: [...path], message });
    });
}

/** What of a command's options is the stage's. */
export function configOf(stage: Stage, options: Readonly<Record<string, unknown>>): StageConfig {
  const own = Object.entries(options).filter(([name]) => name in stage.config.shape);
  return { output_dir: "", ...Object.fromEntries(own) } as StageConfig;
}
