/** Which verifier a row asks for: each way of saying it, and what wins over what. */
import { describe, expect, test } from "vitest";
import { detectVerifier, verifierNames } from "../src/index.js";

const verl = (source: string, truth: unknown = "1", style = "rule") => ({
  data_source: source,
  prompt: [{ role: "user", content: "?" }],
  reward_model: { style, ground_truth: truth },
});

describe("a row is graded by", () => {
  test.each([
    [
      "its verifier field",
      { verifier: "exact", data_source: "openai/gsm8k", answer: "1" },
      "exact",
      "verifier",
    ],
    [
      "its verifier field with settings",
      { verifier: { name: "math", mode: "hendrycks" } },
      "math",
      "verifier",
    ],
    ["verl's GSM8K", verl("openai/gsm8k"), "gsm8k", "data_source"],
    ["verl's MATH", verl("lighteval/MATH"), "math", "data_source"],
    ["verl's other MATH", verl("DigitalLearningGmbH/MATH-lighteval"), "math", "data_source"],
    ["verl's AIME", verl("aime2024"), "math", "data_source"],
    ["verl's Numina", verl("numina_olympiads"), "math", "data_source"],
    ["verl's math12k", verl("hiyouga/math12k"), "math", "data_source"],
    ["verl's code", verl("codecontests", { inputs: ["1"], outputs: ["1"] }), "code", "data_source"],
    ["verl's search", verl("searchR1_nq", { target: ["a"] }), "text", "data_source"],
    ["open-instruct's name", { dataset: "string_matcher", ground_truth: "a" }, "string_matcher", "dataset"],
    ["open-instruct's name in a list", { dataset: ["flan"], ground_truth: "a" }, "flan", "dataset"],
    ["open-instruct's old instructions", { dataset: "ifeval_old", ground_truth: "{}" }, "ifeval", "dataset"],
    ["open-instruct's programs", { dataset: "code_stdio", ground_truth: [] }, "code", "dataset"],
    ["IFEval's columns", { instruction_id_list: ["a"], kwargs: [{}] }, "ifeval", "columns"],
    ["instructions", { instructions: [{ id: "a" }] }, "instructions", "columns"],
    ["a checker", { checker: { language: "python", source: "" } }, "checker", "columns"],
    ["HumanEval's columns", { prompt: "", entry_point: "f", test: "" }, "code", "columns"],
    ["MBPP's columns", { text: "", test_list: ["assert f()"] }, "code", "columns"],
    ["APPS's column", { input_output: "{}" }, "code", "columns"],
    ["choices", { choices: ["a", "b"], answer: 1 }, "multiple_choice", "columns"],
    ["a worked answer", { answer: "6*2\n#### 12" }, "gsm8k", "columns"],
    ["an answer", { answer: "12" }, "math", "columns"],
    ["a number", { answer: 12 }, "math", "columns"],
    ["a solution beside a response", { solution: "\\boxed{1}", response: "1" }, "math", "columns"],
    ["another data_source with an answer", verl("mine"), "math", "columns"],
    ["tests as a ground truth", { ground_truth: ["assert f(1) == 2"] }, "code", "columns"],
  ])("%s", (_what, row, name, by) => {
    expect(detectVerifier(row)).toMatchObject({ name, by });
  });
});

describe("a row that no verifier fits", () => {
  test.each([
    ["an unknown name", { verifier: "maths" }, /"maths".*Known verifiers: math, gsm8k/],
    ["no name", { verifier: 7 }, /expected a name/],
    [
      "no columns",
      { response: "x" },
      /no verifier fits its columns, which are response.*Known verifiers: math/,
    ],
    [
      "an unknown source",
      { data_source: "mine" },
      /data_source "mine" is none that is known.*Known verifiers/,
    ],
    ["a reward model", verl("openai/gsm8k", "1", "model"), /a reward model scores this row/],
    ["a judge", { dataset: "general-quality", ground_truth: "x" }, /a judge.*Known verifiers/],
    ["lengths", { dataset: "max_length", ground_truth: "8" }, /counts the tokens/],
    ["several verifiers", { dataset: ["math", "ifeval"], ground_truth: ["a", "b"] }, /names 2 verifiers/],
  ])("%s", (_what, row, says) => {
    const detected = detectVerifier(row);
    expect("problem" in detected && detected.problem).toMatch(says);
  });
});

test("every name that detection can give is a verifier", () => {
  expect(verifierNames).toEqual(expect.arrayContaining(["math", "gsm8k", "code", "ifeval", "text", "flan"]));
});
