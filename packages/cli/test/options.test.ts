import { UserError } from "@posttrain/data";
import { sftConfig } from "@posttrain/sft";
import { expect, it } from "vitest";
import { z } from "zod";
import {
  count,
  duration,
  float32,
  millions,
  plainNumber,
  shellQuote,
  wrap,
  wrapCommand,
} from "../src/format.js";
import { nearest } from "../src/nearest.js";
import { checkOptions, optionHelp } from "../src/options.js";
import { configLines } from "../src/resolved-config.js";
import { environmentSettings, flagSettings, type Setting } from "../src/settings.js";

const schema = z
  .strictObject({
    path: z.string().describe("a file"),
    rate: z.number().positive().default(2e-5).describe("how fast"),
    steps: z.int().min(1).optional().describe("how far"),
    deep: z.boolean().default(true).describe("or shallow"),
    resume: z.union([z.boolean(), z.string()]).optional().describe("from a folder, or the newest"),
    accept: z
      .array(z.enum(["data", "rate"]))
      .default([])
      .describe("what may change"),
    sizes: z.array(z.int().positive()).optional().describe("of layers"),
  })
  .refine(({ rate, steps }) => rate < 1 || steps !== 1, {
    path: ["rate"],
    error: "expected less than 1 for one step",
  });

const fromFile = (name: string, value: Setting["value"], line = 1): Setting => ({
  name,
  value,
  source: { kind: "file", path: "c.yaml", line },
});
const optionsOf = (settings: readonly Setting[]): object => checkOptions("x", schema, settings).options;
const defaults = { rate: 2e-5, deep: true, accept: [] };

it("turns text into the values of a schema", () => {
  const given = { path: "1", rate: "1e-3", deep: "False", threads: "2", quiet: true };
  const { options, common } = checkOptions("x", schema, flagSettings(given));
  expect(options).toEqual({ ...defaults, path: "1", rate: 1e-3, deep: false });
  expect(common).toEqual({ threads: 2, quiet: true, json: false });
  expect(optionsOf(flagSettings({ path: "p", deep: true }))).toEqual({ ...defaults, path: "p" });
});

it("takes an option that may come without a value", () => {
  const resume = (value: Setting["value"], at = flagSettings): unknown =>
    (optionsOf([...flagSettings({ path: "p" }), ...at({ resume: value })]) as { resume: unknown }).resume;
  expect(["runs/x", true, false, "true", "False"].map((value) => resume(value))).toEqual([
    "runs/x",
    true,
    false,
    true,
    false,
  ]);
  const either = z.strictObject({ batch: z.union([z.int().positive(), z.literal("auto")]).default("auto") });
  const batch = (text: string): unknown =>
    checkOptions("x", either, flagSettings({ batch: text })).options.batch;
  expect([batch("4"), batch("auto")]).toEqual([4, "auto"]);
  expect(() => batch("0")).toThrow('--batch is "0", expected a whole number, above 0, or auto.');
  expect(resume("true", ({ resume }) => [fromFile("resume", resume as string)])).toBe(true);
});

it("takes lists from repeated flags, commas and YAML", () => {
  const list = (...settings: readonly Setting[]): unknown =>
    optionsOf([...flagSettings({ path: "p" }), ...settings]);
  expect(list(...flagSettings({ accept: ["data", "rate"], sizes: "1, 2,3" }))).toMatchObject({
    accept: ["data", "rate"],
    sizes: [1, 2, 3],
  });
  expect(list(fromFile("sizes", ["4", "5"]), fromFile("accept", "rate"))).toMatchObject({
    sizes: [4, 5],
    accept: ["rate"],
  });
  expect(list(...environmentSettings({ POSTTRAIN_SIZES: "6,7" }))).toMatchObject({ sizes: [6, 7] });
  expect(() => list(fromFile("accept", "data,rate", 3))).toThrow(
    'c.yaml, line 3: accept is "data,rate", expected a list, each one of data, rate.',
  );
  expect(() => list(...flagSettings({ sizes: "1,two" }))).toThrow(
    '--sizes is "1,two", expected a list, each a whole number, above 0.',
  );
});

it("lets a flag win over the environment, that over the file, and that over the default", () => {
  const all = [
    fromFile("rate", "1e-1"),
    fromFile("steps", "1", 2),
    fromFile("path", "file", 3),
    ...environmentSettings({ POSTTRAIN_STEPS: "2", POSTTRAIN_PATH: "environment", HOME: "/" }),
    ...flagSettings({ path: "flag" }),
  ];
  const { options, sources } = checkOptions("x", schema, all);
  expect(options).toEqual({ ...defaults, rate: 0.1, steps: 2, path: "flag" });
  expect(
    configLines(schema, options, sources).map((line) => line.join(" ").replaceAll("\u00a0", " ")),
  ).toEqual([
    "config flags: path flag",
    " c.yaml: rate 0.1 (line 1)",
    " environment: steps 2",
    "defaults deep true",
  ]);
});

it("checks a value that another one covers", () => {
  expect(() => optionsOf([fromFile("rate", "fast", 4), ...flagSettings({ path: "p", rate: "1" })])).toThrow(
    'posttrain x: c.yaml, line 4: rate is "fast", expected a number, above 0. All options: posttrain x --help',
  );
});

