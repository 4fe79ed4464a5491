import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { overlongPunishment } from "../src/overlong.js";

const cases = readFileSync(new URL("fixtures/overlong-cases.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

it.each(cases)("$id", ({ config, lengths, expected }) => {
  const { max_completion_len: limit, soft_punish_cache: buffer } = config;
  expect(lengths.map((length: number) => overlongPunishment(length, limit, buffer))).toEqual(expected);
});

it("falls in a straight line over the buffer", () => {
  expect([80, 81, 90, 100, 101].map((length) => overlongPunishment(length, 100, 20))).toEqual([
    0, -0.05, -0.5, -1, -1,
  ]);
});
