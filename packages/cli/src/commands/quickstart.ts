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
  examples: [["npx posttrain quickstart", "minutes on two cores"]],
  notes:
    '--json prints {"run", "checkpoint", "sha256", "held_out", "before", "after", "branch", "pairs", "dpo", "reward", "grpo", "seconds"}: paths, the ' +
    "digest of the weights, how many problems were held out and how many of them were right, and of the stages that go on from the step of branch the " +
    "same; --quiet the path of fine-tuning's last checkpoint.",
  run: async (options, context) => {
    const { quickstart } = await import("../quickstart/quickstart.js");
    await quickstart({ ...options, ...context });
  },
});
