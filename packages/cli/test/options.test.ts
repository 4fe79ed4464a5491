import { UserError } from "@posttrain/data";
import { sftConfig } from "@posttrain/sft";
import { expect, it } from "vitest";
import { z } from "zod";
import { count, duration, float32, millions, plainNumber, shellQuote, wrap } from "../src/format.js";
import { nearest } from "../src/nearest.js";
import { checkOptions, optionHelp } from "../src/options.js";

const schema = z.strictObject({
  path: z.string().describe("a file"),
  rate: z.number().positive().default(2e-5).describe("how fast"),
  steps: z.int().min(1).optional().describe("how far"),
  deep: z.boolean().default(true).describe("or shallow"),
});

it("turns text into the values of a schema", () => {
  const { options, machine } = checkOptions("x", schema, {
    path: "1",
    rate: "1e-3",
    deep: "False",
    threads: "2",
  });
  expect(options).toEqual({ path: "1", rate: 1e-3, deep: false });
  expect(machine).toEqual({ threads: 2 });
  expect(checkOptions("x", schema, { path: "p", deep: true }).options).toEqual({
    path: "p",
    rate: 2e-5,
    deep: true,
  });
});

it("names everything that is wrong at once", () => {
  const check = (): unknown =>
    checkOptions("x", schema, { rte: "1", steps: "", rate: "0", deep: "no" }, ["more"]);
  expect(check).toThrow(UserError);
  expect(check).toThrow(
    'posttrain x: "more" belongs to no option: options begin with --. --rte is not an option; did you mean --rate? ' +
      '--rate is "0", expected a number, above 0. --steps is "", expected a whole number, at least 1. ' +
      '--deep is "no", expected true or false. Missing: --path (a file). All options: posttrain x --help',
  );
});

it("has the help from the schema", () => {
  expect(optionHelp(schema)).toEqual([
    { name: "path", description: "a file", required: true },
    { name: "rate", description: "how fast (default 2e-5)", required: false },
    { name: "steps", description: "how far", required: false },
    { name: "deep", description: "or shallow (default true)", required: false },
  ]);
  for (const { name, description } of optionHelp(sftConfig)) expect(description, name).not.toMatch(/^( |$)/);
});

it.each([
  ["max_step", "max_steps"],
  ["learnign_rate", "learning_rate"],
  ["lr", "learning_rate"],
  ["batch_size", "per_device_train_batch_size"],
  ["epochs", "num_train_epochs"],
  ["model", "model_name_or_path"],
  ["colour", undefined],
  ["q", undefined],
])("the nearest option to %s is %s", (name, option) => {
  expect(nearest(name, Object.keys(sftConfig.shape))).toBe(option);
});

it("writes numbers as people do", () => {
  expect([0.04, 9.96, 59.4, 59.6, 60, 3599, 3661].map(duration)).toEqual([
    "0.0 s",
    "10 s",
    "59 s",
    "1 min 0 s",
    "1 min 0 s",
    "59 min 59 s",
    "1 h 1 min",
  ]);
  expect([count(1234567), millions(134_515_008), millions(1_234_000), millions(1.54e9)]).toEqual([
    "1,234,567",
    "134.5 M",
    "1.23 M",
    "1.54 B",
  ]);
  expect([0, 2e-5, 0.001, 4294967295].map(plainNumber)).toEqual(["0", "2e-5", "0.001", "4294967295"]);
  expect(["runs/a-1", "my run", "it's"].map(shellQuote)).toEqual(["runs/a-1", "'my run'", "'it'\\''s'"]);
});

it("writes float32 shortly and exactly", () => {
  for (const value of [0.1, -1.6564528e-13, 1 / 3, -17.25, 3.4e38].map(Math.fround)) {
    expect(Math.fround(float32(value))).toBe(value);
  }
  expect(String(float32(Math.fround(0.1)))).toBe("0.1");
});

it("wraps at spaces only", () => {
  expect(wrap("aa bb cc /a/long/path dd", 5)).toBe("aa bb\ncc\n/a/long/path\ndd");
});
