// A few steps of the quickstart's stages, and the weights that they end in.
import { arithmeticProblem, arithmeticRow, shortOperands } from "@posttrain/sft";

/** Rows to fine-tune on, and what is shorter than in the recipe. */
export const tinyRows = 8;
export const tinySft = { per_device_train_batch_size: 3, warmup_steps: 2, max_steps: 4, num_train_epochs: 2 };

/** The same of the stages on pairs. */
export const tinyStage = { per_device_train_batch_size: 1, max_steps: 2 };

/** A worked answer, and the same with another number at its end. */
export const tinyPairs = Array.from({ length: 2 }, (_, i) => {
  const [asked, right] = arithmeticRow(
    arithmeticProblem(i, { seed: 1, split: "training", lengths: shortOperands }),
  ).messages;
  const wrong = { ...right, content: `${right.content}${i}` };
  return { prompt: [asked], chosen: [right], rejected: [wrong] };
});

/** SHA-256 of model.safetensors: facts of the arithmetic rules (ARCHITECTURE.md). */
export const tinyWeights = {
  dpo: "3f1787caab637ea8ada3ca5fcd09b611254cd7d7c5d373819abaf2a663bffa89",
  reward: "21eb7fd0deec7d373d98b4340d25a12d1c7878efd0e73c41e139d384081dab82",
  grpo: "986623a894b39b3a1b2858984d2710a55afb86fc758814dd78caf4c68bef4582",
};
