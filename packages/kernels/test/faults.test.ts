// The faults of `npm run test:mutations` against the sources that they are put into: a change there must not leave one behind.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { faults } from "../scripts/faults.mjs";

const native = new URL("../native/", import.meta.url);
const places = (file: string, text: string): number =>
  readFileSync(new URL(file, native), "utf8").split(text).length - 1;

test("each fault has one place, and a name of its own", () => {
  expect(faults.filter(({ file, from }) => places(file, from) !== 1).map(({ name }) => name)).toEqual([]);
  expect(new Set(faults.map(({ name }) => name)).size).toBe(faults.length);
});
