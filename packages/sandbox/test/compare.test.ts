import { describe, expect, test } from "vitest";
import { outputDifference, plainEqual, plainText } from "../src/compare.js";
import { decodePlain, MalformedPlain, plainOfJson } from "../src/plain.js";
import type { OutputComparison, ValueComparison } from "../src/task.js";

describe("outputs", () => {
  test.each<[string, string, OutputComparison, boolean]>([
    ["1 2\n", "1  2", { kind: "tokens" }, true],
    ["1 2", "1 2 3", { kind: "tokens" }, false],
    ["1 2\n", "1 2", { kind: "exact" }, true],
    ["1 2 ", "1 2", { kind: "exact" }, false],
    ["1 2 \n3\n\n", "1 2\n3", { kind: "lines" }, true],
    ["1\n2", "1 2", { kind: "lines" }, false],
    ["0.1000001 x", "0.1 x", { kind: "floats" }, true],
    ["0.11", "0.1", { kind: "floats" }, false],
    ["nan", "0.1", { kind: "floats" }, false],
    ["1e400", "1e500", { kind: "floats" }, false],
    ["1.5", "1.4", { kind: "floats", absolute: 0.2, relative: 0 }, true],
    ["YES", "yes", { kind: "tokens", ignoreCase: true }, true],
    ["YES", "yes", { kind: "tokens" }, false],
    ["", "", { kind: "tokens" }, true],
  ])("%j against %j, %j: %s", (got, expected, how, same) => {
    expect(outputDifference(got, expected, how) === undefined).toBe(same);
  });
});

describe("plain values", () => {
  test.each<[unknown, unknown, ValueComparison, boolean]>([
    [["t", [1, 2]], [1, 2], {}, true],
    [["t", [1, 2]], [1, 2], { strictTypes: true }, false],
    [["f", "2.0"], 2, {}, true],
    [["f", "2.0"], 2, { strictTypes: true }, false],
    [true, 1, {}, false],
    [["f", "nan"], ["f", "nan"], {}, false],
    [["I", "0x20000000000001"], 9007199254740992, {}, false],
    [
      [
        "d",
        [
          ["b", 1],
          ["a", 2],
        ],
      ],
      { a: 2, b: 1 },
      {},
      true,
    ],
    [["d", [["a", 2]]], { a: 2, b: 1 }, {}, false],
    [["l", [["f", "0.30000000000000004"]]], [0.3], { relative: 1e-9 }, true],
    [["l", [["f", "0.30000000000000004"]]], [0.3], {}, false],
    [["s", [1, 2]], [1, 2], {}, false],
    [null, 0, {}, false],
    ["1", 1, {}, false],
  ])("%j against %j, %j: %s", (got, expected, how, same) => {
    expect(plainEqual(decodePlain(got), plainOfJson(expected), how)).toBe(same);
  });

  test("a list within itself is compared and shown in finite time", () => {
    const cyclic = decodePlain(["l", [["R", 0]]]);
    expect(plainEqual(cyclic, plainOfJson([[[[]]]]))).toBe(false);
    expect(plainText(cyclic)).toBe("[[[[[[…]]]]]]");
  });

  test.each([[["I", "7"]], [["f", "x"]], [["R", 0]], [["l", 3]], [1.5], [{}]])("%j is refused", (code) => {
    expect(() => decodePlain(code)).toThrow(MalformedPlain);
  });
});