it("takes an argument without a name where a command has one", () => {
  const check = (settings: readonly Setting[], positional: readonly string[]) =>
    checkOptions("x", schema, settings, { positional, argument: "path" });
  const { options, sources } = check(environmentSettings({ POSTTRAIN_PATH: "e" }), ["a file"]);
  expect([options.path, sources.get("path")?.kind]).toEqual(["a file", "flag"]);
  expect(() => check([], [])).toThrow("posttrain x: Missing: PATH (a file). All options");
  expect(() => check([], [""])).toThrow('PATH is "", expected text that is not empty.');
  expect(() => check([], ["a", "b"])).toThrow('"b" belongs to no option');
  expect(() => check(flagSettings({ path: "b" }), ["a"])).toThrow(
    "--path and PATH are one option: give one of them.",
  );
});

it("names everything that is wrong at once", () => {
  const given = {
    rte: "1",
    steps: "",
    rate: "0",
    deep: "no",
    accept: "all",
    config: ["a", "b"],
    constructor: "x",
  };
  const settings = [fromFile("sizes", "x", 7), fromFile("config", "d.yaml", 5), ...flagSettings(given)];
  const check = (): unknown =>
    checkOptions("x", schema, settings, { positional: ["more"], problems: [{ line: 6, text: "Line 6." }] });
  expect(check).toThrow(UserError);
  expect(check).toThrow(
    [
      "posttrain x: 12 things are wrong (all options: posttrain x --help)",
      "c.yaml, line 5: config cannot stand in a config file.",
      "Line 6.",
      'c.yaml, line 7: sizes is "x", expected a list, each a whole number, above 0.',
      '"more" belongs to no option: options begin with --.',
      "--rte is not an option; did you mean --rate?",
      '--steps is "", expected a whole number, at least 1.',
      '--rate is "0", expected a number, above 0.',
      '--deep is "no", expected true or false.',
      '--accept is "all", expected a list, each one of data, rate.',
      "--config is given 2 times, expected once.",
      "--constructor is not an option.",
      "Missing: --path (a file).",
    ].join("\n  "),
  );
});

it("tells what concerns several options once each of them is right", () => {
  expect(() => optionsOf(flagSettings({ path: "p", rate: "2", steps: "1" }))).toThrow(
    'posttrain x: --rate is "2": expected less than 1 for one step. All options',
  );
  const ofDefault = z
    .strictObject({ a: z.int().default(1), b: z.int().default(0) })
    .refine(({ a, b }) => a >= b, {
      path: ["a"],
      error: "expected at least b",
    });
  expect(() => checkOptions("x", ofDefault, flagSettings({ b: "2" }))).toThrow(
    "posttrain x: a: expected at least b.",
  );
});

it("knows options of other commands", () => {
  const elsewhere = new Map([
    ["prompt", ["generate", "chat"]],
    ["path", ["x"]],
  ]);
  const check = (...settings: readonly Setting[]): unknown =>
    checkOptions("x", schema, [...flagSettings({ path: "p" }), ...settings], { elsewhere }).options;
  expect(() => check(fromFile("prompt", "Hello", 2))).toThrow(
    "posttrain x: c.yaml, line 2: prompt is an option of generate, chat, not of x.",
  );
  expect(check(...environmentSettings({ POSTTRAIN_PROMPT: "Hello" }))).toEqual({ ...defaults, path: "p" });
  expect(() => check(...environmentSettings({ POSTTRAIN_PROMTP: "Hello" }))).toThrow(
    "The environment has POSTTRAIN_PROMTP, which is an option of no command. Did you mean POSTTRAIN_PROMPT? Else unset it.",
  );
  expect(() => check(...environmentSettings({ POSTTRAIN_path: "p" }))).toThrow(
    "The environment has POSTTRAIN_path, which is an option of no command. Did you mean POSTTRAIN_PATH?",
  );
  expect(() => environmentSettings({ POSTTRAIN_PATH: "" })).toThrow("POSTTRAIN_PATH without a value");
  expect(
    environmentSettings({ POSTTRAIN_CPU: "avx2", POSTTRAIN_TEST_RESULTS: "x", POSTTRAIN_THREADS: "2" }),
  ).toEqual([]);
});

it("has the help from the schema", () => {
  expect(optionHelp(schema)).toEqual([
    { name: "path", description: "a file", required: true },
    { name: "rate", description: "how fast (default 2e-5)", required: false },
    { name: "steps", description: "how far", required: false },
    { name: "deep", description: "or shallow (default true)", required: false },
    { name: "resume", description: "from a folder, or the newest", required: false },
    { name: "accept", description: "what may change: data, rate", required: false },
    { name: "sizes", description: "of layers", required: false },
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
  expect(wrap("aa bb cc\n  dd ee f", 7)).toBe("aa bb\ncc\n  dd\n    ee\n    f");
  expect(wrapCommand("npx posttrain x --a 1 --b 2", 30)).toBe("npx posttrain x --a 1 --b 2");
  expect(wrapCommand("npx posttrain x --a 1 --b 2 --c 3", 24)).toBe(
    "npx posttrain x --a 1 \\\n  --b 2 --c 3",
  );
});
