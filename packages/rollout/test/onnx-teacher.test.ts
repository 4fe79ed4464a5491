// The next token from logits: the likeliest without a temperature, else as often as the tempered distribution says, and never one that the tokenizer lacks.
import { expect, it } from "vitest";
import { drawn } from "../src/onnx-teacher.js";

const logits = Float32Array.from([0, Math.log(3), Number.NEGATIVE_INFINITY, Math.log(4), 50]);

it("takes the likeliest token without a temperature", () => {
  expect(drawn(logits, 4, 0, 0.5)).toBe(3);
  expect(drawn(logits, 5, 0, 0.5)).toBe(4);
});

it("draws each token as often as it is likely", () => {
  const shares = (temperature: number): readonly number[] => {
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 8000; i++) counts[drawn(logits, 4, temperature, (i + 0.5) / 8000)]!++;
    return counts.map((count) => Number((count / 8000).toFixed(3)));
  };
  expect(shares(1)).toEqual([0.125, 0.375, 0, 0.5]);
  // Weights 1, 9 and 16 of 26.
  expect(shares(0.5)).toEqual([0.038, 0.346, 0, 0.615]);
});
