// What the page makes of numbers and of text that models wrote, without a browser.
import { expect, test } from "vitest";
import { axisOf, fixed, shown, signed, stepAxis } from "../page/scale.js";
import { visibleParts } from "../page/unseen.js";

const spelled = (text: string): string =>
  visibleParts(text)
    .map((part) => (part.spelled ? `[${part.text}]` : part.text))
    .join("");

test("characters that hide or reorder are spelled out, words and emoji stay", () => {
  expect(spelled("a\u001b[31mb\u0000")).toBe("a[\\x1b][31mb[\\x00]");
  expect(spelled("x\u202ey\u200bz\u{e0041}")).toBe("x[\\u202e]y[\\u200b]z[\\u{e0041}]");
  expect(spelled("half \ud83d")).toBe("half [\\ud83d]");
  expect(spelled("line\n\tnext")).toBe("line\n\tnext");
  for (const text of ["\u{1f469}\u200d\u{1f4bb}", "می‌خواهم", "e\u0301", "❤\ufe0f"])
    expect(spelled(text)).toBe(text);
});

test("numbers", () => {
  expect([0, 1234, 0.12345, 12.345, 1234.5, -0.5, 2e-5, 1.5e9, null].map(shown)).toEqual([
    "0",
    "1,234",
    "0.123",
    "12.35",
    "1,235",
    "\u22120.500",
    "2e\u22125",
    "1.5e9",
    "\u2013",
  ]);
  expect([signed(0.5), signed(-0.5), signed(0), fixed(-0.0001, 2), fixed(-1.234, 2)]).toEqual([
    "+0.500",
    "\u22120.500",
    "0",
    "0.00",
    "\u22121.23",
  ]);
});

test.each([
  [0, 5.8, ["0", "1", "2", "3", "4", "5"]],
  [0.46, 0.99, ["0.5", "0.6", "0.7", "0.8", "0.9"]],
  [0, 2e-5, ["0", "5e\u22126", "1e\u22125", "1.5e\u22125", "2e\u22125"]],
  [-0.3, 0.05, ["\u22120.3", "\u22120.2", "\u22120.1", "0"]],
  [4000, 8500, ["4,000", "5,000", "6,000", "7,000", "8,000"]],
  [1e-4, 1e-4, ["1e\u22124"]],
  [0, 0, ["0"]],
])("an axis from %d to %d has round ticks that fit", (least, most, labels) => {
  const axis = axisOf(least, most, 4);
  expect(axis.labels).toEqual(labels);
  expect(axis.least).toBeLessThanOrEqual(least);
  expect(axis.most).toBeGreaterThan(most);
});

test("steps are whole", () => {
  expect(stepAxis(1, 3, 6).ticks).toEqual([1, 2, 3]);
  expect(stepAxis(1, 800, 4).labels).toEqual(["200", "400", "600", "800"]);
  expect(stepAxis(5, 5, 4)).toMatchObject({ ticks: [5], least: 4, most: 6 });
});
