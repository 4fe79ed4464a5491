import { expect, it } from "vitest";
import { watchChosen } from "../src/falling.js";

const watched = (rewards: readonly number[], loss_type: ("sigmoid" | "sft")[] = ["sigmoid"]) => {
  const watch = watchChosen({ beta: 0.5, loss_type, learning_rate: 1e-6 });
  return rewards.map((reward, i) => watch(i + 1, reward));
};

it("speaks at the fifth fall in a row, once, of nats against the reference", () => {
  const said = watched([0, -1, -2, -3, -4, -5, -6, -7, 0, -1, -2, -3, -4, -5]);
  expect(said.findIndex((sentence) => sentence !== undefined)).toBe(5);
  expect(said.filter((sentence) => sentence !== undefined)).toHaveLength(1);
  expect(said[5]).toContain("for 5 steps in a row, at step 6 by 10.0 nats an answer");
  expect(said[5]).toContain("an sft term (loss_type sigmoid,sft)");
  expect(watched([-1, -2, -3, -4, -5], ["sigmoid", "sft"])[4]).toContain("a larger weight of sft");
});

it("is silent where a step rises between, or the answers are likelier than under the reference", () => {
  expect(watched([-1, -2, -3, -4, -3, -4, -5, -6, -7]).every((sentence) => sentence === undefined)).toBe(
    true,
  );
  expect(watched([9, 8, 7, 6, 5, 4, 3]).every((sentence) => sentence === undefined)).toBe(true);
});
