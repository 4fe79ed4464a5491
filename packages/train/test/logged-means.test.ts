// What a line of metrics.jsonl says of the steps since the line before.
import { describe, expect, it } from "vitest";
import { type Averaged, addStep, loggedLine } from "../src/logged-means.js";

const averaged: Averaged = {
  loss: "steps",
  entropy: "trained_tokens",
  mean_token_accuracy: "trained_tokens",
};

const step = (loss: number, entropy: number, mean_token_accuracy: number) => ({
  step: 7,
  epoch: 1,
  loss,
  grad_norm: 1,
  learning_rate: 1,
  entropy,
  mean_token_accuracy,
  num_tokens: 1,
  step_time: 1,
  tokens_per_second: 1,
});

describe("a line for several steps", () => {
  it("has the mean of their losses, entropy and accuracy over their trained tokens", () => {
    const sums = addStep(addStep(undefined, step(2, 1, 1), averaged, 100), step(4, 3, 0), averaged, 300);
    expect(loggedLine(step(4, 3, 0), sums, averaged)).toMatchObject({
      loss: 3,
      entropy: 2.5,
      mean_token_accuracy: 0.25,
    });
  });

  it("has a step's own bits where it covers that step alone", () => {
    const own = step(0.1, 0.3, 1 / 3);
    expect(loggedLine(own, addStep(undefined, own, averaged, 7), averaged)).toEqual(own);
  });

  it("goes on from a checkpoint that had sums of means: they count for the loss, not for what needs tokens", () => {
    const old = { steps: 2, loss: 6, entropy: 9, mean_token_accuracy: 1.5 };
    const sums = addStep(old, step(3, 2, 0.5), averaged, 10);
    expect(loggedLine(step(3, 2, 0.5), sums, averaged)).toMatchObject({
      loss: 3,
      entropy: 2,
      mean_token_accuracy: 0.5,
    });
  });
});
