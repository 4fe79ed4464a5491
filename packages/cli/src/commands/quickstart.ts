// posttrain quickstart: what `npm start` runs.
import { z } from "zod";
import { defineCommand } from "../command.js";

export const command = defineCommand({
  options: z.strictObject({
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(1)
      .describe("of the model, the problems and their order"),
    output_dir: z
      .string()
      .optional()
      .describe("new folder for the run (default: the next runs/quickstart-N)"),
  }),
  examples: [["npx posttrain quickstart", "under five minutes on two cores"]],
  run: async (options, machine) => {
    const { quickstart } = await import("../quickstart/quickstart.js");
    await quickstart({ ...options, ...machine });
  },
});
