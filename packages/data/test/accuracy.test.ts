// Intervals against published ones, standard errors against lm-evaluation-harness's formula.
import { expect, test } from "vitest";
import { pairedGain, wilson } from "../src/accuracy.js";

// Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
test.each([
  [81, 263, 0.2553, 0.3662],
  [15, 148, 0.0624, 0.1605],
  [0, 20, 0, 0.1611],
  [1, 29, 0.0061, 0.1718],
])("Wilson's interval for %d of %d", (correct, total, low, high) => {
  const interval = wilson(correct, total);
  expect(interval.low).toBeCloseTo(low, 4);
  expect(interval.high).toBeCloseTo(high, 4);
  expect(wilson(total - correct, total).low).toBeCloseTo(1 - high, 4);
});

test("the standard error is that of a mean, and of one response there is none", () => {
  const sample = [1, 1, 1, 0, 0];
  const mean = 3 / 5;
  const variance = sample.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (sample.length - 1);
  expect(wilson(3, 5).stderr).toBeCloseTo(Math.sqrt(variance / sample.length), 12);
  expect(wilson(1, 1).stderr).toBeNull();
});

test("a paired gain's interval", () => {
  // Agresti, Categorical Data Analysis (1990), section 10.1: 794 and 570 of 1,600 people say the same twice, 150 and 86 change their minds.
  const { gain, low, high } = pairedGain(150, 86, 1600);
  expect([gain, low, high].map((share) => share.toFixed(3))).toEqual(["0.040", "0.021", "0.059"]);
  expect(pairedGain(86, 150, 1600).low).toBeCloseTo(-high, 12);
  // Nothing has changed, and that is not certainty.
  expect(pairedGain(0, 0, 20).high).toBeGreaterThan(0.05);
});
