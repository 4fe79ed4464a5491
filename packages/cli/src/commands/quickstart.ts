// posttrain quickstart: what `npm start` runs.
import { z } from "zod";
import { defineCommand } from "../command.js";
import type { MachineOptions } from "../options.js";

interface QuickstartOptions extends MachineOptions {
  readonly seed: number;
  readonly output_dir?: string | undefined;
}

export const command = defineCommand({
  options: z.strictObject({
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(1)
      .describe("of the model, the problems and their order"),
    output_dir: z.string().optional().describe("new folder for the run; default: a new one under runs/"),
  }),
  examples: [["posttrain quickstart", "under five minutes on two cores"]],
  run: async (options, machine) => {
    const path = "../quickstart/quickstart.js";
    const { quickstart } = (await import(path)) as {
      readonly quickstart: (options: QuickstartOptions) => Promise<void>;
    };
    await quickstart({ ...options, ...machine });
  },
});
